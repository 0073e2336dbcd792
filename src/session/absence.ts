import type { Key } from '../units.ts'

/**
 * Why there is no session under a key: there is no record, none that can be read, or only the marker of a session that
 * got a new id a moment ago or was ended by somebody who said why.
 */
export type Absence = 'missing' | 'unreadable' | 'replaced' | `${typeof ENDED}${string}`

const ENDED = 'ended: '

/** The absence of a session that was ended for this reason. */
export function endedFor(reason: string): Absence {
  return `${ENDED}${reason}`
}

/** Why the session was ended, as far as anybody has said so. */
export function reasonIn(absence: Absence): string | undefined {
  return absence.startsWith(ENDED) ? absence.slice(ENDED.length) : undefined
}

/** A visitor whose cookies name no live session. */
export interface Stranger {
  /** The records that these cookies name and that cannot be read. */
  readonly unreadable: readonly Key[]
  /** The id that was replaced a moment ago, if one of the cookies has it. Another tab may hold what replaced it. */
  readonly replaced?: Key | undefined
  /** Why the session that one of these cookies names was ended, if somebody said so. */
  readonly endedBecause?: string | undefined
}
