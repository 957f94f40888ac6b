// Starts a headless Chromium for the tests of one run and tells its endpoint; it ends with its standard input. Its argument
// is the folder that has playwright-core in its node_modules.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'

const chromium = createRequire(`${process.argv[2]}/`)('playwright-core').chromium
const server = await chromium.launchServer({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
console.log(server.wsEndpoint())

process.stdin.resume()
process.stdin.on('close', async () => {
  await server.close()
  process.exit(0)
})

function chromiumPath() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (!path) throw new Error('there is no /usr/bin/chromium: run tests/install-tools')
  return path
}
