// The echo example's page, the tutorial's own lines, and a page that may not connect.

import assert from 'node:assert/strict'
import { assertNoErrors, keepPicture, waitForTexts, withBrowser } from './browser.mjs'

await withBrowser(async ({ origin, open }) => {
  const page = await open(`${origin}/`)
  await page.getByLabel('Your name').fill('张三 /')
  await page.getByRole('button', { name: 'Connect' }).click()
  await waitForTexts(page, '#log li', ['open'])
  await page.getByLabel('Message').fill('hello <b>')
  await page.getByRole('button', { name: 'Send' }).click()
  await waitForTexts(page, '#log li', ['open', 'server says: hello <b>'])
  await keepPicture(page, 'echo')
  await page.getByRole('button', { name: 'Close' }).click()
  await waitForTexts(page, '#log li', ['open', 'server says: hello <b>', 'close 1000 done'])
  assertNoErrors(page)

  // P1, line by line as the tutorial writes it.
  const told = await page.evaluate(() => new Promise((resolve) => {
    const told = []
    const websocket = new WebSocket('ws://localhost:8080/ws/zhangsan')
    websocket.onopen = function () { told.push('open'); websocket.send('hello') }
    websocket.onmessage = function (event) { told.push(event.data); websocket.close() }
    websocket.onclose = function (event) { told.push(`close ${event.code}`); resolve(told) }
    websocket.onerror = function () { told.push('error') }
  }))
  assert.deepEqual(told, ['open', 'server says: hello', 'close 1005'])

  // What goes wrong is told by onerror and onclose.
  const refused = await page.evaluate(() => new Promise((resolve) => {
    const told = []
    const websocket = new WebSocket('ws://localhost:8080/nothing/here')
    websocket.onopen = () => told.push('open')
    websocket.onerror = () => told.push('error')
    websocket.onclose = (event) => { told.push(`close ${event.code}`); resolve(told) }
  }))
  assert.deepEqual(refused, ['error', 'close 1006'])

  // A page of another origin.
  const foreign = await open('data:text/html,<title>elsewhere</title>')
  const elsewhere = await foreign.evaluate(() => new Promise((resolve) => {
    const websocket = new WebSocket('ws://localhost:8080/ws/stranger')
    websocket.onopen = () => resolve('open')
    websocket.onclose = (event) => resolve(`close ${event.code}`)
  }))
  assert.equal(elsewhere, 'close 1006')

  // A page that goes away without a word: its connection is lost, not closed.
  const lost = await open(`${origin}/`)
  await lost.getByLabel('Your name').fill('lost')
  await lost.getByRole('button', { name: 'Connect' }).click()
  await waitForTexts(lost, '#log li', ['open'])
  await lost.context().close()
})
