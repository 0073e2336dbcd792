import type { Key } from '../units.ts'

/**
 * Why there is no session under a key: there is no record, none that can be read, or only the marker of a session that
 * got a new id a moment ago.
 */
export type Absence = 'missing' | 'unreadable' | 'replaced'

/** A visitor whose cookies name no live session. */
export interface Stranger {
  /** The records that these cookies name and that cannot be read. */
  readonly unreadable: readonly Key[]
  /** The id that was replaced a moment ago, if one of the cookies has it. Another tab may hold what replaced it. */
  readonly replaced?: Key | undefined
}
