// The figures follow what happens, and say of which shard and which channel.

import { assert, assertNoErrors, choose, have, keepPicture, openLive, publish, tile, waitFor, waitForState, waitForText, withBrowser } from './page.mjs'

const row = (page, name) => page.locator('#channels tbody tr', { has: page.locator(`button:text-is("${name}")`) })
const cells = async (page, name) => (await row(page, name).locator('td').allTextContents())

await withBrowser(async (browser) => {
  const page = await openLive(browser, { viewport: { width: 1280, height: 900 }, colorScheme: 'light' })
  await waitFor('twelve connections', async () => (await tile(page, 'Connections')) === 12)
  await waitFor('rates', async () => (await tile(page, 'Deliveries / s')) === 0)

  // Ten subscribe to `busy`, two to `big`, one of which never reads.
  let loading = true
  const load = (async () => {
    while (loading) {
      await publish('busy', 'x'.repeat(200))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  await waitFor('deliveries', async () => (await tile(page, 'Deliveries / s')) > 50)
  assert((await tile(page, 'Publications / s')) > 5, 'publications are counted, too')
  await waitFor('the busy channel', async () => (await row(page, 'busy').count()) === 1)
  await waitFor('its rate', async () => Number((await cells(page, 'busy'))[0]) > 5)
  const [, subscribers, deliveries, behind, owner] = await cells(page, 'busy')
  assert(subscribers === '10' && behind === '0' && ['0', '1'].includes(owner), `busy: ${subscribers}, ${behind}, ${owner}`)
  assert(Number(deliveries.replace(',', '')) > 50, `busy: about ${deliveries} deliveries`)

  const shards = () => page.locator('#shards tbody tr')
  assert((await shards().count()) === 2, 'two shards')
  const sum = (await shards().locator('td:nth-child(3)').allTextContents()).reduce((sum, text) => sum + Number(text), 0)
  assert(sum === 12, `${sum} connections on the shards`)
  assert(/µs|ms/.test(await page.locator('#shards tfoot td').nth(6).textContent()), 'the turns of all')

  for (let i = 0; i < 160; i += 1) await publish('big', 'x'.repeat(60_000))
  await waitFor('a slow consumer', async () => (await tile(page, 'Slow consumers')) === 1)
  await waitFor('of the channel big', async () => (await cells(page, 'big'))[3] === '1')
  assert((await page.locator('.tile', { hasText: 'Backlog' }).locator('.value').textContent()).includes('MiB'), 'its backlog')
  await page.waitForTimeout(2_500)
  await keepPicture(page, 'page-light')

  // Sorting and finding.
  await page.locator('#channels th button', { hasText: 'Subscribers' }).click()
  await page.mouse.move(0, 0)
  const names = () => page.locator('#channels tbody button').allTextContents()
  await waitFor('the most subscribers first', async () => (await names())[0] === 'busy')
  assert((await page.locator('#channels th', { hasText: 'Subscribers' }).getAttribute('aria-sort')) === 'descending', 'it says so')
  await page.fill('#channels-filter', 'BIG')
  await waitFor('one found', async () => (await names()).join() === 'big')
  await row(page, 'big').locator('button').click()
  assert((await page.inputValue('#channel')) === 'big', 'it is taken up by hand')
  await page.fill('#channels-filter', 'nothing has that')
  await waitForText(page, '#channels-none', 'None of the busiest')
  await page.fill('#channels-filter', '')

  loading = false
  await load
  await waitFor('nothing is delivered any more', async () => (await tile(page, 'Deliveries / s')) === 0)

  // The page sees a server that is not there any more, and one that comes back.
  await have('kill')
  await waitForState(page, 'gone')
  await keepPicture(page, 'page-gone')
  await choose(page, 'http')
  await page.click('#connect')
  await waitForText(page, '#log', 'The server does not answer')
  await have('start')
  await waitForState(page, 'live')
  await waitFor('nobody is connected to the new one', async () => (await tile(page, 'Connections')) === 0)

  // A process that stands still is found out, too, and so is one that goes on.
  await have('stop')
  await waitForState(page, 'gone')
  await have('continue')
  await waitForState(page, 'live')
  assertNoErrors(page)
})
