import { SessionError } from '../../errors.ts'
import type { Found } from '../../store.ts'
import type { Instant, Milliseconds, Version } from '../../units.ts'

const LATEST: Instant = 9_999_999_999_999
const HEAD = /^(\d{13})\|(\d{1,16})\|/
const SECOND: Milliseconds = 1000
/** Longer times than this the server takes for Unix seconds. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60
/** The server reads the time of expiry as a signed number of 32 bits. */
const LATEST_ABSOLUTE = 2 ** 31 - 1
const ENDED = -1
const NEVER = 0

/** The instant as it is kept: whole milliseconds, in 13 digits; what lies beyond the year 2286 is the year 2286. */
export function keptInstant(expiresAt: Instant): Instant {
  return Math.trunc(Math.min(Math.max(expiresAt, 0), LATEST))
}

export function formatValue({ expiresAt, version, text }: Found): string {
  return `${String(expiresAt).padStart(13, '0')}|${version}|${text}`
}

/** Reads `<13-digit expiresAt>|<version>|<text>`. */
export function parseValue(value: unknown): Found {
  const head = typeof value === 'string' ? HEAD.exec(value) : null
  if (!head) throw unreadable()
  return { text: head.input.slice(head[0].length), version: Number(head[2]), expiresAt: Number(head[1]) }
}

/**
 * What the server is told of the end: always a little late, since it counts whole seconds by a clock that ticks once a
 * second. The digits in the value decide; this only lets the server have its memory back.
 */
export function expiryForServer(expiresAt: Instant): number {
  const now = Date.now()
  if (expiresAt <= now) return ENDED
  const seconds = Math.ceil((expiresAt - now) / SECOND) + 1
  if (seconds <= LONGEST_RELATIVE) return seconds
  const absolute = Math.ceil(expiresAt / SECOND) + 1
  return absolute <= LATEST_ABSOLUTE ? absolute : NEVER
}

let lastFirst: Version = 0

/** The first version of a record: microseconds, so that versions also grow over a delete and a new create. */
export function firstVersion(): Version {
  lastFirst = Math.max(lastFirst + 1000, Date.now() * 1000)
  return lastFirst
}

export function unreadable(cause?: unknown): SessionError {
  return new SessionError(
    'ERR_SESSION_UNREADABLE',
    'store memcached: under a session key there is something that is not a session record; it was left alone. ' +
      'Give the sessions a prefix that no other program uses',
    cause === undefined ? undefined : { cause },
  )
}
