// The figures of all shards together, each with its last two minutes.

import { Sparkline, byId, make, say } from './dom.js'
import { bytes, count, micros, percent, rate } from './format.js'

/** What the tiles show: a number to draw, its text, and a line below it. `warn` colours it. */
const tiles = [
  {
    name: 'Connections',
    value: (t) => t.connections,
    text: count,
    more: (t) => `${count(t.subscriptions)} subscriptions`,
  },
  {
    name: 'Deliveries / s',
    value: (t) => t.rates?.deliveries,
    text: rate,
    more: (t) => `${count(t.deliveries)} so far`,
  },
  {
    name: 'Publications / s',
    value: (t) => t.rates?.publications,
    text: rate,
    more: (t) => `${count(t.publications)} so far`,
  },
  {
    name: 'Sent / s',
    value: (t) => t.rates?.bytes_out,
    text: bytes,
    more: (t) => `${rate(t.rates?.sends)} sends, ${bytes(t.rates?.bytes_in)} in`,
  },
  {
    name: 'Turn, p99',
    value: (t) => t.rates?.turn_p99_us,
    text: micros,
    more: (t) => `half within ${micros(t.rates?.turn_p50_us)}, all ${micros(t.rates?.turn_max_us)}`,
    warn: (t) => t.rates?.turn_p99_us >= 50_000,
  },
  {
    name: 'Busy',
    value: (t) => t.rates?.busy,
    text: percent,
    more: (t) => `${rate(t.rates?.turns)} turns / s`,
    warn: (t) => t.rates?.busy >= 0.9,
  },
  {
    name: 'Backlog',
    value: (t) => t.backlog_bytes,
    text: bytes,
    more: (t) => (t.history_bytes > 0 ? `${bytes(t.history_bytes)} of histories` : 'no histories'),
  },
  {
    name: 'Slow consumers',
    value: (t) => t.backlogged,
    text: count,
    more: (t) => `${count(t.closed_slow)} closed, ${count(t.dropped)} dropped`,
    warn: (t) => t.rates?.closed_slow > 0 || t.rates?.dropped > 0,
  },
]

/** Draws the tiles; returns what to call with the totals of each snapshot. */
export function drawTiles() {
  const list = make('dl', { class: 'tiles' })
  const drawn = tiles.map((tile) => {
    const value = make('dd', { class: 'value' }, '–')
    const more = make('dd', { class: 'more' }, '\u00a0')
    const peak = make('dd', { class: 'peak', title: 'The highest of the last two minutes' }, '')
    const spark = new Sparkline()
    const group = make('div', { class: 'tile' }, make('dt', {}, tile.name), value, more, peak)
    group.append(spark.element)
    list.append(group)
    return { tile, group, value, more, peak, spark }
  })
  byId('tiles').replaceChildren(list)
  return (totals) => {
    for (const { tile, group, value, more, peak, spark } of drawn) {
      const number = tile.value(totals)
      const highest = spark.push(number ?? null)
      say(value, tile.text(number))
      say(more, tile.more(totals))
      say(peak, highest > 0 ? `peak ${tile.text(highest)}` : '')
      group.classList.toggle('warn', Boolean(tile.warn?.(totals)))
    }
  }
}
