// What the browser tests share: a real Chromium, and waiting for what a page shows.

import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'

const require = createRequire(new URL('../../target/tools/browser/', import.meta.url))
const { chromium } = require('playwright-core')

/** How long anything that must happen may take. */
export const deadlineMs = 20_000

/** Runs a test with a browser that finds the server under test at localhost:8080, whatever its port. */
export async function withBrowser(test) {
  const address = process.argv[2]
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!executablePath) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', `--host-resolver-rules=MAP localhost:8080 ${address}`],
  })
  try {
    await test({
      origin: 'http://localhost:8080',
      /** A page in a context of its own; what goes wrong in its scripts fails the test. */
      async open(url) {
        const context = await browser.newContext({ viewport: { width: 800, height: 600 } })
        const page = await context.newPage()
        page.setDefaultTimeout(deadlineMs)
        page.errors = []
        page.on('pageerror', (error) => page.errors.push(error))
        await page.goto(url)
        return page
      },
    })
  } finally {
    await browser.close()
  }
}

/** Fails if a script of one of the pages has. */
export function assertNoErrors(...pages) {
  for (const page of pages) if (page.errors.length > 0) throw page.errors[0]
}

/** Waits until the elements that a selector finds have just these texts. */
export async function waitForTexts(page, selector, texts) {
  try {
    await page.waitForFunction(
      ([selector, texts]) => {
        const shown = [...document.querySelectorAll(selector)].map((element) => element.textContent)
        return JSON.stringify(shown) === JSON.stringify(texts)
      },
      [selector, texts],
    )
  } catch (error) {
    const shown = await page.locator(selector).allTextContents()
    throw new Error(`${JSON.stringify(texts)} is expected, not ${JSON.stringify(shown)}`, { cause: error })
  }
}

/** Keeps a picture of a page, to be looked at. */
export async function keepPicture(page, name) {
  await page.screenshot({ path: new URL(`../../target/screenshots/${name}.png`, import.meta.url).pathname })
}
