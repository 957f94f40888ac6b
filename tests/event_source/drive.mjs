// `EventSource` in a page of a headless Chromium, as tests/event_source.rs has started it: what a page hears, and what it
// hears after its connection was cut. Arguments: the addresses of the public and of the internal listener, and the folder
// that has playwright-core.
//
// Chromium reaches the server through a proxy in here, which cuts its connections and lets it in again; its page comes
// from another origin than the stream. When the server is to be started anew, this says so by a line and waits for one.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { connect, createServer as createProxy } from 'node:net'
import { createInterface } from 'node:readline'

const [publicAddress, internalAddress, playwrightFolder] = process.argv.slice(2)

/** How long anything that must happen may take. */
const deadlineMs = 20_000

// A promise that nobody keeps must not keep the tests waiting.
setTimeout(() => {
  console.error('not done in time')
  process.exit(1)
}, 120_000).unref()

/** Connections between the browser and the server. */
class Proxy {
  #connections = new Set()
  #isOpen = true
  /** Heads of the requests that have come. */
  requests = []

  async listen() {
    const [host, port] = publicAddress.split(':')
    const server = createProxy((client) => {
      if (!this.#isOpen) return client.destroy()
      const upstream = connect(Number(port), host)
      this.#connections.add(client)
      client.once('data', (head) => this.requests.push(head.toString()))
      client.pipe(upstream).pipe(client)
      for (const [one, other] of [[client, upstream], [upstream, client]]) {
        one.on('error', () => {})
        one.on('close', () => { other.destroy(); this.#connections.delete(client) })
      }
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.origin = `http://127.0.0.1:${server.address().port}`
  }

  /** Ends all connections, and those that are tried from now on. */
  cut() {
    this.#isOpen = false
    for (const connection of this.#connections) connection.destroy()
  }

  mend() {
    this.#isOpen = true
  }
}

async function publish(channel, body) {
  const answer = await fetch(`http://${internalAddress}/pub/${channel}`, { method: 'POST', body })
  assert.equal(answer.status, 200)
  return answer.json()
}

async function waitFor(what, holds) {
  const end = Date.now() + deadlineMs
  for (;;) {
    const held = await holds()
    if (held) return held
    assert(Date.now() < end, `not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  assert(path, 'there is no /usr/bin/chromium: run tests/install-tools')
  return path
}

/** Serves an empty page and returns its origin. */
async function served() {
  const server = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html; charset=utf-8')
    answer.end('<!doctype html>')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}`
}

/** A stream in a page, which keeps what it hears. */
class Source {
  constructor(page) {
    this.page = page
  }

  static async open(context, pageOrigin, url) {
    const page = await context.newPage()
    await page.goto(pageOrigin)
    await page.evaluate((url) => {
      window.heard = []
      window.errors = 0
      window.source = new EventSource(url)
      const hear = ({ type, data, lastEventId }) => window.heard.push({ type, data, lastEventId })
      for (const type of ['message', 'gap', 'binary']) window.source.addEventListener(type, hear)
      window.source.onerror = () => { window.errors += 1 }
    }, url)
    return new Source(page)
  }

  /** Waits until the stream is open. */
  opened() {
    return waitFor('an open stream', () => this.page.evaluate(() => window.source.readyState === EventSource.OPEN))
  }

  /** Takes that many events. */
  async take(count) {
    await waitFor(`${count} events`, () => this.page.evaluate((count) => window.heard.length >= count, count))
    return this.page.evaluate((count) => window.heard.splice(0, count), count)
  }

  readyState() {
    return this.page.evaluate(() => window.source.readyState)
  }

  errors() {
    return this.page.evaluate(() => window.errors)
  }
}

const texts = (events) => events.map(({ type, data }) => `${type}: ${data}`)
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => `message: ${from + index}`)

/** Subscribes, and waits until a publication is heard, from which on every one is. */
async function settled(context, pageOrigin, url, channel) {
  const source = await Source.open(context, pageOrigin, url)
  await source.opened()
  let number = 0
  while (await source.page.evaluate(() => window.heard.length === 0)) {
    await publish(channel, `settle ${number++}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const last = `settle ${number - 1}`
  await waitFor(last, () => source.page.evaluate((last) => window.heard.some(({ data }) => data === last), last))
  await source.page.evaluate(() => { window.heard = [] })
  return source
}

const proxy = new Proxy()
await proxy.listen()
const chromium = createRequire(`${playwrightFolder}/`)('playwright-core').chromium
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
try {
  const context = await browser.newContext()
  const pageOrigin = await served()

  // What a page hears.
  const source = await settled(context, pageOrigin, `${proxy.origin}/sub/kept`, 'kept')
  const position = await publish('kept', 'one\r\ntwo\rthree\n')
  await publish('kept', Uint8Array.of(255, 0, 254))
  await publish('kept', '')
  const [text, binary, empty] = await source.take(3)
  assert.deepEqual(text, { type: 'message', data: 'one\ntwo\nthree\n', lastEventId: `${position.epoch}:${position.offset}` })
  assert.equal(binary.type, 'binary')
  assert.equal(binary.data, '/wD+')
  assert.deepEqual([empty.type, empty.data], ['message', ''])

  // What it missed while it was away comes first, and then what is published.
  proxy.cut()
  for (let number = 1; number <= 5; number++) await publish('kept', `${number}`)
  proxy.mend()
  assert.deepEqual(texts(await source.take(5)), numbers(1, 5))
  assert(proxy.requests.at(-1).toLowerCase().includes(`\r\nlast-event-id: ${empty.lastEventId}\r\n`), proxy.requests.at(-1))
  await publish('kept', '6')
  assert.deepEqual(texts(await source.take(1)), numbers(6, 6))

  // One that has heard nothing yet knows all the same from where on it has missed something.
  const silent = await Source.open(context, pageOrigin, `${proxy.origin}/sub/silent`)
  await silent.opened()
  await waitFor('its subscription', async () => {
    const metrics = await (await fetch(`http://${internalAddress}/metrics`)).text()
    return /^pushring_subscriptions\{.*\} [1-9]/m.test(metrics) && (await silent.readyState()) === 1
  })
  proxy.cut()
  for (let number = 1; number <= 3; number++) await publish('silent', `${number}`)
  proxy.mend()
  const first = await silent.take(1)
  assert(['gap', 'message'].includes(first[0].type), texts(first))

  // More than is kept was missed: the page is told, and goes on from there.
  const short = await settled(context, pageOrigin, `${proxy.origin}/sub/short`, 'short')
  proxy.cut()
  for (let number = 1; number <= 10; number++) await publish('short', `${number}`)
  proxy.mend()
  const [gap] = await short.take(1)
  const now = await publish('short', '11')
  assert.deepEqual([gap.type, gap.data], ['gap', `${now.epoch}:${now.offset - 1}`])
  assert.equal(gap.lastEventId, gap.data)
  assert.deepEqual(texts(await short.take(1)), numbers(11, 11))

  // A server that was started anew has kept nothing.
  process.stdout.write('restart\n')
  await lines.next()
  const [restarted] = await short.take(1)
  assert.equal(restarted.type, 'gap')
  await publish('short', '12')
  assert.deepEqual(texts(await short.take(1)), numbers(12, 12))
  assert(await short.errors() >= 2)

  // Whom the server refuses hears of it once, and does not come again.
  const refused = await Source.open(context, pageOrigin, `${proxy.origin}/sub/%zz`)
  await waitFor('the refusal', async () => (await refused.readyState()) === 2)
  assert.equal(await refused.errors(), 1)
} finally {
  await browser.close()
}
process.exit(0)
