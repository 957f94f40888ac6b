// STOMP 1.2 over WebSocket, as much as trying it out takes.

/** Connects and subscribes to a topic, or to the destination that the channel is written as. */
export function connectStomp({ server, channel, token, offset, epoch, heard, said, note, opened, closed }) {
  const destination = /^\/(topic|queue|user)\//.test(channel) ? channel : `/topic/${channel}`
  const socket = new WebSocket(`${server.ws}/stomp`, ['v12.stomp'])
  socket.binaryType = 'arraybuffer'
  const receipts = new Map()
  let last = ''

  const send = (command, headers, body = '') => {
    // Nothing is escaped in CONNECT (section "Value Encoding").
    const write = command === 'CONNECT' ? String : escape
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${write(value)}`)
    socket.send(`${command}\n${lines.join('\n')}\n\n${body}\0`)
    said(`${command} ${lines.filter((line) => !line.startsWith('passcode:')).join(', ')}`)
  }

  socket.onopen = () => {
    const headers = { 'accept-version': '1.2', host: server.host, 'heart-beat': '0,0' }
    if (token) headers.passcode = token
    send('CONNECT', headers)
  }
  socket.onmessage = ({ data }) => {
    const frame = parse(typeof data === 'string' ? data : new TextDecoder().decode(data))
    if (!frame) return
    const { command, headers, body } = frame
    if (command === 'CONNECTED') {
      const wishes = { id: '0', destination, ack: 'auto', receipt: 'subscribed' }
      if (offset !== '') wishes.since = since(offset, epoch)
      send('SUBSCRIBE', wishes)
    } else if (command === 'RECEIPT' && headers['receipt-id'] === 'subscribed') {
      const { recovered } = headers
      opened(`Subscribed to ${destination}`)
      if (recovered) note(recovered === 'true' ? 'Nothing is missing since that place' : 'Not all since that place is kept any more')
    } else if (command === 'RECEIPT') {
      receipts.get(headers['receipt-id'])?.resolve(`RECEIPT ${headers['receipt-id']}`)
      receipts.delete(headers['receipt-id'])
    } else if (command === 'MESSAGE') {
      heard(headers.gap ? '(a gap: load the state anew)' : body, place(headers['message-id']))
    } else if (command === 'ERROR') {
      last = [headers.message, body.trim()].filter(Boolean).join(': ')
    }
  }
  socket.onclose = (event) => {
    for (const { reject } of receipts.values()) reject(new Error(last || 'the connection was closed'))
    closed(event, last)
  }

  let sent = 0
  return {
    publish(body) {
      sent += 1
      const receipt = `send-${sent}`
      send('SEND', { destination, receipt, 'content-length': String(new TextEncoder().encode(body).length) }, body)
      return new Promise((resolve, reject) => receipts.set(receipt, { resolve, reject }))
    },
    close: () => {
      if (socket.readyState === WebSocket.OPEN) send('DISCONNECT', {})
      socket.close(1000)
    },
  }
}

/** The place of a message as this protocol names it: epoch and offset in decimal digits. */
function since(offset, epoch) {
  return `${epoch === '' ? 0 : BigInt(`0x${epoch}`)}-${offset}`
}

function place(id) {
  return /^\d+-\d+$/.test(id ?? '') ? id.split('-')[1] : (id ?? '')
}

function parse(text) {
  const frame = text.replace(/^[\r\n]+/, '')
  if (frame === '') return null
  const end = /\r?\n\r?\n/.exec(frame)
  const head = frame.slice(0, end?.index ?? frame.length).split(/\r?\n/)
  const headers = {}
  for (const line of head.slice(1)) {
    const colon = line.indexOf(':')
    const name = unescape(line.slice(0, colon))
    // The first counts (section "Repeated Header Entries").
    headers[name] ??= unescape(line.slice(colon + 1))
  }
  const body = end ? frame.slice(end.index + end[0].length).replace(/\0[\r\n]*$/, '') : ''
  return { command: head[0], headers, body }
}

const escapes = { '\\': '\\\\', '\r': '\\r', '\n': '\\n', ':': '\\c' }

function escape(text) {
  return text.replace(/[\\\r\n:]/g, (character) => escapes[character])
}

function unescape(text) {
  const plain = { '\\\\': '\\', '\\r': '\r', '\\n': '\n', '\\c': ':' }
  return text.replace(/\\[\\rnc]/g, (pair) => plain[pair])
}
