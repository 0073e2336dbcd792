import type { Part } from './profile.ts'
import type { Spread } from './statistics.ts'

/** One line of the tables. */
export interface Step {
  readonly name: string
  readonly nanoseconds: Spread
  /** A step of every warm read, so that its share of one means something. */
  readonly isOfWarmRead?: true
  /** A whole request. */
  readonly isRequest?: true
}

export interface MicroResults {
  readonly node: string
  readonly steps: readonly Step[]
  /** Where the processor was in warm reads. */
  readonly parts: readonly Part[]
}

/** The request that shares are of. */
export const WHOLE = 'a string is read, memory'
