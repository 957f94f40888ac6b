// The ticker example's page: prices that change by themselves, as many as are asked for.

import { assertNoErrors, keepPicture, withBrowser } from './browser.mjs'

/** Waits until the prices of those symbols are there and have changed so many times. */
async function waitForChanges(page, symbols, times) {
  await page.evaluate(
    ([symbols, times]) => Promise.all(symbols.map((symbol) => new Promise((resolve) => {
      const price = document.querySelectorAll('#board output')[symbol]
      let left = times
      new MutationObserver((_, observer) => {
        if (!/^[0-9]+[.][0-9]{2}$/.test(price.textContent) || --left > 0) return
        observer.disconnect()
        resolve()
      }).observe(price, { childList: true })
    }))),
    [symbols, times],
  )
}

const prices = (page) => page.locator('#board output').allTextContents()
const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => from + index)

await withBrowser(async ({ origin, open }) => {
  const page = await open(`${origin}/`)
  await waitForChanges(page, numbers(0, 10), 3)
  const first = await prices(page)
  if (first.length !== 100) throw new Error(`${first.length} symbols`)
  for (const symbol of numbers(10, 100)) {
    if (first[symbol] !== '–') throw new Error(`symbol ${symbol} was not asked for`)
  }

  await page.getByRole('button', { name: 'All' }).click()
  await waitForChanges(page, numbers(0, 100), 3)
  await keepPicture(page, 'ticker')

  // Without one of them, that one alone stands still.
  await page.getByLabel('S07').uncheck()
  const before = await prices(page)
  await waitForChanges(page, [...numbers(0, 7), ...numbers(8, 100)], 3)
  const after = await prices(page)
  if (after[7] !== before[7]) throw new Error('S07 goes on')

  // Another page has its own choice and the same prices.
  const other = await open(`${origin}/`)
  await waitForChanges(other, [3], 2)
  await other.close()
  await waitForChanges(page, [99], 2)

  // What makes no sense is answered.
  await page.evaluate(() => socket.send('subscribe 100'))
  await page.getByText('error: say `subscribe N` or `unsubscribe N`, N below 100').waitFor()
  assertNoErrors(page, other)
})
