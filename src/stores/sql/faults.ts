import { SessionError, reasonOf } from '../../errors.ts'
import type { Milliseconds } from '../../units.ts'

/** What a server's refusal means, whatever its number is there. */
export type Fault =
  | 'rolled back'
  | 'duplicate'
  | 'no table'
  | 'shape'
  | 'schema'
  | 'rights'
  | 'database'
  | 'login'
  | 'connections'
  | 'starting'
  | 'read-only'
  | 'slow'
  | 'space'
  | 'lost'

const MEANINGS: Readonly<Record<Exclude<Fault, 'rights'>, string>> = {
  'rolled back': 'other writers were faster again and again',
  duplicate: 'the row is there already',
  'no table':
    'the tables are not there any more; the next session makes them again, or run: koa-server-session migrate',
  shape:
    'a table of this name is there that is not one of ours, or was changed; give the sessions a table of their own with the option table',
  schema: 'the schema of the option table does not exist; create it first',
  database: 'there is no database of this name; correct the URL, or create the database',
  login: 'the user or the password is wrong, or this user may not use this database',
  connections: 'the server has no connection left; raise its limit, or lower poolSize',
  starting: 'the server is starting or ending',
  'read-only': 'the server takes no writes: it is a standby, or is set to read-only; give the address of the primary',
  slow: 'the statement took too long, or waited too long for a lock',
  space: 'the disk of the server is full',
  lost: 'the connection was lost',
}

/**
 * The error for a failure of the database, in words of our own: a driver's message and its other fields may quote the
 * values of a statement, and so keys and contents.
 */
export function failed(what: string): SessionError {
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', what)
}

/** The error for a refusal with this number. */
export function refusedBy(server: string, fault: Exclude<Fault, 'rights'> | undefined, code: string): SessionError {
  return failed(fault === undefined ? `${server} answered ${code}` : `${server}: ${MEANINGS[fault]} (${code})`)
}

/** The error for a connection that there was none of, or that went away. */
export function notConnected(server: string, error: unknown, hadConnection: boolean): SessionError {
  const reason = reasonOf(error)
  if (hadConnection) return failed(`${server}: ${MEANINGS.lost}${reason === undefined ? '' : ` (${reason})`}`)
  // Before the first statement no message quotes a value.
  const said = error instanceof Error && error.message !== '' ? error.message : reason
  return failed(`no connection to ${server}${said === undefined ? '' : `: ${said}`}`)
}

/** The error for a deadline that has passed. */
export function tooLate(server: string, deadline: Milliseconds, hadConnection: boolean): SessionError {
  return failed(
    hadConnection
      ? `${server} did not answer within ${deadline} ms`
      : `no connection to ${server} within ${deadline} ms: it does not answer, or all connections of the pool are in use`,
  )
}
