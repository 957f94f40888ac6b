// Carries out commands on the connections of one STOMP library and tells what they see, in node as in a page:
// tests/stomp/program.rs lists commands and events.

/**
 * What carries out a command, with `Connection` of stompjs.mjs or webstomp.mjs, its library, the environment's WebSocket,
 * and where events go.
 */
export function commander(Connection, library, WebSocket, tell) {
  const connections = new Map()
  const Wire = wire(WebSocket)

  const open = (id, options) => {
    const connection = new Connection(library, { Wire, ...options }, (event, more) => tell({ event, id, ...more }))
    connections.set(id, { connection, options })
  }

  const leave = (beginning) => {
    for (const [id, { connection }] of connections) {
      if (!id.startsWith(beginning)) continue
      connection.leave()
      connections.delete(id)
    }
  }

  return ({ do: what, id, ...command }) => {
    try {
      if (what === 'connect') open(id, command)
      else if (what === 'leave') leave(id)
      else if (what === 'reconnect' && !Connection.reconnects) open(id, connections.get(id).options)
      else if (what !== 'reconnect') connections.get(id).connection[what](command)
    } catch (error) {
      tell({ event: 'failed', id, error: `${what}: ${error.stack}` })
    }
  }
}

/** A WebSocket that shows the heart-beats which the library sends, and loses them from the moment it is told to. */
function wire(WebSocket) {
  return class extends WebSocket {
    isMute = false
    onbeat = () => {}

    send(data) {
      if (isBeat(data)) {
        if (this.isMute) return
        this.onbeat()
      }
      super.send(data)
    }

    /** Ends the connection without a goodbye, as far as the environment allows. */
    cut() {
      if (this.terminate) this.terminate()
      else this.close()
    }
  }
}

function isBeat(data) {
  return data === '\n' || (data.length === 1 && data[0] === 10)
}

/** A body as events carry it: `text` if it is UTF-8, else `binary` in hex. */
export function body(bytes) {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { binary: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('') }
  }
}

export function unhex(digits) {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}
