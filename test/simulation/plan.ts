import type { Milliseconds } from '../../src/units.ts'
import type { Setting } from './site.ts'

const MINUTE: Milliseconds = 60_000

/** Shares of the requests that write. */
export const WRITES = [0.01, 0.1, 0.3] as const
export const NODES = [1, 2, 5, 10, 20, 50] as const
export const AFFINITY = [false, true] as const

/** What all settings have in common: with 50 nodes, 10 million sessions and 20 000 requests a second. */
const COMMON = {
  seed: 20_261_126,
  sessionsPerNode: 200_000,
  requestsPerNode: 400,
  pause: 10_000,
  clockIsSetEvery: 0,
  bound: 1000,
  maxAge: MINUTE,
  warmUp: 2 * MINUTE,
  audit: 0.01,
} as const

/** One session in so many is simulated: of a large site fewer, so that each takes about as long. */
const ONE_IN: Readonly<Record<(typeof NODES)[number], number>> = { 1: 10, 2: 20, 5: 40, 10: 50, 20: 80, 50: 100 }
/** The same for the comparison with all sessions of a small site. */
const ONE_IN_SMALL = 50

/** One point of the curves. */
export interface Place {
  readonly nodes: (typeof NODES)[number]
  readonly writes: number
  readonly hasAffinity: boolean
}

export function places(): Place[] {
  return WRITES.flatMap((writes) =>
    AFFINITY.flatMap((hasAffinity) => NODES.map((nodes) => ({ nodes, writes, hasAffinity }))),
  )
}

/** The caches as they would be if they did not switch themselves off. */
export function keptOn(place: Place): Setting {
  return { ...COMMON, ...place, oneIn: ONE_IN[place.nodes], counted: MINUTE, isKeptOn: true, hangsEvery: 2 * MINUTE }
}

/** Caches that read a session again only after ten minutes. */
export function patient(): Setting {
  const place = { nodes: 50, writes: 0.1, hasAffinity: true } as const
  return { ...keptOn(place), maxAge: 10 * MINUTE, warmUp: 5 * MINUTE, counted: 2 * MINUTE }
}

/** As they are. A cache decides after a minute for the first time, and may then rest for five. */
export function asTheyAre(place: Place): Setting {
  return { ...keptOn(place), warmUp: MINUTE, counted: 6 * MINUTE, isKeptOn: false }
}

/** All sessions of a small site, and one in fifty of them: if that stands for all, both come to the same. */
export function wholeAndPart(): { whole: Setting; part: Setting } {
  const small = {
    ...keptOn({ nodes: 5, writes: 0.1, hasAffinity: false }),
    sessionsPerNode: 50_000,
    requestsPerNode: 200,
    hangsEvery: 0,
  }
  const part = { ...small, oneIn: ONE_IN_SMALL, counted: 100 * MINUTE }
  return { whole: { ...small, oneIn: 1 }, part }
}

/**
 * Visitors who ask again after a quarter of a second, at any node, and often write: so that something is outdated now and
 * then. With connections that hang once a minute, and without.
 */
export function hurried(): { calm: Setting; troubled: Setting } {
  const place = { nodes: 10, writes: 0.3, hasAffinity: false } as const
  const calm = {
    ...keptOn(place),
    oneIn: 10,
    pause: 250,
    warmUp: 10_000,
    counted: 2 * MINUTE,
    hangsEvery: 0,
    audit: 0.1,
  }
  return { calm, troubled: { ...calm, hangsEvery: MINUTE } }
}
