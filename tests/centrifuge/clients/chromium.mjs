// Drives connections of `centrifuge` in a page of a headless Chromium as it is told: tests/centrifuge/clients/program.rs lists
// commands and events. Its arguments are the folder that has the library in its node_modules, and the one that has
// playwright-core.
//
// The page and its scripts come from a server in here, of the same machine as the one that is tested: for others Chromium
// asks its user.

import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const [folder, playwrightFolder] = process.argv.slice(2)

const files = {
  '/centrifuge.js': `${folder}/node_modules/centrifuge/dist/centrifuge.js`,
  '/connections.mjs': beside('connections.mjs'),
}

const page = `<!doctype html>
<script src="/centrifuge.js"></script>
<script type="module">
  import { commander } from '/connections.mjs'

  // Events go out in batches, of what has come while the last was on its way: a call out of the page costs more than
  // most of them.
  let waiting = []
  let isOnTheWay = false
  const tell = async (event) => {
    waiting.push(JSON.stringify(event))
    if (isOnTheWay) return
    isOnTheWay = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      await tellAll(batch.join('\\n'))
    }
    isOnTheWay = false
  }
  const command = commander({ Centrifuge }, WebSocket, tell)
  window.commandAll = (commands) => commands.forEach(command)
</script>`

const chromium = createRequire(`${playwrightFolder}/`)('playwright-core').chromium
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
const tab = await browser.newPage()
tab.on('pageerror', (error) => console.error(error))
await tab.exposeFunction('tellAll', (lines) => process.stdout.write(lines + '\n'))
await tab.goto(await served())
await tab.waitForFunction(() => window.commandAll)

// Commands go in batches too, but not in such that a page has time for nothing else.
const batchMax = 200
const waiting = []
let isOnTheWay = false
async function pass() {
  if (isOnTheWay) return
  isOnTheWay = true
  while (waiting.length > 0) {
    const batch = waiting.splice(0, batchMax)
    await tab.evaluate((commands) => window.commandAll(commands), batch)
  }
  isOnTheWay = false
}

// Who has told all that there is to do may not listen to what comes of it.
let isEnding = false
process.stdout.on('error', () => {})

const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => {
  waiting.push(JSON.parse(line))
  pass().catch((error) => { if (!isEnding) throw error })
})
commands.on('close', async () => {
  isEnding = true
  await browser.close()
  process.exit(0)
})

/** Serves page and scripts, and returns their origin. */
async function served() {
  const server = createServer(({ url }, answer) => {
    answer.setHeader('content-type', `text/${files[url] ? 'javascript' : 'html'}; charset=utf-8`)
    answer.end(files[url] ? readFileSync(files[url]) : page)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}`
}

function beside(name) {
  return fileURLToPath(new URL(name, import.meta.url))
}

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!path) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  return path
}
