// The report of `pushring bench`: everything is there, can be read and fits, on a telephone and on a desk, light and dark.

import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'
import { assertNoErrors, keepPicture, withBrowser } from './browser.mjs'

const report = pathToFileURL(process.argv[3]).href

/** The smallest letters that can be read, in pixels. */
const letterMin = 11

/** The least contrast of text that can be read (WCAG 2, success criterion 1.4.3). */
const contrastMin = 4.5

const texts = [
  'Servers side by side',
  '2026-01-31 12:00:00 UTC',
  'Servers on core 0, load from core 1',
  'The title of one-at-a-time',
  '1,000 subscribers, the next message when all have the last, 128 bytes',
  'NOT CLEAN: 1,017 lost, 3 doubled, 2 connections closed (2 × 1013)',
  'Centrifuge 0.15.0+git20210306.f435ba2-2 (2021)',
  'Every publication reached every subscriber once, in order and unchanged.',
  'of 30 that did not read: 30 closed with 1013',
  'from when a message was due',
  'not measured in round 1: port 18000',
  '<script>alert(1)</script>',
  'Server CPU per delivery, nanoseconds',
  'Server memory per connection, bytes',
  'Latency of deliveries by percentile',
  'Connections opened a second',
  'the caveat of rabbitmq, <b>told</b> & escaped',
  'no TLS, no zlib',
]

await withBrowser(async ({ open }) => {
  for (const width of [400, 1200]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(report, { viewport: { width, height: 900 }, colorScheme })
      const where = `${width} px, ${colorScheme}`
      const seen = await page.evaluate(() => document.body.innerText)
      for (const text of texts) assert(seen.includes(text), `${where}: ${text} is not in\n${seen}`)
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${where}: it overflows`)
      assert.deepEqual(await page.evaluate(misfits, letterMin), [], where)
      const { paper, contrasts } = await page.evaluate(colors)
      assert.equal(paper < 0.2, colorScheme === 'dark', `${where}: paper of luminance ${paper}`)
      for (const [text, contrast] of contrasts) assert(contrast >= contrastMin, `${where}: ${text}: contrast ${contrast}`)
      await keepPicture(page, `bench-report-${width}-${colorScheme}`)
      assertNoErrors(page)
      assert.deepEqual(page.consoleErrors, [])
    }
  }
})

/** Plots that are not as wide as they may be, and texts that are too small, stick out, or lie over others. */
function misfits(letterMin) {
  const found = []
  const plots = [...document.querySelectorAll('figure > svg')].filter((svg) => getComputedStyle(svg).display !== 'none')
  if (plots.length !== document.querySelectorAll('figure').length) found.push(`${plots.length} plots are shown`)
  for (const svg of plots) {
    const frame = svg.getBoundingClientRect()
    if (frame.left < 0 || frame.right > innerWidth) found.push(`a plot from ${frame.left} to ${frame.right}`)
    const scale = frame.width / svg.viewBox.baseVal.width
    const boxes = []
    for (const text of svg.querySelectorAll('text')) {
      const size = parseFloat(getComputedStyle(text).fontSize) * scale
      if (size < letterMin) found.push(`${text.textContent}: letters of ${size} px`)
      const box = text.getBoundingClientRect()
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        found.push(`${text.textContent} sticks out`)
      }
      for (const [other, words] of boxes) {
        const apart = box.left >= other.right || other.left >= box.right || box.top >= other.bottom - 2 || other.top >= box.bottom - 2
        if (!apart) found.push(`${text.textContent} lies over ${words}`)
      }
      boxes.push([box, text.textContent])
    }
    for (const bar of svg.querySelectorAll('rect, polyline')) {
      const box = bar.getBoundingClientRect()
      if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`a bar to ${box.right} of ${frame.right}`)
    }
  }
  for (const table of document.querySelectorAll('.scroll')) {
    if (table.getBoundingClientRect().right > innerWidth) found.push('a table sticks out')
  }
  return found
}

/** The luminance of the page, and the contrast of each kind of text with what is behind it (WCAG 2). */
function colors() {
  const channels = (color) => color.match(/[\d.]+/g).slice(0, 3).map((c) => c / 255)
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  const luminance = (color) => {
    const [r, g, b] = channels(color).map(linear)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor
      if (!color.startsWith('rgba(') || !color.endsWith(', 0)')) return luminance(color)
    }
    return 1
  }
  const contrasts = []
  for (const selector of ['h1', 'header p', 'h2', 'figcaption', '.clean', '.alarm li', '.notes li', 'td', '.bad', 'thead th', 'dd', 'svg text', 'svg .axis']) {
    const element = document.querySelector(selector)
    const style = getComputedStyle(element)
    const [a, b] = [luminance(element.closest('svg') ? style.fill : style.color), behind(element)]
    contrasts.push([selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)])
  }
  return { paper: behind(document.body), contrasts }
}
