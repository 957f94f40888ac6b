// The chat example's page: two tabs in one room, a third page in another.

import { assertNoErrors, keepPicture, openTab, origin, waitForTexts, withBrowser } from './browser.mjs'

async function enter(page, room, name) {
  await page.getByLabel('Room').fill(room)
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Enter' }).click()
}

async function say(page, text) {
  await page.getByLabel('Say').fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

const said = (page, texts) => waitForTexts(page, '#said li', texts)

await withBrowser(async ({ open }) => {
  const ann = await open(origin)
  const bob = await openTab(ann.context(), origin)
  const eve = await open(origin)
  await enter(ann, 'lobby', 'Ann')
  const annSees = ['* Ann has come']
  await said(ann, annSees)
  await enter(eve, 'else/where', 'Eve')
  await said(eve, ['* Eve has come'])
  await enter(bob, 'lobby', 'Bób & Co')
  const bobSees = ['* Bób & Co has come']
  await said(bob, bobSees)
  annSees.push('* Bób & Co has come')
  await said(ann, annSees)

  const tell = async (page, text, line) => {
    await say(page, text)
    annSees.push(line)
    bobSees.push(line)
    await said(ann, annSees)
    await said(bob, bobSees)
  }
  await tell(ann, 'hello', 'Ann: hello')
  // What others write is text, whatever it looks like.
  const markup = '<img src=x onerror="document.title = \'owned\'"><b>bold</b>'
  await tell(bob, markup, `Bób & Co: ${markup}`)
  await keepPicture(ann, 'chat')
  for (const page of [ann, bob]) {
    if ((await page.locator('#said :is(img, b)').count()) > 0) throw new Error('a message has become markup')
    if ((await page.title()) !== 'Chat') throw new Error('a message has run as a script')
  }

  await bob.getByRole('button', { name: 'Leave' }).click()
  bobSees.push('* you have left')
  await said(bob, bobSees)
  annSees.push('* Bób & Co has gone')
  await said(ann, annSees)

  // A page that is closed leaves as well.
  await enter(bob, 'lobby', 'Bob')
  annSees.push('* Bob has come')
  await said(ann, annSees)
  assertNoErrors(bob)
  await bob.close()
  annSees.push('* Bob has gone')
  await said(ann, annSees)

  // Of all that, the other room has heard nothing.
  await say(eve, 'anybody here?')
  await said(eve, ['* Eve has come', 'Eve: anybody here?'])

  // Whom the server does not let in is told.
  const nameless = await open(origin)
  await enter(nameless, 'lobby', ' ')
  await said(nameless, ['* not connected (1006 )'])
  assertNoErrors(ann, eve, nameless)
})
