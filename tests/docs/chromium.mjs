// Runs the script that comes to standard input as a module of a page in a headless Chromium, and writes what it logs.
// Arguments: the folder whose node_modules `import` finds, the one that has playwright-core, and whether the page stays
// when the module has been run (`stay`) or not (`leave`).
//
// The page comes from a server in here, of the same machine as the one that is tested: for others Chromium asks its user.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join, normalize } from 'node:path'

const [folder, playwrightFolder, then] = process.argv.slice(2)
const modules = join(folder, 'node_modules')

const chromium = createRequire(`${playwrightFolder}/`)('playwright-core').chromium
const script = readFileSync(0, 'utf8')
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
const page = await browser.newPage()
page.on('console', (message) => process.stdout.write(`${message.text()}\n`))
page.on('pageerror', (error) => fail(error))
await page.goto(await served())
await page.addScriptTag({ type: 'module', content: script })
if (then === 'leave') end(0)

function fail(error) {
  console.error(error)
  end(1)
}

function end(status) {
  browser.close().finally(() => process.exit(status))
}

/** Serves a page and the packages, and returns their origin. */
async function served() {
  const imports = JSON.stringify({ imports: entries() })
  const html = `<!doctype html><script type="importmap">${imports}</script>`
  const server = createServer(({ url }, answer) => {
    const path = join(modules, normalize(url))
    const isModule = url !== '/' && existsSync(path)
    answer.setHeader('content-type', `text/${isModule ? 'javascript' : 'html'}; charset=utf-8`)
    answer.end(isModule ? readFileSync(path) : html)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}/`
}

/** Where each package's module is, as an import map names it. */
function entries() {
  const names = readdirSync(modules).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name])
  const found = {}
  for (const name of names) {
    const path = join(modules, name, 'package.json')
    if (!existsSync(path)) continue
    const { exports, module } = JSON.parse(readFileSync(path, 'utf8'))
    const entry = exports?.['.']?.import
    const file = entry?.default ?? entry ?? module
    if (typeof file === 'string') found[name] = `/${join(name, file)}`
  }
  return found
}

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!path) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  return path
}
