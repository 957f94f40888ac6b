// A connection of `@stomp/stompjs`.

import { body, unhex } from './connections.mjs'

export class Connection {
  /** It connects again by itself, where it is given `reconnect_ms`. */
  static reconnects = true

  constructor(library, options, tell) {
    this.messages = []
    this.tell = tell
    const versions = new library.Versions(options.versions)
    const subprotocols = options.subprotocols ?? versions.protocolVersions()
    const [outgoing, incoming] = options.beats
    this.client = new library.Client({
      stompVersions: versions,
      connectHeaders: options.headers,
      heartbeatOutgoing: outgoing,
      heartbeatIncoming: incoming,
      // A busy machine may hold up the server's beats.
      heartbeatToleranceMultiplier: 10,
      reconnectDelay: options.reconnect_ms ?? 0,
      forceBinaryWSFrames: options.binary ?? false,
      splitLargeFrames: options.split ?? false,
      webSocketFactory: () => {
        this.wire = new options.Wire(options.url, subprotocols)
        this.wire.onbeat = () => tell('beat_sent')
        return this.wire
      },
      onConnect: ({ headers }) => {
        const subprotocol = this.wire.protocol
        tell('connected', { version: this.client.connectedVersion ?? '', subprotocol, headers })
      },
      onHeartbeatReceived: () => tell('beat'),
      onUnhandledReceipt: ({ headers }) => tell('receipt', { receipt: headers['receipt-id'] }),
      // That of DISCONNECT goes elsewhere.
      onDisconnect: ({ headers }) => tell('receipt', { receipt: headers['receipt-id'] }),
      onUnhandledMessage: (message) => tell('failed', { error: `not subscribed: ${message}` }),
      onUnhandledFrame: (frame) => tell('failed', { error: `not known: ${frame}` }),
      onStompError: ({ headers, binaryBody }) => tell('error', { headers, ...body(binaryBody) }),
      onWebSocketClose: ({ code, reason }) => tell('closed', { code, reason: `${reason}` }),
    })
    this.client.activate()
  }

  send({ destination, text, binary, headers }) {
    const content = binary === undefined ? { body: text } : { binaryBody: unhex(binary) }
    this.client.publish({ destination, headers, ...content })
  }

  subscribe({ destination, subscription, headers }) {
    const heard = (message) => {
      const number = this.messages.push(message) - 1
      this.tell('message', { number, subscription, headers: message.headers, ...body(message.binaryBody) })
    }
    this.client.subscribe(destination, heard, { id: subscription, ...headers })
  }

  unsubscribe({ subscription, headers }) {
    this.client.unsubscribe(subscription, headers)
  }

  ack({ message, headers }) {
    this.messages[message].ack(headers)
  }

  nack({ message, headers }) {
    this.messages[message].nack(headers)
  }

  begin(command) {
    this.#transact('BEGIN', command, () => this.client.begin(command.transaction))
  }

  commit(command) {
    this.#transact('COMMIT', command, () => this.client.commit(command.transaction))
  }

  abort(command) {
    this.#transact('ABORT', command, () => this.client.abort(command.transaction))
  }

  // The library's begin, commit and abort take no headers, and so no receipt: with one, its own encoder is called.
  #transact(command, { transaction, receipt }, call) {
    if (receipt === undefined) call()
    else this.client._stompHandler._transmit({ command, headers: { transaction, receipt } })
  }

  disconnect({ receipt }) {
    this.client.disconnectHeaders = { receipt }
    this.client.deactivate()
  }

  mute() {
    this.wire.isMute = true
  }

  cut() {
    this.wire.cut()
  }

  leave() {
    this.client.deactivate({ force: true })
  }
}
