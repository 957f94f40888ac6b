// Puts the page together.

import { byId, say } from './dom.js'
import { duration } from './format.js'
import { byHand } from './hand.js'
import { askForKey } from './key.js'
import { watch } from './live.js'
import { drawChannels, drawShards } from './tables.js'
import { drawTiles } from './tiles.js'

const hand = byHand()
const tiles = drawTiles()
const shards = drawShards()
const channels = drawChannels(hand.choose)

const again = watch({ snapshot, state })
byId('change-key').addEventListener('click', async () => { if (await askForKey()) again() })

function snapshot(newest) {
  const { server, total } = newest
  document.title = `${server.name} – pushring`
  say(byId('server'), `${server.name} · ${server.version} · up ${duration(server.uptime_s)}`)
  const stuck = newest.shards.findIndex((shard) => shard.stuck_ms >= 2_000)
  if (server.draining) state('draining', 'Shutting down: connections are being closed')
  else if (stuck >= 0) state('stuck', `Shard ${stuck} does not answer`)
  else state('live', 'Live')
  hand.heardOf(server)
  tiles(total)
  shards(newest)
  channels(newest)
}

/** Shows how things stand. The words are read out when they change, not each second. */
function state(name, words) {
  const pill = byId('state')
  if (pill.dataset.state !== name) pill.dataset.state = name
  say(byId('state-text'), words)
  // What is shown is not of now.
  document.body.classList.toggle('stale', ['gone', 'key', 'strange', 'paused'].includes(name))
}
