// The log of what is said and heard by hand: bounded, and as quick as the screen, however much comes.

import { byId, make, say } from './dom.js'
import { count, time } from './format.js'

/** Lines that are kept. */
const linesMax = 300

/** Characters of a line that are shown. */
const charactersMax = 4_000

const marks = { in: '←', out: '→', note: '·', error: '!' }
const words = { in: 'received', out: 'sent', note: 'note', error: 'error' }

/** Returns `add(kind, text, place)`; kinds are in, out, note and error. */
export function log() {
  const view = byId('log')
  const list = view.querySelector('ol')
  let waiting = []
  let received = 0
  let drawing = false

  byId('log-clear').addEventListener('click', () => {
    waiting = []
    received = 0
    list.replaceChildren()
    say(byId('log-count'), '')
  })

  function draw() {
    drawing = false
    // Whoever has scrolled up reads.
    const follows = view.scrollTop + view.clientHeight >= view.scrollHeight - 30
    list.append(...waiting.map(line))
    waiting = []
    while (list.children.length > linesMax) list.firstChild.remove()
    if (follows) view.scrollTop = view.scrollHeight
    say(byId('log-count'), received > 0 ? `${count(received)} received` : '')
  }

  return (kind, text, place = '') => {
    if (kind === 'in') received += 1
    waiting.push({ kind, text: String(text), place, at: new Date() })
    if (waiting.length > linesMax) waiting.shift()
    if (!drawing) {
      drawing = true
      // Not by frames: a tab that is not seen has none.
      setTimeout(draw, 50)
    }
  }
}

function line({ kind, text, place, at }) {
  const mark = make('span', { class: 'mark', 'aria-hidden': 'true' }, marks[kind])
  const word = make('span', { class: 'unseen' }, words[kind])
  const shown = text.length > charactersMax ? `${text.slice(0, charactersMax)}… ${count(text.length)} characters` : text
  const parts = [make('time', {}, time(at)), mark, word, make('span', { class: 'text' }, shown)]
  if (place !== '') parts.push(make('span', { class: 'place' }, place))
  return make('li', { class: kind }, ...parts)
}

/** Bytes as hexadecimal digits. */
export function hex(buffer) {
  const all = new Uint8Array(buffer)
  const digits = [...all.slice(0, 64)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  return `${count(all.length)} bytes: ${digits}${all.length > 64 ? ' …' : ''}`
}
