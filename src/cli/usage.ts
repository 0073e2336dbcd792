import { SessionError } from '../errors.ts'
import { isKey } from '../units.ts'

/** The error for wrong arguments. Its sentence must repeat no value, because a value may be a secret that went astray. */
export function wrong(sentence: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', sentence)
}

/** Throws `ERR_SESSION_OPTION` unless this is the public id of a session, or enough of its beginning. */
export function assertId(id: string): void {
  if (/^[0-9a-f]{8,64}$/.test(id)) return
  throw wrong(
    'An id is the public id of a session: 64 hexadecimal digits, as `list` and session.id show it, or its first 8 or more.',
  )
}

/** Whether it is an id with all of its digits. */
export function isWhole(id: string): boolean {
  return isKey(id)
}
