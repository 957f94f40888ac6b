// What the browser tests share: a real Chromium, and waiting for what a page shows.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** How long anything that must happen may take. */
const deadlineMs = 20_000

/** How long a whole script may take. */
const scriptDeadlineMs = 120_000

const target = new URL('../../target/', import.meta.url)
const address = process.argv[2]

// A promise that nobody keeps must not keep the tests waiting.
setTimeout(() => {
  console.error(`not done after ${scriptDeadlineMs} ms`)
  process.exit(1)
}, scriptDeadlineMs).unref()

/** The address of the example's page; the browser finds it there whatever the example's port is. */
export const origin = 'http://localhost:8080'

/** The same page as one of an origin that the example does not know. */
export const foreignOrigin = 'http://elsewhere.localhost:8080'

/** Runs a test in a browser of its own. */
export async function withBrowser(test) {
  const server = await playwright().launchServer({
    executablePath: chromiumPath(),
    args: ['--no-sandbox', `--host-resolver-rules=${[origin, foreignOrigin].map(rule).join(',')}`],
  })
  try {
    const browser = await playwright().connect(server.wsEndpoint())
    await test({
      open: async (url, options) => openTab(await browser.newContext(options), url),
      /** Ends the browser's processes, so that nothing in it says goodbye. */
      kill: () => server.kill(),
    })
  } finally {
    await server.close()
  }
}

/** Opens a page in a tab beside the others of its context, and keeps what goes wrong in it. */
export async function openTab(context, url) {
  const page = await context.newPage()
  page.setDefaultTimeout(deadlineMs)
  page.scriptErrors = []
  page.on('pageerror', (error) => page.scriptErrors.push(error))
  page.consoleErrors = []
  page.on('console', (message) => { if (message.type() === 'error') page.consoleErrors.push(message.text()) })
  page.received = []
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => page.received.push(payload)))
  await page.goto(url)
  return page
}

function playwright() {
  try {
    return createRequire(new URL('tools/browser/', target))('playwright-core').chromium
  } catch (error) {
    throw new Error('there is no playwright-core in target/tools: run tests/install-tools', { cause: error })
  }
}

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!path) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  return path
}

function rule(origin) {
  return `MAP ${new URL(origin).host} ${address}`
}

/** Waits until something holds. */
export async function waitFor(what, holds) {
  const end = Date.now() + deadlineMs
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Waits until the elements that a selector finds have just these texts. */
export async function waitForTexts(page, selector, texts) {
  const wanted = JSON.stringify(texts)
  let shown
  await waitFor(wanted, async () => {
    shown = JSON.stringify(await page.locator(selector).allTextContents())
    return shown === wanted
  }).catch((error) => { throw new Error(`${error.message}, but ${shown}`) })
}

/** Waits until the browser has reported with which HTTP status a handshake was refused. */
export async function waitForRefusal(page, status) {
  const line = `Unexpected response code: ${status}`
  await waitFor(`${line}, but ${page.consoleErrors}`, () => page.consoleErrors.some((text) => text.includes(line)))
}

/** Fails if a script of one of the pages has. */
export function assertNoErrors(...pages) {
  for (const page of pages) if (page.scriptErrors.length > 0) throw page.scriptErrors[0]
}

/** Keeps a picture of a page, to be looked at. */
export async function keepPicture(page, name) {
  await page.screenshot({ path: fileURLToPath(new URL(`screenshots/${name}.png`, target)) })
}
