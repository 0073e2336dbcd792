import type { Key } from '../../src/units.ts'
import type { Kind, Operation } from './history.ts'

/** What must never be seen. */
export type Rule =
  | 'one version has one content'
  | 'one version is acknowledged to one process'
  | 'every acknowledged write is there, and nothing else'
  | 'counters are exact'
  | 'a read is no older than the bound'
  | 'a process sees its own writes, and never goes back'
  | 'a destroyed session is served no longer than the bound'
  | 'nothing is acknowledged after a destroy'
  | 'a destroyed session is not in the store'
  | 'no session ends without a cause'
  | 'of several sign-ins one session is left'
  | 'a sign-out ends what nobody holds yet'
  | 'a session that is held is replaced by nobody else'
  | 'a list shows what lives, and all of it'
  | 'an old id gives nothing that was written after the sign-in'
  | 'no error but the documented ones'

/** The history of one session. */
export interface Life {
  readonly session: Key
  readonly operations: readonly Operation[]
  /** Who made it: a `create`, or a `regenerate` or a `signIn` with the id of another session. */
  readonly birth: Operation | undefined
}

export type Complain = (rule: Rule, operation: Operation, what: string) => void

/** Operations that end a session. */
export const ENDS: ReadonlySet<Kind> = new Set<Kind>(['destroy', 'regenerate', 'signIn', 'revokeAll', 'flush'])

/** Operations on no session of their own. */
export const OF_ALL: ReadonlySet<Kind> = new Set<Kind>(['flush', 'list', 'revokeAll'])
