// The shards, and the busiest channels.

import { Sparkline, byId, make, say } from './dom.js'
import { bytes, count, micros, percent, rate } from './format.js'

const shardColumns = [
  ['Busy', (s) => percent(s.rates?.busy)],
  ['Connections', (s) => count(s.connections)],
  ['Subscriptions', (s) => count(s.subscriptions)],
  ['Deliveries / s', (s) => rate(s.rates?.deliveries)],
  ['Publications / s', (s) => rate(s.rates?.publications)],
  ['Turn, p50', (s) => micros(s.rates?.turn_p50_us)],
  ['Turn, p99', (s) => micros(s.rates?.turn_p99_us)],
  ['Sent / s', (s) => bytes(s.rates?.bytes_out)],
  ['Backlog', (s) => bytes(s.backlog_bytes)],
  ['Slow now', (s) => count(s.backlogged)],
  ['Closed slow', (s) => count(s.closed_slow)],
]

/** Draws the shards' table; returns what to call with each snapshot. */
export function drawShards() {
  const body = make('tbody')
  const foot = make('tfoot')
  const heads = shardColumns.map(([name]) => make('th', { scope: 'col' }, name))
  const last = make('th', { scope: 'col', class: 'drawn' }, 'Last 2 min')
  const head = make('tr', {}, make('th', { scope: 'col', class: 'name' }, 'Shard'), ...heads, last)
  byId('shards').replaceChildren(make('thead', {}, head), body, foot)

  const row = (name) => {
    const cells = shardColumns.map(() => make('td'))
    const spark = new Sparkline()
    const drawn = make('td', { class: 'drawn' })
    drawn.append(spark.element)
    const label = make('th', { scope: 'row', class: 'name' }, name)
    return { element: make('tr', {}, label, ...cells, drawn), label, name, cells, spark }
  }
  const fill = (row, shard) => {
    shardColumns.forEach(([, text], i) => say(row.cells[i], text(shard)))
    row.cells[0].style.setProperty('--share', `${100 * (shard.rates?.busy ?? 0)}%`)
    row.cells[0].classList.add('bar')
    row.spark.push(shard.rates?.deliveries ?? null)
    const isStuck = shard.stuck_ms >= 2_000
    row.element.classList.toggle('stuck', isStuck)
    say(row.label, isStuck ? `${row.name}: no turn for ${Math.round(shard.stuck_ms / 1000)} s` : row.name)
  }

  let rows = []
  const total = row('All')
  return ({ shards, total: sums }) => {
    if (rows.length !== shards.length) {
      rows = shards.map((_, i) => row(String(i)))
      body.replaceChildren(...rows.map(({ element }) => element))
      foot.replaceChildren(...(shards.length > 1 ? [total.element] : []))
    }
    shards.forEach((shard, i) => fill(rows[i], shard))
    fill(total, { ...sums, stuck_ms: 0 })
  }
}

const estimate = (channel) => (channel.publications == null ? null : channel.publications * channel.subscribers)

const channelColumns = [
  ['Channel', (c) => c.name],
  ['Publications / s', (c) => c.publications, rate],
  ['Subscribers', (c) => c.subscribers, count],
  ['Deliveries / s, about', estimate, rate],
  ['Behind', (c) => c.behind, count],
  ['Shard', (c) => c.owner, (owner) => (owner == null ? '–' : String(owner))],
]

/** Draws the channels' table; `choose(name)` is called with the one that is clicked. Returns what to call with each snapshot. */
export function drawChannels(choose) {
  const rows = new Map()
  const body = make('tbody')
  const filter = byId('channels-filter')
  let order = { column: 1, down: true }
  let newest = { busiest: [] }

  const heads = channelColumns.map(([name], column) => {
    const button = make('button', { type: 'button' }, name)
    button.addEventListener('click', () => {
      // Numbers begin with the highest, names with the first.
      order = { column, down: order.column === column ? !order.down : column > 0 }
      show()
    })
    return make('th', { scope: 'col', ...(column === 0 ? { class: 'name' } : {}) }, button)
  })
  byId('channels').replaceChildren(make('thead', {}, make('tr', {}, ...heads)), body)
  filter.addEventListener('input', () => show())

  function rowOf(name) {
    let row = rows.get(name)
    if (!row) {
      const button = make('button', { type: 'button', title: 'Take it by hand, below' }, name)
      button.addEventListener('click', () => choose(name))
      const cells = channelColumns.slice(1).map(() => make('td'))
      row = { element: make('tr', {}, make('th', { scope: 'row', class: 'name' }, button), ...cells), cells }
      rows.set(name, row)
    }
    return row
  }

  const shownNames = () => [...body.querySelectorAll('button')].map((button) => button.textContent)

  /** With `held` what is shown stays, and keeps its place. */
  function show(held = false) {
    heads.forEach((head, column) => {
      if (column === order.column) head.setAttribute('aria-sort', order.down ? 'descending' : 'ascending')
      else head.removeAttribute('aria-sort')
    })
    const wanted = filter.value.toLowerCase()
    const shown = newest.busiest.filter(({ name }) => name.toLowerCase().includes(wanted))
    const key = channelColumns[order.column][1]
    const compare = (a, b) => (typeof a === 'string' ? a.localeCompare(b) : (a ?? -1) - (b ?? -1))
    if (held) {
      for (const name of shownNames()) {
        const isThere = newest.busiest.some((one) => one.name === name)
        if (!isThere && name.toLowerCase().includes(wanted)) shown.push({ name })
      }
      const places = new Map([...body.children].map((element, at) => [element, at]))
      const place = ({ name }) => places.get(rows.get(name)?.element) ?? Infinity
      shown.sort((a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)))
    } else {
      // A stable sort keeps the server's order among equals.
      shown.sort((a, b) => compare(key(a), key(b)) * (order.down ? -1 : 1))
    }
    const names = new Set(shown.map(({ name }) => name))
    for (const name of rows.keys()) if (!names.has(name)) rows.delete(name)
    shown.forEach((channel, at) => {
      const { element, cells } = rowOf(channel.name)
      channelColumns.slice(1).forEach(([, value, text], i) => say(cells[i], text(value(channel))))
      cells[3].classList.toggle('warned', channel.behind > 0)
      if (body.children[at] !== element) body.insertBefore(element, body.children[at] ?? null)
    })
    while (body.children.length > shown.length) body.lastChild.remove()
    const none = byId('channels-none')
    none.hidden = shown.length > 0
    say(none, newest.unknown ? `The channels are not known: ${newest.unknown}.`
      : newest.busiest.length > 0 ? 'None of the busiest channels has that in its name.'
      : 'No channel has been published to or subscribed to.')
    byId('channels').hidden = shown.length === 0
    const { used } = newest
    say(byId('channels-count'), used == null ? '' : `${count(used)} with subscribers; the busiest are shown`)
  }

  return ({ channels }) => {
    newest = channels
    // Nothing moves away from under the pointer or the keyboard.
    show(body.matches(':hover, :focus-within'))
  }
}
