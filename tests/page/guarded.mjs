// A server with API keys and tokens that lets pages of other origins connect only.

import { readFileSync } from 'node:fs'
import { assert, assertAccessible, assertNoErrors, choose, keepPicture, openLive, url, waitFor, waitForLine, waitForState, waitForText, withBrowser } from './page.mjs'

const key = 'a-key-that-only-this-test-knows-0123456789'
const token = readFileSync(process.argv[4], 'utf8').trim()

await withBrowser(async (browser) => {
  const page = await browser.open(url, { colorScheme: 'light' })
  await waitForState(page, 'key')
  assert(await page.locator('#key').evaluate((dialog) => dialog.open), 'it asks for the key')
  await assertAccessible(page, 'the dialog')
  await page.fill('#key-text', 'a wrong one')
  await page.keyboard.press('Enter')
  await waitForText(page, '#key-wrong', 'does not know this key')
  await keepPicture(page, 'page-key')

  // Whoever has none may close it, and finds it again.
  await page.keyboard.press('Escape')
  await waitFor('no dialog', () => page.locator('#key').evaluate((dialog) => !dialog.open))
  await page.click('#change-key')
  await page.fill('#key-text', key)
  await page.click('#key button[type=submit]')
  await waitForState(page, 'live')
  await page.reload()
  await waitForState(page, 'live')
  assert(await page.evaluate(() => localStorage.length === 0 && document.cookie === ''), 'the tab alone knows the key')

  // Publishing and calling takes it, too.
  await choose(page, 'http')
  await page.click('#connect')
  await waitForLine(page, 'in', 'num_clients')
  await page.click('#publish button')
  await waitForLine(page, 'note', 'published: offset 1')

  // Every protocol says that this page may not connect, and what to set.
  for (const protocol of ['raw', 'sse', 'stomp', 'centrifuge']) {
    await page.click('#log-clear')
    await choose(page, protocol)
    await page.click('#connect')
    await waitForLine(page, 'error', `[origins] allowed = ["https://app.example.com","http://elsewhere.localhost:8080","${new URL(url).origin}"]`)
  }
  await keepPicture(page, 'page-origin')

  // A page of an origin that may: without a token, and with one.
  const friend = await browser.open('http://elsewhere.localhost:8080/')
  await friend.fill('#key-text', key)
  await friend.keyboard.press('Enter')
  await waitForState(friend, 'live')
  for (const [protocol, refusal] of [['raw', '401'], ['sse', '401'], ['stomp', 'ERROR'], ['centrifuge', '103']]) {
    await friend.click('#log-clear')
    await choose(friend, protocol)
    await friend.fill('#token', '')
    await friend.click('#connect')
    if (protocol === 'stomp') await waitForText(friend, '#hand-state', 'Not connected')
    else await waitForLine(friend, 'error', refusal)
    await friend.fill('#token', token)
    await friend.click('#connect')
    await waitForText(friend, '#hand-state', 'Subscribed')
    await friend.click('#publish button')
    await waitForLine(friend, 'in', 'hello')
    assert(!(await friend.textContent('#log')).includes(token), 'the log does not show the token')
  }
  assertNoErrors(page, friend)
})
