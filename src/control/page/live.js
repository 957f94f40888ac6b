// Reads `/live`: a snapshot a second, and what becomes of the connection.

import { Refused, readEvents } from './event_stream.js'
import { askForKey, keyHeaders } from './key.js'

/** Between two attempts. */
const againMs = 2_000

/** Before the first one after a stream that has ended as it should. */
const endedMs = 200

/** A stream that says nothing for so long is taken for lost. */
const silenceMs = 5_000

/** A page that nobody has looked at for so long reads no more: being watched costs the server something. */
const hiddenMs = 60_000

/**
 * Calls `snapshot(json)` for each, and `state(name, words)` where there is none: gone, key, strange, paused.
 * Returns a function that tries again at once, with the key of that moment.
 */
export function watch({ snapshot, state }) {
  let control = new AbortController()
  let wake = () => {}
  const again = () => {
    control.abort()
    wake()
  }
  const pause = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })

  let hiddenSince = null
  document.addEventListener('visibilitychange', () => {
    hiddenSince = document.hidden ? Date.now() : null
    if (!document.hidden) wake()
  })
  const isUnseen = () => hiddenSince != null && Date.now() - hiddenSince > hiddenMs

  const run = async () => {
    for (;;) {
      if (isUnseen()) {
        state('paused', 'Paused while nobody looks')
        await pause(1e9)
      }
      control = new AbortController()
      const { signal } = control
      let heard = Date.now()
      const silence = setInterval(() => {
        if (Date.now() - heard > silenceMs || isUnseen()) control.abort()
      }, 1_000)
      let wait = againMs
      try {
        await readEvents('live', {
          headers: keyHeaders(),
          signal,
          open: () => { heard = Date.now() },
          event: ({ data }) => {
            heard = Date.now()
            if (data === '') return
            snapshot(JSON.parse(data))
          },
        })
        // As it does when another version of it takes over: it is there.
        wait = endedMs
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          state('key', 'An API key is needed')
          wait = (await askForKey()) ? 0 : 1e9
        } else if (error instanceof Refused) {
          state('strange', error.status ? `Refused with ${error.status}: ${error.message}` : 'What answers here is no pushring')
        } else if (!isUnseen()) {
          state('gone', 'The server does not answer; trying again')
        }
      } finally {
        clearInterval(silence)
      }
      if (wait > 0) await pause(wait)
    }
  }
  run()
  return again
}
