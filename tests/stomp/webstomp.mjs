// A connection of `webstomp-client`. It knows no binary bodies and no header escapes: escapes are sent and told as they
// stand on the wire.

export class Connection {
  static reconnects = false

  constructor(library, options, tell) {
    this.messages = []
    this.tell = tell
    const [outgoing, incoming] = options.beats
    // It offers all versions in this order and takes the one whose subprotocol the server selects.
    const subprotocols = options.subprotocols ?? library.VERSIONS.supportedProtocols()
    this.wire = new options.Wire(options.url, subprotocols)
    this.wire.onbeat = () => tell('beat_sent')
    this.wire.addEventListener('message', ({ data }) => { if (data === '\n') tell('beat') })
    this.wire.addEventListener('close', ({ code, reason }) => tell('closed', { code, reason: `${reason}` }))
    // Without a listener node would end the program.
    this.wire.addEventListener('error', () => {})
    this.client = library.over(this.wire, {
      debug: false,
      binary: options.binary ?? false,
      heartbeat: outgoing || incoming ? { outgoing, incoming } : false,
    })
    this.client.onreceipt = ({ headers }) => tell('receipt', { receipt: headers['receipt-id'] })
    this.client.onreceive = (frame) => tell('failed', { error: `not subscribed: ${frame}` })
    const connected = ({ headers }) => {
      tell('connected', { version: this.client.version ?? '', subprotocol: this.wire.protocol, headers })
    }
    const failed = (frame) => {
      // It is called with the close event too.
      if (frame.command) tell('error', { headers: frame.headers, text: frame.body })
    }
    this.client.connect({ ...options.headers }, connected, failed)
  }

  send({ destination, text, headers }) {
    this.client.send(destination, text, headers)
  }

  subscribe({ destination, subscription, headers }) {
    const heard = (message) => {
      const number = this.messages.push(message) - 1
      this.tell('message', { number, subscription, headers: message.headers, text: message.body })
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
    else this.client._transmit(command, { transaction, receipt })
  }

  // It closes the WebSocket behind the frame and waits for no receipt.
  disconnect({ receipt }) {
    this.client.disconnect(undefined, receipt === undefined ? {} : { receipt })
  }

  mute() {
    this.wire.isMute = true
  }

  cut() {
    this.wire.cut()
  }
}
