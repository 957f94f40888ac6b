// Event streams (Server-Sent Events) by fetch, which can send a key and sees why it was refused; EventSource can neither.

/** An answer that is no event stream. */
export class Refused extends Error {
  constructor(status, text) {
    super(text || `status ${status}`)
    this.status = status
  }
}

/**
 * Reads a stream to its end. `on` gets `open()`, and `event({ id, type, data })` for each.
 * Throws a Refused, or what fetch throws where there is nobody.
 */
export async function readEvents(url, { headers = {}, signal, open, event }) {
  const answer = await fetch(url, { headers: { Accept: 'text/event-stream', ...headers }, signal, cache: 'no-store' })
  const kind = answer.headers.get('Content-Type') ?? ''
  if (!answer.ok || !kind.startsWith('text/event-stream')) {
    const text = await answer.text().catch(() => '')
    throw new Refused(answer.ok ? 0 : answer.status, text.trim())
  }
  open()
  const parser = new Parser(event)
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    parser.push(value)
  }
}

/** HTML Standard, section 9.2.6: lines to events. */
class Parser {
  constructor(event) {
    this.event = event
    this.rest = ''
    this.id = ''
    this.clear()
  }

  push(text) {
    // A CR at the end may be the first half of a CRLF.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop()
    for (const line of lines) this.line(line)
  }

  line(line) {
    if (line === '') {
      // An id alone moves the place and is no event; here it is told, too.
      if (this.data.length > 0 || this.named) this.event({ id: this.id, type: this.type, data: this.data.join('\n') })
      this.clear()
      return
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)
    if (field === 'data') this.data.push(value)
    if (field === 'event') this.type = value
    if (field === 'id') {
      this.id = value
      this.named = true
    }
  }

  clear() {
    this.data = []
    this.type = ''
    this.named = false
  }
}
