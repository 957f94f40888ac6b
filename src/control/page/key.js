// The API key, where the server asks for one. It stays in this tab.

import { byId, say } from './dom.js'

const place = 'pushring-api-key'

/** What goes along with every request. */
export function keyHeaders() {
  const key = sessionStorage.getItem(place)
  return key ? { 'X-API-Key': key } : {}
}

/** Asks for a key, once however many want it: true when there is another one. */
export function askForKey() {
  asking ??= ask().finally(() => { asking = null })
  return asking
}

let asking = null

function ask() {
  const dialog = byId('key')
  const text = byId('key-text')
  const had = sessionStorage.getItem(place)
  say(byId('key-wrong'), had ? 'The server does not know this key.' : '')
  text.value = ''
  byId('change-key').hidden = false
  return new Promise((resolve) => {
    byId('key-later').onclick = () => dialog.close('')
    dialog.querySelector('form').onsubmit = (event) => {
      event.preventDefault()
      dialog.close(text.value.trim() === '' ? '' : 'given')
    }
    dialog.onclose = () => {
      if (dialog.returnValue === 'given') sessionStorage.setItem(place, text.value.trim())
      text.value = ''
      resolve(dialog.returnValue === 'given')
    }
    dialog.returnValue = ''
    dialog.showModal()
    text.focus()
  })
}
