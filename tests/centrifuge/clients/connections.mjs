// Carries out commands on connections of `centrifuge` and tells what they see, in node as in a page:
// tests/centrifuge/clients/program.rs lists commands and events.

/** What carries out a command, with the library, the environment's WebSocket, and where events go. */
export function commander(library, WebSocket, tell) {
  const connections = new Map()

  const leave = (beginning) => {
    for (const [id, connection] of connections) {
      if (!id.startsWith(beginning)) continue
      connection.client.disconnect()
      connections.delete(id)
    }
  }

  return ({ do: what, id, ...command }) => {
    try {
      if (what === 'leave') return leave(id)
      if (what === 'connect' && !connections.has(id)) {
        const say = (event, more) => tell({ event, id, ...more })
        connections.set(id, new Connection(library, WebSocket, command, say))
      }
      connections.get(id)[what](command)
    } catch (error) {
      tell({ event: 'failed', id, error: `${what}: ${error.stack}` })
    }
  }
}

class Connection {
  constructor(library, WebSocket, options, tell) {
    this.tell = tell
    const connection = this
    class Wire extends WebSocket {
      constructor(...args) {
        super(...args)
        connection.wire = this
      }
    }
    this.tokens = options.tokens ?? []
    this.client = new library.Centrifuge(options.url, {
      websocket: Wire,
      minReconnectDelay: 20,
      maxReconnectDelay: 200,
      // A busy machine may hold up the server's pings.
      maxServerPingDelay: 60_000,
      ...(options.tokens && { token: this.tokens.shift(), getToken: async () => this.nextToken() }),
      ...options.more,
    })
    this.client.on('connecting', ({ code, reason }) => tell('connecting', { code, reason }))
    this.client.on('connected', ({ client, data }) => tell('connected', { client, data }))
    this.client.on('disconnected', ({ code, reason }) => tell('disconnected', { code, reason }))
    this.client.on('error', ({ type, error }) => tell('error', { type, ...refusal(error) }))
    this.client.on('message', ({ data }) => tell('message', { data }))
    for (const name of ['subscribed', 'unsubscribed', 'publication', 'join', 'leave']) {
      this.client.on(name, (context) => tell(`server_${name}`, seen(context)))
    }
  }

  nextToken() {
    const token = this.tokens.shift()
    if (token === undefined) throw new Error('there is no other token')
    this.tell('token_asked', {})
    return token
  }

  connect() {
    this.client.connect()
  }

  disconnect() {
    this.client.disconnect()
  }

  subscribe({ channel, tokens, since, more }) {
    let subscription = this.client.getSubscription(channel)
    if (subscription === null) {
      const left = tokens ?? []
      subscription = this.client.newSubscription(channel, {
        minResubscribeDelay: 20,
        maxResubscribeDelay: 200,
        ...(tokens && {
          token: left.shift(),
          getToken: async () => {
            this.tell('token_asked', { channel })
            return left.shift()
          },
        }),
        ...(since && { since }),
        ...more,
      })
      const tell = (event, more) => this.tell(event, { channel, ...more })
      for (const name of ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave']) {
        subscription.on(name, (context) => tell(name, seen(context)))
      }
      subscription.on('error', ({ error }) => tell('subscription_error', refusal(error)))
    }
    subscription.subscribe()
  }

  unsubscribe({ channel }) {
    this.client.getSubscription(channel).unsubscribe()
  }

  publish({ channel, data }) {
    this.ask('publish', this.client.publish(channel, data))
  }

  /** The numbers from `from` on, each before the one in front of it is confirmed. */
  async publish_numbers({ channel, from, count }) {
    const all = Array.from({ length: count }, (_, n) => this.client.publish(channel, from + n))
    await this.ask('publish_numbers', Promise.all(all).then(() => ({})))
  }

  presence({ channel }) {
    this.ask('presence', this.client.presence(channel))
  }

  presence_stats({ channel }) {
    this.ask('presence_stats', this.client.presenceStats(channel))
  }

  history({ channel, options }) {
    this.ask('history', this.client.history(channel, options))
  }

  rpc({ method, data }) {
    this.ask('rpc', this.client.rpc(method, data))
  }

  send({ data }) {
    this.ask('send', this.client.send(data))
  }

  /** The connection ends without a goodbye, as far as the environment allows. */
  cut() {
    if (this.wire.terminate) this.wire.terminate()
    else this.wire.close()
  }

  async ask(what, answer) {
    try {
      this.tell('answer', { what, answer: seen((await answer) ?? {}) })
    } catch (error) {
      this.tell('refused', { what, ...refusal(error) })
    }
  }
}

function refusal({ code, message, temporary }) {
  return { code, message, temporary: temporary ?? false }
}

/** A context in the words that all clients tell it in: those of the protocol. */
function seen(value) {
  if (Array.isArray(value)) return value.map(seen)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([name, member]) => {
    const word = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    // What was published is told as it is.
    return [word, word === 'data' ? member : name === 'clients' ? clients(member) : seen(member)]
  })
  return Object.fromEntries(entries)
}

/** Presence is by clients, whose names are no words. */
function clients(all) {
  return Object.fromEntries(Object.entries(all).map(([name, info]) => [name, seen(info)]))
}
