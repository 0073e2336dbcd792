import { unreadable, type SessionError } from '../errors.ts'
import type { Found } from '../store.ts'
import type { Instant, Version } from '../units.ts'

/*
 * How a record lies in a store that keeps one value per key (Redis, memcached):
 *
 *   <end, 13 digits>|<version>|<text>
 *
 * The end and the version stand before the text in plain digits, so that a script can compare them without reading the
 * text, and a person can read them with redis-cli.
 */

/** The last instant with 13 digits, in the year 2286. */
const LATEST: Instant = 9_999_999_999_999
const HEAD = /^(\d{13})\|(\d{1,16})\|/

/** The instant as stores keep it: whole milliseconds, from 1970 to 2286. An instant beyond these becomes the nearer one. */
export function keptInstant(expiresAt: Instant): Instant {
  return Math.trunc(Math.min(Math.max(expiresAt, 0), LATEST))
}

/** A kept instant as 13 digits. */
export function thirteenDigits(expiresAt: Instant): string {
  return String(expiresAt).padStart(13, '0')
}

/** The value of a record. Its end must be a kept instant. */
export function formatValue({ expiresAt, version, text }: Found): string {
  return `${thirteenDigits(expiresAt)}|${version}|${text}`
}

/** The record in a value. Throws `ERR_SESSION_UNREADABLE` if the value is no record. */
export function parseValue(value: unknown): Found {
  const head = typeof value === 'string' ? HEAD.exec(value) : null
  if (!head) throw notOurs()
  return { text: head.input.slice(head[0].length), version: Number(head[2]), expiresAt: Number(head[1]) }
}

/** The error for a session's key that holds something else than a session. `cause` must not quote what it holds. */
export function notOurs(cause?: unknown): SessionError {
  return unreadable(
    'another program, or another release, wrote under its key; give the sessions a prefix, table or database of their own',
    cause,
  )
}

let lastFirst: Version = 0

/**
 * The first version of a new record: the clock in microseconds, and never the same twice in this process. So versions
 * also grow from a record that was deleted to one that is made anew under its key.
 */
export function firstVersion(): Version {
  lastFirst = Math.max(lastFirst + 1000, Date.now() * 1000)
  return lastFirst
}
