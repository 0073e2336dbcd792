import { html, type Html } from './html.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' })
const DISTANCE = new Intl.RelativeTimeFormat('en')

/** An instant, which means the same wherever it is read: `25 Nov 2026, 10:04:20 UTC`. */
export function time(instant: number): Html {
  return html`<time datetime="${new Date(instant).toISOString()}">${TIME.format(instant)} UTC</time>`
}

/** How long ago an instant was, which is the same in every time zone: `3 hours ago`. */
export function ago(instant: number): Html {
  return html`<time datetime="${new Date(instant).toISOString()}">${distance(Date.now() - instant)}</time>`
}

function distance(length: number): string {
  if (length < MINUTE) return 'just now'
  if (length < HOUR) return DISTANCE.format(-Math.floor(length / MINUTE), 'minute')
  if (length < DAY) return DISTANCE.format(-Math.floor(length / HOUR), 'hour')
  return DISTANCE.format(-Math.floor(length / DAY), 'day')
}
