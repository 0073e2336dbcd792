import { extendedEnd, lastSeenAt, type SessionRecord } from '../record/record.ts'
import { LONGEST_COOKIE } from '../record/timeouts.ts'
import type { Instant, Milliseconds } from '../units.ts'

/** When the session's cookie ends. `undefined`: with the browser. */
export function endOfCookie({ persistent, createdAt, absoluteTimeout }: SessionRecord): Instant | undefined {
  return persistent ? createdAt + absoluteTimeout : undefined
}

/** A cookie that browsers cut short is sent again in each of these periods, counted from the session's creation. */
const PERIOD: Milliseconds = LONGEST_COOKIE / 10

/**
 * Whether a persistent cookie is to be sent again, because browsers keep no cookie for as long as this session may live.
 * Nobody has to remember when it was sent: it is sent with the first extension of the session in each period. `expiresAt`:
 * when the session ends if it is not extended.
 */
export function isRenewalDue(record: SessionRecord, expiresAt: Instant, now: Instant): boolean {
  const end = endOfCookie(record)
  if (end === undefined) return false
  const periodOf = (at: Instant): number => Math.floor((at - record.createdAt) / PERIOD)
  const sentIn = periodOf(lastSeenAt(record, expiresAt))
  const isCutShort = record.createdAt + sentIn * PERIOD + LONGEST_COOKIE < end
  return isCutShort && sentIn !== periodOf(now) && extendedEnd(record, expiresAt, now) !== undefined
}
