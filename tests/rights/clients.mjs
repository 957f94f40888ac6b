// Clients whose tokens expire again and again, as tests/rights/clients.rs has started them: a page in Chromium that does what
// docs/access.md has pages do, and @stomp/stompjs. Each must hear every publication once and in order. Arguments: the
// addresses of the public and of the internal listener, the server's secret, the folder of docs/, the one that has
// playwright-core, and the one that has the clients.
//
// The page's origin is a server in here, as a proxy would be: it makes tokens at /token, and passes /sub/ on to the server.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [publicAddress, internalAddress, secret, docs, playwrightFolder, clientsFolder] = process.argv.slice(2)

/** So much longer than its `exp` says a token is taken. */
const leewayMs = 5_000

/** For how long the tokens here are taken. */
const tokenMs = 2_000

/** How often a client has to come with a new token. */
const renewals = 3

// A promise that nobody keeps must not keep the tests waiting.
setTimeout(() => {
  console.error('not done in time')
  process.exit(1)
}, 90_000).unref()

function token() {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = (Date.now() + tokenMs - leewayMs) / 1_000
  const signed = `${part({ alg: 'HS256' })}.${part({ sub: 'ann', exp, subscribe: ['prices'] })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** Serves an empty page, tokens, and streams; returns its origin and how many tokens it has given. */
async function served() {
  const given = { tokens: 0 }
  const server = createServer((asked, answer) => {
    if (asked.url.startsWith('/sub/')) {
      const upstream = request(`http://${publicAddress}${asked.url}`, { headers: asked.headers }, (stream) => {
        answer.writeHead(stream.statusCode, stream.headers)
        stream.pipe(answer)
      })
      answer.on('close', () => upstream.destroy())
      upstream.on('error', () => answer.destroy())
      upstream.end()
    } else if (asked.url === '/token') {
      given.tokens += 1
      answer.end(token())
    } else {
      answer.setHeader('content-type', 'text/html; charset=utf-8')
      answer.end('<!doctype html>')
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { origin: `http://127.0.0.1:${server.address().port}`, given }
}

async function publish(number) {
  const answer = await fetch(`http://${internalAddress}/pub/prices`, { method: 'POST', body: `${number}` })
  assert.equal(answer.status, 200)
}

async function waitFor(what, holds) {
  const end = Date.now() + 20_000
  while (!(await holds())) {
    assert(Date.now() < end, `not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The example of the page that begins so. */
function example(beginning) {
  const blocks = readFileSync(join(docs, 'access.md'), 'utf8').split('```')
  const block = blocks.find((block) => block.startsWith(`js\n${beginning}`))
  assert(block, `docs/access.md has no example that begins with ${beginning}`)
  return block.slice('js\n'.length)
}

/** A page that runs the example. */
async function pageThatListens(browser, origin) {
  const page = await browser.newPage()
  page.on('pageerror', (error) => { throw error })
  await page.goto(origin)
  await page.evaluate(() => {
    window.heard = []
    window.show = (data) => window.heard.push(data)
  })
  await page.addScriptTag({ content: example('let last') })
  return { heard: () => page.evaluate(() => window.heard), given: null }
}

/** A client of STOMP that brings its token as its passcode, and goes on where it was. */
function stompThatListens({ Client }, WebSocket) {
  const given = { tokens: 0 }
  const heard = []
  let last
  const client = new Client({
    webSocketFactory: () => new WebSocket(`ws://${publicAddress}/stomp`),
    reconnectDelay: 10,
    beforeConnect: () => {
      given.tokens += 1
      client.connectHeaders = { login: 'ann', passcode: token() }
    },
    onConnect: () => {
      client.subscribe('/topic/prices', ({ body, headers }) => {
        last = headers['message-id']
        heard.push(headers.gap ? 'gap' : body)
      }, last ? { since: last } : {})
    },
  })
  client.activate()
  return { heard: async () => heard, given }
}

const load = createRequire(`${clientsFolder}/`)
const chromium = createRequire(`${playwrightFolder}/`)('playwright-core').chromium
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
assert(executablePath, 'there is no /usr/bin/chromium: run tests/install-tools')
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
try {
  const { origin, given } = await served()
  const clients = [
    Object.assign(await pageThatListens(browser, origin), { given }),
    stompThatListens(load('@stomp/stompjs'), load('ws')),
  ]
  // What was published before somebody was subscribed is not heard; from the first that is heard on everything is.
  let number = 0
  const allHear = async () => (await Promise.all(clients.map(({ heard }) => heard()))).every(({ length }) => length > 0)
  const allRenewed = () => clients.every(({ given }) => given.tokens > renewals)
  await waitFor('a publication', async () => {
    await publish(++number)
    return allHear()
  })
  await waitFor('new tokens', async () => {
    await publish(++number)
    return allRenewed()
  })
  for (const { heard } of clients) {
    await waitFor('the last publication', async () => (await heard()).at(-1) === `${number}`)
    const all = await heard()
    const first = Number(all[0])
    assert.deepEqual(all, Array.from({ length: number - first + 1 }, (_, index) => `${first + index}`))
  }
} finally {
  await browser.close()
}
process.exit(0)
