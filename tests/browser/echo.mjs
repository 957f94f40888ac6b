// The echo example's pages: what a browser sends and is answered, and whom it is refused.

import { assertNoErrors, foreignOrigin, keepPicture, origin, waitForRefusal, waitForTexts, withBrowser } from './browser.mjs'

async function connect(page, name) {
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Connect' }).click()
}

async function say(page, text) {
  await page.getByLabel('Message').fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

const log = (page, texts) => waitForTexts(page, '#log li', texts)

await withBrowser(async ({ open, kill }) => {
  const page = await open(origin)
  await connect(page, '张三 /')
  await log(page, ['open'])
  await say(page, 'hello <b>')
  await say(page, '')
  await log(page, ['open', 'server says: hello <b>', 'server says: '])
  await keepPicture(page, 'echo')
  await page.getByRole('button', { name: 'Close' }).click()
  const first = ['open', 'server says: hello <b>', 'server says: ', 'close 1000 done']
  await log(page, first)

  // The same page once more, and a message over the limit of 64 KiB: that is an error.
  await connect(page, 'talkative')
  await log(page, [...first, 'open'])
  await say(page, 'x'.repeat(64 * 1024 + 1))
  await page.getByText('close 1009').waitFor()
  assertNoErrors(page)

  // P1: the page with ws://localhost:8080/ws/zhangsan written out.
  const smallest = await open(`${origin}/smallest`)
  await log(smallest, ['open'])
  await smallest.getByRole('button', { name: 'Send' }).click()
  await log(smallest, ['open', 'server says: hello'])
  await keepPicture(smallest, 'smallest')
  await smallest.getByRole('button', { name: 'Close' }).click()
  await log(smallest, ['open', 'server says: hello', 'close 1005 '])
  assertNoErrors(smallest)

  // Whom the interceptor refuses hears of it by onerror and onclose.
  const robot = await open(`${origin}/smallest`, { userAgent: 'a robot' })
  await log(robot, ['error', 'close 1006 '])
  await waitForRefusal(robot, 403)

  // The very same pages, as those of another origin.
  const foreign = await open(foreignOrigin)
  await connect(foreign, 'stranger')
  await log(foreign, ['error', 'close 1006 '])
  await waitForRefusal(foreign, 403)
  const foreignSmallest = await open(`${foreignOrigin}/smallest`)
  await log(foreignSmallest, ['error', 'close 1006 '])
  await waitForRefusal(foreignSmallest, 403)

  // A page that is closed says so; one whose browser dies does not.
  const left = await open(origin)
  await connect(left, 'left')
  await log(left, ['open'])
  await left.close()
  const lost = await open(origin)
  await connect(lost, 'lost')
  await log(lost, ['open'])
  await kill()
})
