import type { Spread } from './statistics.ts'

export const STORES = ['memory', 'files', 'Redis'] as const

export type StoreName = (typeof STORES)[number]

/** What requests cost while a store holds so many sessions. Microseconds of processor time; megabytes. */
export interface SizePoint {
  readonly store: StoreName
  readonly sessions: number
  /** 1 000 users in turn, all of them in the cache. */
  readonly warmRead: Spread
  /** Up to 20 000 users in turn, and a cache of 100: every request verifies its cookie and asks the store. */
  readonly coldRead: Spread
  /** One key, 1 000 users in turn. */
  readonly write: Spread
  readonly heap: number
  readonly rss: number
}

/** What several processes answer together, any user's request going to any of them. */
export interface ProcessesPoint {
  readonly variant: string
  readonly path: '/read' | '/write'
  readonly processes: number
  readonly requestsPerSecond: Spread
}

/** How much later than it was due a timer of a millisecond came, in milliseconds. */
export interface Delays {
  readonly median: number
  readonly p99: number
  readonly max: number
}

export interface Pruning {
  readonly sessions: number
  readonly idle: Delays
  /** While nothing was expired. */
  readonly looking: Delays
  readonly lookingSeconds: number
  readonly expired: number
  readonly removing: Delays
  readonly removingSeconds: number
}

export interface ScaleResults {
  readonly node: string
  readonly processors: number
  /** Koa with AsyncLocalStorage alone, in the same loop without a socket. Microseconds. */
  readonly floor: Spread
  readonly sizes: readonly SizePoint[]
  readonly processes: readonly ProcessesPoint[]
  readonly pruning?: Pruning | undefined
  /** What the time was too short for. */
  readonly leftOut: readonly string[]
}
