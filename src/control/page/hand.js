// Subscribing and publishing by hand, in each protocol.

import { connectCentrifuge } from './centrifuge.js'
import { byId, say } from './dom.js'
import { Refused, readEvents } from './event_stream.js'
import { call, parametersOf, publishByHttp } from './http.js'
import { log } from './log.js'
import { connectRaw } from './raw.js'
import { connectStomp } from './stomp.js'

const protocols = { raw: connectRaw, sse: connectEventStream, stomp: connectStomp, centrifuge: connectCentrifuge }

const publishing = {
  raw: 'as one message on /pub/, a second WebSocket',
  sse: 'over HTTP, for an event stream only listens',
  stomp: 'as SEND with a receipt',
  centrifuge: 'as publish; JSON as it is, anything else as a string',
  http: 'as the body of POST /pub/',
}

/** Makes the panel work. `choose(channel)` takes a channel up; `heardOf(server)` hears where clients connect. */
export function byHand() {
  const add = log()
  let origins = []
  let connection = null

  const protocol = () => document.querySelector('input[name=protocol]:checked').value
  const channel = () => byId('channel').value

  function showProtocol() {
    const name = protocol()
    byId('hand').dataset.protocol = name
    say(byId('connect'), name === 'http' ? 'Call' : 'Subscribe')
    say(byId('publish-how'), publishing[name])
    disconnect()
    show('idle', name === 'http' ? 'Each call is by itself' : 'Not connected')
    fillParameters()
  }

  function fillParameters() {
    byId('parameters').value = parametersOf(byId('method').value, channel())
  }

  function show(name, words) {
    byId('hand-state').dataset.state = name
    say(byId('hand-state'), words)
    byId('disconnect').disabled = name !== 'connecting' && name !== 'open'
  }

  function disconnect() {
    const had = connection
    connection = null
    had?.close()
  }

  function subscribe() {
    disconnect()
    let server
    try {
      server = serverAt(byId('address').value)
    } catch {
      show('failed', 'The server is no URL such as ws://127.0.0.1:8000')
      return
    }
    const own = {}
    const mine = (act) => (...args) => { if (connection === own) act(...args) }
    const asked = { server, channel: channel(), token: byId('token').value, offset: byId('offset').value, epoch: byId('epoch').value }
    let isOpen = false
    connection = own
    show('connecting', 'Connecting')
    const made = protocols[protocol()]({
      ...asked,
      heard: mine((text, place) => add('in', text, place)),
      said: mine((text) => add('out', text)),
      note: mine((text) => add('note', text)),
      opened: mine((words) => {
        isOpen = true
        show('open', words)
        add('note', `${words} by ${server.ws}`)
      }),
      closed: mine(async (event, last) => {
        connection = null
        const why = [event.code && event.code !== 1005 ? `code ${event.code}` : '', last || event.reason].filter(Boolean).join(', ')
        show('failed', isOpen ? `Closed: ${why || 'without a word'}` : 'Not connected: see the log')
        if (isOpen || last) add('error', isOpen ? `Closed: ${why}` : last)
        else add('error', await explain(asked, origins))
      }),
    })
    Object.assign(own, made)
  }

  byId('subscribe').addEventListener('submit', async (event) => {
    event.preventDefault()
    if (protocol() !== 'http') return subscribe()
    const method = byId('method').value
    const parameters = byId('parameters').value
    add('out', `POST /api/${method} ${parameters}`)
    await attempt(() => call(method, parameters), (answer) => add('in', answer))
  })

  byId('publish').addEventListener('submit', async (event) => {
    event.preventDefault()
    const text = byId('message').value
    const name = protocol()
    if (name === 'http' || name === 'sse') {
      add('out', text)
      await attempt(() => publishByHttp(channel(), text), (place) => add('note', `published: ${place}`))
    } else if (byId('hand-state').dataset.state !== 'open') {
      add('error', 'Subscribe first: what is published goes the way of that connection')
    } else {
      if (name === 'raw') add('out', text)
      await attempt(() => connection.publish(text), (answer) => add('note', `published: ${answer}`))
    }
  })

  async function attempt(act, done) {
    try {
      done(await act())
    } catch (error) {
      add('error', error instanceof TypeError ? 'The server does not answer' : error.message)
    }
  }

  byId('disconnect').addEventListener('click', () => {
    disconnect()
    show('idle', 'Disconnected')
    add('note', 'Disconnected')
    byId('connect').focus()
  })
  byId('message').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('publish').requestSubmit()
  })
  byId('method').addEventListener('change', fillParameters)
  byId('channel').addEventListener('change', fillParameters)
  for (const radio of document.getElementsByName('protocol')) radio.addEventListener('change', showProtocol)
  showProtocol()

  return {
    choose(name) {
      byId('channel').value = name
      fillParameters()
      byId('channel').focus()
    },
    heardOf(server) {
      origins = server.origins
      const address = byId('address')
      // What somebody has written there stays.
      if (address.value === address.defaultValue) address.value = address.defaultValue = publicAddress(server.public)
    },
  }
}

/** Where clients connect: as the listener is bound, or by the name that this page was found by if that is any address. */
function publicAddress(bound) {
  const [, host, port] = /^(.*):(\d+)$/.exec(bound)
  const isAny = host === '0.0.0.0' || host === '[::]'
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${isAny ? location.hostname : host}:${port}`
}

function serverAt(text) {
  const url = new URL(text)
  const secure = url.protocol === 'wss:' || url.protocol === 'https:'
  if (!secure && url.protocol !== 'ws:' && url.protocol !== 'http:') throw new Error('no scheme of a server')
  const rest = `://${url.host}${url.pathname.replace(/\/$/, '')}`
  return { host: url.host, ws: `${secure ? 'wss' : 'ws'}${rest}`, http: `${secure ? 'https' : 'http'}${rest}` }
}

/** An event stream. It only listens. */
function connectEventStream({ server, channel, token, offset, epoch, heard, note, opened, closed }) {
  const control = new AbortController()
  const query = new URLSearchParams()
  if (token) query.set('token', token)
  if (offset !== '') query.set('offset', offset)
  if (epoch !== '') query.set('epoch', epoch)
  readEvents(`${server.http}/sub/${encodeURIComponent(channel)}?${query}`, {
    signal: control.signal,
    open: () => opened('Subscribed'),
    event: ({ id, type, data }) => {
      const place = id.includes(':') ? id.split(':')[1] : id
      if (type === 'gap') note(`A gap up to ${data}: load the state anew`)
      else if (type === 'expired') note(`The token has expired: ${data}`)
      else if (type === 'binary') heard(`binary, in base64: ${data}`, place)
      else if (data === '') note(`The stream begins at offset ${place}`)
      else heard(data, place)
    },
  }).then(
    () => closed({}, 'the server has ended the stream'),
    (error) => {
      if (control.signal.aborted) return
      closed({}, error instanceof Refused ? `refused with ${error.status}: ${error.message}` : '')
    },
  )
  return { close: () => control.abort() }
}

/** Why a connection did not open. A browser does not tell a page, so the server is asked in other ways. */
async function explain({ server, channel, token }, origins) {
  try {
    await fetch(server.http, { mode: 'no-cors', cache: 'no-store' })
  } catch {
    return `Nothing answers at ${server.http}. Clients connect at the address that listen = "…" names.`
  }
  const control = new AbortController()
  try {
    const query = token ? `?token=${encodeURIComponent(token)}` : ''
    await readEvents(`${server.http}/sub/${encodeURIComponent(channel)}${query}`, {
      signal: control.signal,
      open: () => control.abort(),
      event: () => {},
    })
  } catch (error) {
    if (error instanceof Refused) return `Refused with ${error.status}: ${error.message}`
    if (!control.signal.aborted) {
      return `Pages of ${location.origin} may not connect. Add it to the server's settings, and have it reload them: `
        + `[origins] allowed = ${JSON.stringify([...origins, location.origin])}`
    }
  }
  return 'The server has refused the connection, and event streams at the same place work: it speaks another protocol there.'
}
