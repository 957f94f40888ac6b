// The chat example's page: two in one room, a third in another.

import { assertNoErrors, keepPicture, waitForTexts, withBrowser } from './browser.mjs'

async function enter(page, room, name) {
  await page.getByLabel('Room').fill(room)
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Enter' }).click()
}

async function say(page, text) {
  await page.getByLabel('Say').fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

await withBrowser(async ({ origin, open }) => {
  const [ann, bob, eve] = await Promise.all([1, 2, 3].map(() => open(`${origin}/`)))
  await enter(ann, 'lobby', 'Ann')
  await waitForTexts(ann, '#said li', ['* Ann has come'])
  await enter(eve, 'else/where', 'Eve')
  await waitForTexts(eve, '#said li', ['* Eve has come'])
  await enter(bob, 'lobby', 'Bób & Co')
  await waitForTexts(bob, '#said li', ['* Bób & Co has come'])

  await say(ann, 'hello')
  await say(bob, '<img src=x onerror="document.title = \'owned\'">')
  const room = ['Ann: hello', 'Bób & Co: <img src=x onerror="document.title = \'owned\'">']
  // Whose word comes first is not said, but everybody sees the same.
  await bob.locator('#said li').nth(2).waitFor()
  const seen = (await bob.locator('#said li').allTextContents()).slice(1)
  if ([...seen].sort().join() !== [...room].sort().join()) throw new Error(`${seen} is not ${room}`)
  await waitForTexts(ann, '#said li', ['* Ann has come', '* Bób & Co has come', ...seen])
  await keepPicture(ann, 'chat')
  for (const page of [ann, bob]) {
    if ((await page.title()) !== 'Chat') throw new Error('a message has become markup')
  }

  await bob.getByRole('button', { name: 'Leave' }).click()
  await waitForTexts(bob, '#said li', ['* Bób & Co has come', ...seen, '* you have left'])
  const left = ['* Ann has come', '* Bób & Co has come', ...seen, '* Bób & Co has gone']
  await waitForTexts(ann, '#said li', left)
  await say(eve, 'anybody here?')
  await waitForTexts(eve, '#said li', ['* Eve has come', 'Eve: anybody here?'])
  // A page that is closed leaves as well.
  await enter(bob, 'lobby', 'Bob')
  await waitForTexts(ann, '#said li', [...left, '* Bob has come'])
  assertNoErrors(ann, bob, eve)
  await bob.context().close()
  await waitForTexts(ann, '#said li', [...left, '* Bob has come', '* Bob has gone'])
})
