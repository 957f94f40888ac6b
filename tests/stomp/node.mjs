// Drives connections of a STOMP library in node as it is told: tests/stomp/program.rs lists commands and events. Its
// arguments are the library, `stompjs` or `webstomp`, and the folder that has it and `ws` in its node_modules.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

import { commander } from './connections.mjs'

const [name, folder] = process.argv.slice(2)
const require = createRequire(`${folder}/`)
const { Connection } = await import(`./${name}.mjs`)
const library = require({ stompjs: '@stomp/stompjs', webstomp: 'webstomp-client' }[name])

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const command = commander(Connection, library, require('ws'), tell)

const commands = createInterface({ input: process.stdin })
commands.on('line', (line) => command(JSON.parse(line)))
commands.on('close', () => process.exit(0))
