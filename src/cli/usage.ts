import { SessionError } from '../errors.ts'
import { isKey } from '../units.ts'

/** The error for wrong arguments. Its sentence must repeat no value, because a value may be a secret that went astray. */
export function wrong(sentence: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', sentence)
}

/** Throws `ERR_SESSION_OPTION` unless this is the public id of a session. */
export function assertId(id: string): void {
  if (isKey(id)) return
  throw wrong('An id is the public id of a session: 64 hexadecimal digits, as `list` and session.id show it.')
}
