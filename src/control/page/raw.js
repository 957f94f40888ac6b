// The raw protocol: a message is a payload and nothing else.

import { hex } from './log.js'

/** Subscribes; the channel's publishing socket is opened with the first message. */
export function connectRaw({ server, channel, token, offset, epoch, heard, note, opened, closed }) {
  const query = new URLSearchParams()
  if (token) query.set('token', token)
  const inbound = new URLSearchParams(query)
  if (offset !== '') inbound.set('offset', offset)
  if (epoch !== '') inbound.set('epoch', epoch)
  const path = (verb, search) => {
    const text = search.toString()
    return `${server.ws}/${verb}/${encodeURIComponent(channel)}${text && '?'}${text}`
  }

  const socket = new WebSocket(path('sub', inbound))
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => opened('Subscribed')
  socket.onmessage = ({ data }) => heard(typeof data === 'string' ? data : hex(data))
  socket.onclose = (event) => {
    publisher?.close()
    closed(event)
  }

  let publisher = null
  const publishing = () => new Promise((resolve, reject) => {
    if (publisher?.readyState === WebSocket.OPEN) return resolve(publisher)
    const other = new WebSocket(path('pub', query))
    other.onopen = () => resolve(other)
    other.onclose = ({ code, reason }) => {
      reject(new Error(`the socket at /pub/ was closed: ${reason || code}`))
      if (other === publisher && code !== 1000) note(`The socket at /pub/ was closed with ${code} ${reason}`)
    }
    publisher = other
  })

  return {
    async publish(text) {
      const other = await publishing()
      other.send(text)
      return 'sent on /pub/'
    },
    close: () => socket.close(1000),
  }
}
