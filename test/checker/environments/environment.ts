import type { Key, Milliseconds } from '../../../src/units.ts'
import type { Random } from '../random.ts'
import type { StorePlace } from '../worker.ts'

export type StoreKind =
  | 'file'
  | 'redis'
  | 'redis2'
  | 'sentinel'
  | 'cluster'
  | 'shards'
  | 'resharding'
  | 'postgres'
  | 'sqlite'

/** Something that goes wrong, and is right again when the promise settles. */
export interface Fault {
  readonly name: string
  readonly weight: number
  /** Faults of one scene never happen at the same time. */
  readonly scene: string
  run(random: Random): Promise<void>
}

/** A time in which the servers themselves may forget what they acknowledged, or answer with what is no longer so. */
export interface Doubt {
  readonly from: Milliseconds
  to: Milliseconds
}

/** The deadline of the last look, in which nothing goes wrong any more: a store that is only slow is waited for. */
export const PATIENT: Milliseconds = 60_000

/** Where the sessions of one campaign are, and what may happen to that place. */
export interface Environment {
  readonly kind: StoreKind
  /** What the library promises there: how long after an acknowledgement others may still see what was before. */
  readonly bound: Milliseconds
  readonly faults: readonly Fault[]
  readonly doubts: readonly Doubt[]
  /** For the worker in this place. */
  placeFor(worker: number): Promise<StorePlace>
  /** Without any faults between, to look into the store when all is over. */
  readonly direct: StorePlace
  /** Resolves when all is well again. */
  calm(): Promise<void>
  stop(): Promise<void>
}

/** What an environment may know of the campaign it is part of. */
export interface Surroundings {
  readonly directory: string
  readonly workers: number
  readonly random: Random
  /** The coherence bound to be set, where there is one. */
  readonly bound: Milliseconds
  readonly now: () => Milliseconds
  /** Sessions in use. */
  readonly live: () => readonly Key[]
  /** All sessions are about to be removed; the result is called when they are. */
  readonly flushing: () => () => void
}

export function sleep(length: Milliseconds): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, length))
}
