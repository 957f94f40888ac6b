// Centrifugo's client protocol, version 2 in JSON, as much as trying it out takes.

/** Connects and subscribes. */
export function connectCentrifuge({ server, channel, token, offset, epoch, heard, said, note, opened, closed }) {
  const socket = new WebSocket(`${server.ws}/connection/websocket`)
  const replies = new Map()
  let last = ''
  let commands = 0

  const send = (text) => {
    socket.send(text)
    said(text.replace(/"token":"[^"]*"/, '"token":"…"'))
  }
  /** `body` is the JSON of the command, which may have the publisher's own in it. */
  const command = (name, body) => new Promise((resolve, reject) => {
    commands += 1
    replies.set(commands, { resolve, reject })
    send(`{"id":${commands},"${name}":${body}}`)
  })

  socket.onopen = async () => {
    try {
      await command('connect', JSON.stringify({ ...(token && { token }), name: 'page' }))
      const wishes = { channel }
      if (offset !== '') Object.assign(wishes, { recover: true, offset: Number(offset), epoch })
      const { subscribe } = await command('subscribe', JSON.stringify(wishes))
      opened('Subscribed')
      if (subscribe.was_recovering) {
        note(subscribe.recovered ? 'Nothing is missing since that place' : 'Not all since that place is kept any more')
      }
    } catch (error) {
      last = error.message
      socket.close(1000)
    }
  }
  socket.onmessage = ({ data }) => {
    for (const line of data.split('\n').filter(Boolean)) reply(line)
  }
  socket.onclose = (event) => {
    for (const { reject } of replies.values()) reject(new Error(event.reason || `closed with ${event.code}`))
    closed(event, last)
  }

  function reply(line) {
    const message = JSON.parse(line)
    if (Object.keys(message).length === 0) return socket.send('{}')
    if (message.id) {
      const waiting = replies.get(message.id)
      replies.delete(message.id)
      const { error } = message
      if (error) waiting?.reject(new Error(`error ${error.code}: ${error.message}`))
      else waiting?.resolve(message)
      return
    }
    const { push } = message
    if (push?.pub) heard(text(line, push.pub.data), push.pub.offset ?? '')
    else if (push?.unsubscribe) note(`The server has ended the subscription: ${push.unsubscribe.reason} (${push.unsubscribe.code})`)
    else if (push?.join) note(`${push.join.info.user || push.join.info.client} has come`)
    else if (push?.leave) note(`${push.leave.info.user || push.leave.info.client} has left`)
    else if (push) note(line)
  }

  return {
    async publish(message) {
      await command('publish', `{"channel":${JSON.stringify(channel)},"data":${asJson(message)}}`)
      return 'confirmed'
    },
    close: () => socket.close(1000),
  }
}

/** A message as the JSON that this protocol carries: itself where it is JSON, else a string. */
export function asJson(message) {
  try {
    JSON.parse(message)
    return message.replace(/[\r\n]+/g, ' ')
  } catch {
    return JSON.stringify(message)
  }
}

/** What came: a string as what is in it, anything else as it is written, for numbers keep their digits. */
function text(line, data) {
  if (typeof data === 'string') return data
  const from = /"data":/.exec(line)
  // `data` stands last but for the offset and what is known of the publisher: the longest that is the same JSON is it.
  const rest = from ? line.slice(from.index + from[0].length) : ''
  const wanted = JSON.stringify(data)
  for (let end = rest.length; end > 0; end -= 1) {
    try {
      if (JSON.stringify(JSON.parse(rest.slice(0, end))) === wanted) return rest.slice(0, end)
    } catch {
      // Not there yet.
    }
  }
  return wanted
}
