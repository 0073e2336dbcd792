import { SessionError } from '../../errors.ts'
import type { Found } from '../../store.ts'
import type { Instant } from '../../units.ts'

const LATEST: Instant = 9_999_999_999_999
const HEAD = /^(\d{13})\|(\d{1,16})\|/

/** An instant as the 13 digits that a value begins with; what lies beyond the year 2286 is the year 2286. */
export function thirteenDigits(expiresAt: Instant): string {
  const instant = Math.trunc(Math.min(Math.max(expiresAt, 0), LATEST))
  return String(instant).padStart(13, '0')
}

/** Reads `<13-digit expiresAt>|<version>|<text>`. */
export function parseValue(value: string): Found {
  const head = HEAD.exec(value)
  if (!head) throw unreadable()
  return { text: value.slice(head[0].length), version: Number(head[2]), expiresAt: Number(head[1]) }
}

export function unreadable(cause?: unknown): SessionError {
  return new SessionError(
    'ERR_SESSION_UNREADABLE',
    'store redis: under a session key there is something that is not a session record; it was left alone. ' +
      'Give the sessions a prefix that no other program uses',
    cause === undefined ? undefined : { cause },
  )
}
