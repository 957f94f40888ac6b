// What the scripts for the internal listener's page share.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { assertNoErrors, foreignOrigin, keepPicture, waitFor, withBrowser as run } from '../browser/browser.mjs'

export { assertNoErrors, foreignOrigin, keepPicture, waitFor }

const axe = new URL('../../target/tools/axe/node_modules/axe-core/axe.min.js', import.meta.url)

/** Addresses of the internal and of the public listener. */
export const [, , internal, publicAddress] = process.argv

export const url = `http://${internal}/`

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Has the test do something with the server: `kill`, `start`, `stop`, `continue`. */
export async function have(what) {
  process.stdout.write(`${what}\n`)
  const { value } = await answers.next()
  if (value !== 'done') throw new Error(`${what}: ${value}`)
}

/** Runs a test in a browser of its own. */
export async function withBrowser(test) {
  await run(test)
  // Waiting for more of it would keep the script from ending.
  process.stdin.destroy()
}

/** Publishes over HTTP, as a backend does. */
export async function publish(channel, body, headers = {}) {
  const answer = await fetch(`${url}pub/${encodeURIComponent(channel)}`, { method: 'POST', body, headers })
  if (!answer.ok) throw new Error(`publishing: ${answer.status}`)
  return answer.json()
}

/** Opens the page and waits until it shows figures. */
export async function openLive(browser, options) {
  const page = await browser.open(url, options)
  await waitForState(page, 'live')
  return page
}

export async function waitForState(page, name) {
  const pill = page.locator('#state')
  let state
  await waitFor(`state ${name}`, async () => (state = await pill.getAttribute('data-state')) === name)
    .catch((error) => { throw new Error(`${error.message}, but ${state}`) })
}

/** The number that a tile shows. */
export async function tile(page, name) {
  const text = await page.locator('.tile', { has: page.locator(`dt:text-is("${name}")`) }).locator('.value').textContent()
  return Number(text.replaceAll(',', '').replace(/ .*/, ''))
}

/** The lines of the log: kind and text of each. */
export function logged(page) {
  return page.locator('#log li').evaluateAll((lines) => lines.map((line) => [line.className, line.querySelector('.text').textContent]))
}

export async function waitForLine(page, kind, part) {
  let lines
  await waitFor(`${kind}: ${part}`, async () => {
    lines = await logged(page)
    return lines.some((line) => line[0] === kind && line[1].includes(part))
  }).catch((error) => { throw new Error(`${error.message}, but ${JSON.stringify(lines)}`) })
}

export const choose = (page, protocol) => page.locator(`input[value=${protocol}]`).check({ force: true })

export async function waitForText(page, selector, part) {
  let text
  await waitFor(part, async () => (text = await page.textContent(selector)).includes(part))
    .catch((error) => { throw new Error(`${error.message}, but ${text}`) })
}

/** Fails if the page has anything that axe finds inaccessible. */
export async function assertAccessible(page, when) {
  // The page's own policy lets no script in but its own; the debugger may evaluate.
  await page.evaluate(readFileSync(axe, 'utf8'))
  const violations = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
  })
  if (violations.length > 0) throw new Error(`${when}:\n${violations.join('\n')}`)
}

export function assert(holds, what) {
  if (!holds) throw new Error(what)
}
