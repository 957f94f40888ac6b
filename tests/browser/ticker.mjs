// The ticker example's page: prices that change by themselves, as many as are asked for.

import assert from 'node:assert/strict'
import { assertNoErrors, keepPicture, openTab, origin, waitFor, withBrowser } from './browser.mjs'

const all = Array.from({ length: 100 }, (_, symbol) => symbol)

/** The prices that the page shows, by symbol. */
const shown = (page) => page.locator('#board .price').allTextContents()

const isPrice = (text) => /^[0-9]+ [0-9]+[.][0-9]{2}$/.test(text)

/** How many prices of each symbol the page has received so far. */
function received(page) {
  const counts = all.map(() => 0)
  for (const text of page.received) if (isPrice(text)) counts[Number(text.split(' ')[0])] += 1
  return counts
}

/** Waits until the page has received so many more prices of each of those symbols. */
async function waitForPrices(page, symbols, more) {
  const before = received(page)
  await waitFor(`${more} more prices of ${symbols}`, () => {
    const now = received(page)
    return symbols.every((symbol) => now[symbol] >= before[symbol] + more)
  })
}

/** Says something in the page's name that makes no sense, and waits for the answer: what was said before has been heeded. */
async function waitForAnswer(page, nonsense) {
  const answers = () => page.received.filter((text) => !isPrice(text))
  const before = answers().length
  await page.evaluate((text) => socket.send(text), nonsense)
  await waitFor(`an answer to ${nonsense}`, () => answers().length > before)
  assert.equal(answers().at(-1), 'error: say `subscribe N` or `unsubscribe N`, N below 100')
}

/** Waits until the page shows another price of each of those symbols. */
async function waitForChanges(page, symbols) {
  const before = await shown(page)
  const left = new Set(symbols)
  await waitFor(`other prices than ${before}`, async () => {
    const now = await shown(page)
    for (const symbol of left) if (/^[0-9]+[.][0-9]{2}$/.test(now[symbol]) && now[symbol] !== before[symbol]) left.delete(symbol)
    return left.size === 0
  })
}

await withBrowser(async ({ open }) => {
  const page = await open(origin)
  await waitForChanges(page, all.slice(0, 10))
  await waitForChanges(page, all.slice(0, 10))
  const first = await shown(page)
  assert.equal(first.length, 100)
  for (const symbol of all.slice(10)) assert.equal(first[symbol], '–', `symbol ${symbol} was not asked for`)
  assert.deepEqual(received(page).slice(10), all.slice(10).map(() => 0))

  await page.getByRole('button', { name: 'All' }).click()
  await waitForPrices(page, all, 3)
  await waitForChanges(page, all)
  await keepPicture(page, 'ticker')

  // Without one of them, that one alone is sent no more.
  const others = all.filter((symbol) => symbol !== 7)
  await page.getByLabel('S07').uncheck()
  await waitForAnswer(page, '?')
  const sevens = received(page)[7]
  await waitForPrices(page, others, 3)
  assert.equal(received(page)[7], sevens, 'S07 is still sent')
  assert.equal((await shown(page))[7], '–')
  await page.getByLabel('S07').check()
  await waitForChanges(page, [7])

  // Tabs beside it have a choice of their own, and come and go without the first one noticing.
  const tabs = await Promise.all([1, 2, 3].map(() => openTab(page.context(), origin)))
  await Promise.all(tabs.map((tab) => waitForPrices(tab, all.slice(0, 10), 2)))
  await tabs[0].getByRole('button', { name: 'None' }).click()
  await waitForAnswer(tabs[0], '?')
  const none = received(tabs[0])
  await waitForPrices(tabs[1], all.slice(0, 10), 3)
  assert.deepEqual(received(tabs[0]), none)
  assertNoErrors(...tabs)
  await Promise.all(tabs.map((tab) => tab.close()))
  await waitForPrices(page, all, 2)

  // What makes no sense is answered.
  for (const nonsense of ['subscribe 100', 'subscribe', 'sell 7', '']) await waitForAnswer(page, nonsense)
  await page.getByText('error: say `subscribe N` or `unsubscribe N`, N below 100').waitFor()
  assertNoErrors(page)
})
