import { SessionError } from '../errors.ts'
import { isKey } from '../units.ts'

/** The error for arguments that are wrong. The sentence repeats no values, which may have been meant for elsewhere. */
export function wrong(sentence: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', sentence)
}

/** Throws unless it is the public id of a session. */
export function assertId(id: string): void {
  if (isKey(id)) return
  throw wrong('An id is the public id of a session: 64 hexadecimal digits, as `list` and session.id show it.')
}
