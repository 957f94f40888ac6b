// The HTTP API of the internal listener, where this page comes from.

import { askForKey, keyHeaders } from './key.js'

/** Publishes a body; returns the place that it got, in words. */
export async function publishByHttp(channel, message) {
  const text = await post(`pub/${encodeURIComponent(channel)}`, message)
  const { offset, epoch } = JSON.parse(text)
  return `offset ${offset} of epoch ${epoch}`
}

/** Calls a method; returns what it answers, as it is written. */
export function call(method, parameters) {
  return post(`api/${method}`, parameters)
}

async function post(path, body) {
  const request = () => fetch(path, { method: 'POST', body, headers: keyHeaders() })
  let answer = await request()
  if (answer.status === 401 && (await askForKey())) answer = await request()
  const text = (await answer.text()).trim()
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`)
  return text
}

/** What each method is called with, to begin with. */
export function parametersOf(method, channel) {
  const name = JSON.stringify(channel)
  switch (method) {
    case 'info': case 'reload': return '{}'
    case 'channels': return '{"pattern": "*"}'
    case 'history': return `{"channel": ${name}, "limit": 10}`
    case 'publish': return `{"channel": ${name}, "data": "hello"}`
    case 'broadcast': return `{"channels": [${name}], "data": "hello"}`
    case 'subscribe': case 'unsubscribe': return `{"user": "ann", "channel": ${name}}`
    case 'disconnect': return '{"user": "ann"}'
    case 'batch': return `{"commands": [{"publish": {"channel": ${name}, "data": "hello"}}]}`
    default: return `{"channel": ${name}}`
  }
}
