// Numbers as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const none = '–'

/** A count, with thousands apart; from ten million on in millions. */
export function count(n) {
  if (n == null) return none
  if (n >= 1e10) return `${fixed(n / 1e9, 1)} G`
  if (n >= 1e7) return `${fixed(n / 1e6, 1)} M`
  return whole.format(n)
}

/** So many a second: with a tenth where they are few. */
export function rate(n) {
  return n == null ? none : n < 9.95 ? String(Math.round(n * 10) / 10) : count(n)
}

/** Bytes in powers of 1,024. */
export function bytes(n) {
  if (n == null) return none
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024
    at += 1
  }
  return `${at === 0 || n >= 100 ? whole.format(n) : fixed(n, 1)} ${units[at]}`
}

/** A time in microseconds. */
export function micros(us) {
  if (us == null) return none
  if (us < 1000) return `${us} µs`
  return us < 1e6 ? `${trimmed(us / 1e3)} ms` : `${trimmed(us / 1e6)} s`
}

/** A share of 1. */
export function percent(share) {
  if (share == null) return none
  return `${share > 0 && share < 0.1 ? fixed(share * 100, 1) : whole.format(share * 100)} %`
}

/** For how long something has been. */
export function duration(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit))
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}

/** The time of day, to the millisecond. */
export function time(date) {
  const two = (n) => String(n).padStart(2, '0')
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function fixed(n, digits) {
  return n.toFixed(digits)
}

function trimmed(n) {
  return String(Number(n.toPrecision(3)))
}
