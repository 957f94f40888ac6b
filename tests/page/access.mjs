// For everybody: light and dark, on a telephone, by keyboard alone, and what axe finds.

import { assert, assertAccessible, assertNoErrors, choose, keepPicture, openLive, publish, waitFor, waitForLine, waitForState, waitForText, withBrowser } from './page.mjs'

const schemes = ['light', 'dark']
const wide = { width: 1280, height: 900 }
const narrow = { width: 360, height: 740 }

/** Presses Tab until something has the focus; every stop on the way has to be seen. */
async function tabTo(page, selector, key = 'Tab') {
  for (let i = 0; i < 60; i += 1) {
    await page.keyboard.press(key)
    const [matches, marked, what] = await page.evaluate((selector) => {
      const element = document.activeElement
      const shown = [element, element.nextElementSibling].filter(Boolean).map((one) => getComputedStyle(one))
      const marked = shown.some((style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)
      return [element.matches(selector), marked || element.matches('.skip'), element.outerHTML.slice(0, 100)]
    }, selector)
    assert(marked, `the focus is not seen: ${what}`)
    if (matches) return
  }
  throw new Error(`no Tab leads to ${selector}`)
}

/** Publishes until the channel is shown, among the busiest of some second. */
async function showChannel(page) {
  await waitFor('a channel', async () => {
    await publish('prices:eur-usd', '1.0843')
    return (await page.locator('#channels tbody tr').count()) > 0
  })
}

await withBrowser(async (browser) => {
  for (const colorScheme of schemes) {
    const page = await openLive(browser, { viewport: wide, colorScheme })
    await showChannel(page)
    await page.click('#connect')
    await waitForText(page, '#hand-state', 'Subscribed')
    await publish('news', 'hello')
    await waitForLine(page, 'in', 'hello')
    await assertAccessible(page, colorScheme)
    await choose(page, 'http')
    await page.click('#connect')
    await waitForLine(page, 'in', 'result')
    await assertAccessible(page, `${colorScheme}, HTTP API`)
    assertNoErrors(page)
  }

  const phone = await openLive(browser, { viewport: narrow, isMobile: true, hasTouch: true, colorScheme: 'light' })
  await showChannel(phone)
  await assertAccessible(phone, 'narrow')
  const [width, overflow] = await phone.evaluate(() => [innerWidth, document.documentElement.scrollWidth])
  assert(width === narrow.width && overflow <= width, `${overflow} wide on ${width}`)
  await keepPicture(phone, 'page-phone')
  await phone.locator('#hand').scrollIntoViewIfNeeded()
  await keepPicture(phone, 'page-phone-hand')

  // By keyboard: past the figures, another protocol, a channel, subscribe, publish, disconnect.
  const page = await openLive(browser, { viewport: wide })
  await page.keyboard.press('Tab')
  await tabTo(page, '.skip[href="#hand"]')
  await page.keyboard.press('Enter')
  await tabTo(page, 'input[value=raw]')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowRight')
  assert(await page.isChecked('input[value=stomp]'), 'arrows choose the protocol')
  await tabTo(page, '#channel')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('keys')
  await page.keyboard.press('Enter')
  await waitForText(page, '#hand-state', 'Subscribed to /topic/keys')
  await tabTo(page, '#message')
  await page.keyboard.press('Control+A')
  await page.keyboard.type('typed')
  await page.keyboard.press('Control+Enter')
  await waitForLine(page, 'in', 'typed')
  await tabTo(page, '#log')
  await tabTo(page, '#disconnect', 'Shift+Tab')
  await page.keyboard.press('Space')
  await waitForText(page, '#hand-state', 'Disconnected')
  // The focus is not lost with the button that is of no use any more.
  assert(await page.locator('#connect').evaluate((button) => button === document.activeElement), 'the focus is at Subscribe')

  // A channel's row keeps the focus while the figures change; Enter takes the channel up.
  await tabTo(page, '#channels tbody button', 'Shift+Tab')
  const name = await page.evaluate(() => document.activeElement.textContent)
  for (let i = 0; i < 3; i += 1) {
    for (let j = 0; j < 20; j += 1) await publish(`another-${i}`, 'x')
    await page.waitForTimeout(1_000)
  }
  assert((await page.evaluate(() => document.activeElement.textContent)) === name, 'the focus has stayed')
  await page.keyboard.press('Enter')
  assert((await page.inputValue('#channel')) === name, 'it is taken up')

  // What is read out changes with the state, not with every second.
  const spoken = await page.evaluate(() => new Promise((resolve) => {
    let changes = 0
    const live = document.querySelectorAll('[role=status], [role=alert], [aria-live]:not([aria-live=off])')
    const observer = new MutationObserver((records) => { changes += records.length })
    for (const region of live) observer.observe(region, { childList: true, characterData: true, subtree: true })
    setTimeout(() => resolve([live.length, changes]), 3_500)
  }))
  assert(spoken[0] >= 3 && spoken[1] === 0, `${spoken[1]} changes in ${spoken[0]} spoken places`)
  await waitForState(page, 'live')
  assertNoErrors(page)
})
