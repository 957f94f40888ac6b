// Drives connections of `centrifuge` in node as it is told: tests/centrifuge/clients/program.rs lists commands and events.
// Its argument is the folder that has it and `ws` in its node_modules.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

import { commander } from './connections.mjs'

const [folder] = process.argv.slice(2)
const require = createRequire(`${folder}/`)

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const command = commander(require('centrifuge'), require('ws'), tell)

const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => command(JSON.parse(line)))
commands.on('close', () => process.exit(0))
