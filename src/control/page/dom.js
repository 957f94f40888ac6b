// Making and changing elements. Texts are set as texts, never as markup.

export const byId = (id) => document.getElementById(id)

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Sets a text where it is another one: what stays the same is not touched. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** The last minutes of a number as a line in an SVG, for the eye alone: the number itself stands beside it. */
export class Sparkline {
  static points = 120

  constructor() {
    const svg = (tag, attributes) => {
      const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
      return element
    }
    this.values = []
    this.area = svg('path', { class: 'area' })
    this.line = svg('path', { class: 'line', 'vector-effect': 'non-scaling-stroke' })
    this.element = svg('svg', {
      class: 'spark',
      viewBox: `0 0 ${Sparkline.points - 1} 100`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    })
    this.element.append(this.area, this.line)
  }

  /** One more second; null where it is not known. Returns the highest that is shown. */
  push(value) {
    this.values.push(value)
    if (this.values.length > Sparkline.points) this.values.shift()
    const known = this.values.filter((one) => one != null)
    const peak = Math.max(0, ...known)
    this.draw(peak || 1)
    return known.length > 0 ? peak : null
  }

  draw(top) {
    const first = Sparkline.points - this.values.length
    let line = ''
    let area = ''
    let begun = null
    this.values.forEach((value, i) => {
      const x = first + i
      if (value == null) {
        if (begun != null) area += `L${x - 1} 100Z`
        begun = null
        return
      }
      const place = `${x} ${(97 - (value / top) * 92).toFixed(1)}`
      line += `${begun == null ? 'M' : 'L'}${place}`
      area += `${begun == null ? `M${x} 100L` : 'L'}${place}`
      begun ??= x
    })
    if (begun != null) area += `L${Sparkline.points - 1} 100Z`
    this.line.setAttribute('d', line)
    this.area.setAttribute('d', area)
  }
}
