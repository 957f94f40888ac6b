// Drives connections of `@stomp/stompjs` in a page of a headless Chromium as it is told: tests/stomp/client.rs lists
// commands and events. Its arguments are the folder that has the library in its node_modules, and the one that has
// playwright-core.
//
// The page and its scripts are served to the browser from here; its WebSockets are its own.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const [folder, playwrightFolder] = process.argv.slice(2)
const origin = 'http://stomp.localhost'

const files = {
  '/stomp.js': `${folder}/node_modules/@stomp/stompjs/bundles/stomp.umd.js`,
  '/connections.mjs': beside('connections.mjs'),
  '/stompjs.mjs': beside('stompjs.mjs'),
}

const page = `<!doctype html>
<script src="/stomp.js"></script>
<script type="module">
  import { commander } from '/connections.mjs'
  import { Connection } from '/stompjs.mjs'

  // Events go out in batches, for a call out of the page costs more than most of them.
  let events = []
  const tell = (event) => {
    if (events.push(event) > 1) return
    queueMicrotask(() => {
      tellAll(events.map((event) => JSON.stringify(event)).join('\\n'))
      events = []
    })
  }
  const command = commander(Connection, StompJs, WebSocket, tell)
  window.commandAll = (commands) => commands.forEach(command)
</script>`

const chromium = createRequire(`${playwrightFolder}/`)('playwright-core').chromium
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
const tab = await browser.newPage()
tab.on('pageerror', (error) => console.error(error))
await tab.exposeFunction('tellAll', (lines) => process.stdout.write(lines + '\n'))
await tab.route(`${origin}/**`, (route) => {
  const path = files[new URL(route.request().url()).pathname]
  return route.fulfill(path ? { path, contentType: 'text/javascript' } : { body: page, contentType: 'text/html' })
})
await tab.goto(origin)
await tab.waitForFunction(() => window.commandAll)

// Commands too go in batches, of what has come while the last was on its way.
let waiting = []
let isOnTheWay = false
async function pass() {
  if (isOnTheWay) return
  isOnTheWay = true
  while (waiting.length > 0) {
    const batch = waiting
    waiting = []
    await tab.evaluate((commands) => window.commandAll(commands), batch)
  }
  isOnTheWay = false
}

const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => {
  waiting.push(JSON.parse(line))
  pass()
})
commands.on('close', async () => {
  await browser.close()
  process.exit(0)
})

function beside(name) {
  return fileURLToPath(new URL(name, import.meta.url))
}

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!path) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  return path
}
