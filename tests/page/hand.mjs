// Subscribing and publishing by hand, in each protocol.

import { assert, assertNoErrors, choose, have, keepPicture, openLive, publicAddress, publish, waitFor, waitForLine, waitForText, withBrowser } from './page.mjs'

const protocols = ['raw', 'sse', 'stomp', 'centrifuge']

async function subscribe(page, protocol, fields) {
  await choose(page, protocol)
  const all = { channel: 'news', offset: '', epoch: '', token: '', ...fields }
  for (const [name, text] of Object.entries(all)) await page.fill(`#${name}`, text)
  await page.click('#connect')
}

const state = (page, words) => waitForText(page, '#hand-state', words)

await withBrowser(async (browser) => {
  const page = await openLive(browser, { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' })
  assert((await page.inputValue('#address')) === `ws://${publicAddress}`, 'the address of the public listener')

  for (const protocol of protocols) {
    await page.click('#log-clear')
    await subscribe(page, protocol, { channel: `by hand/${protocol} %ü` })
    await state(page, 'Subscribed')
    // What a backend publishes is heard, and what is published here is: by everybody.
    await publish(`by hand/${protocol} %ü`, `from a backend to ${protocol}`)
    await waitForLine(page, 'in', `from a backend to ${protocol}`)
    const text = `{"by": "${protocol}", "n": 1.10}`
    await page.fill('#message', text)
    await page.click('#publish button')
    await waitForLine(page, 'in', text)
    await waitForLine(page, 'note', 'published')
    await page.click('#disconnect')
    await state(page, 'Disconnected')
    assert(await page.isDisabled('#disconnect'), 'there is nothing to end')
  }

  // Whoever comes back gets what it has missed, and one that cannot is told.
  const { epoch, offset } = await publish('kept', 'first')
  assert(offset === 1, 'the first of its channel')
  await publish('kept', 'second')
  for (const protocol of protocols) {
    await page.click('#log-clear')
    await subscribe(page, protocol, { channel: 'kept', offset: '1', epoch })
    await state(page, 'Subscribed')
    await waitForLine(page, 'in', 'second')
    await page.click('#log-clear')
    await subscribe(page, protocol, { channel: 'kept', offset: '1', epoch: 'abc' })
    await waitForText(page, '#log', { raw: '4410', sse: 'gap', stomp: 'gap', centrifuge: 'Not all' }[protocol])
  }

  // What is no text.
  await page.click('#log-clear')
  await subscribe(page, 'raw', {})
  await state(page, 'Subscribed')
  await publish('news', new Uint8Array([0, 255]))
  await waitForLine(page, 'in', '2 bytes: 00 ff')

  // Much at once does not hold the page up, and is not all kept.
  for (let i = 0; i < 50; i += 1) await Promise.all(Array.from({ length: 20 }, (_, j) => publish('news', `${i * 20 + j}`)))
  await waitFor('all of it', async () => (await page.textContent('#log-count')) === '1,001 received')
  assert((await page.locator('#log li').count()) === 300, 'the log is bounded')

  // The API.
  await page.click('#log-clear')
  await choose(page, 'http')
  await page.fill('#channel', 'kept')
  await page.selectOption('#method', 'history')
  assert((await page.inputValue('#parameters')) === '{"channel": "kept", "limit": 10}', 'something to begin with')
  await page.click('#connect')
  await waitForLine(page, 'in', '"offset":2')
  await page.fill('#parameters', '{')
  await page.click('#connect')
  await waitForLine(page, 'error', '400')
  await page.fill('#message', 'by HTTP')
  await page.press('#message', 'Control+Enter')
  await waitForLine(page, 'note', 'published: offset 3 of epoch')
  await keepPicture(page, 'page-dark')

  // What goes wrong says what to do.
  await page.click('#log-clear')
  await choose(page, 'raw')
  await page.fill('#address', 'ws://127.0.0.1:1')
  await page.click('#connect')
  await waitForLine(page, 'error', 'Nothing answers at http://127.0.0.1:1')
  await page.fill('#address', 'gopher://127.0.0.1')
  await page.click('#connect')
  await state(page, 'no URL')
  await page.fill('#address', `ws://${publicAddress}`)
  await subscribe(page, 'raw', {})
  await state(page, 'Subscribed')
  await have('kill')
  await state(page, 'Closed')
  await page.click('#publish button')
  await waitForLine(page, 'error', 'Subscribe first')
  assertNoErrors(page)
})
