export type SituationName = 'anonymous' | 'visitor' | 'read' | 'object' | 'write'

/** What a request may ask of the applications in bench/apps.ts. */
export interface Situation {
  readonly title: string
  readonly path: '/anonymous' | '/read' | '/object' | '/write'
  /** Whether its visitor has a session. */
  readonly hasCookie: boolean
}

export const SITUATIONS: Readonly<Record<SituationName, Situation>> = {
  anonymous: { title: 'a visitor whose session is not touched', path: '/anonymous', hasCookie: false },
  visitor: { title: 'a visitor who has no session, into which the handler looks', path: '/read', hasCookie: false },
  read: { title: 'a string of a cached session', path: '/read', hasCookie: true },
  object: { title: 'an object of a cached session', path: '/object', hasCookie: true },
  write: { title: 'a change of one key', path: '/write', hasCookie: true },
}

export type StoreName = 'memory' | 'file'

/** What one request may cost on one store, beyond Koa with AsyncLocalStorage alone. */
export interface Limits {
  /** At most; an async middleware makes two. */
  readonly promises: number
  /** At most, allocated in the heap of JavaScript. */
  readonly bytes: number
  /** Exactly, of `node:fs` and `node:crypto`. */
  readonly calls: Readonly<Record<string, number>>
}

/** On Node 20 and 24. Node 22 and 26 allocate up to 150 bytes more for the same request. */
const BYTES_OF_AN_OBJECT = /^v(?:22|26)\./.test(process.version) ? 3900 : 3700

/**
 * The limits of `test/cost.test.ts`, and their only place. Bytes: the most that was measured on Node 20, 22, 24 and 26,
 * and a fifth more, or 800; the same code varies by some 500. Who makes a request cheaper lowers them.
 */
export const LIMITS: Readonly<Record<StoreName, Readonly<Record<SituationName, Limits>>>> = {
  memory: {
    anonymous: { promises: 2, bytes: 2300, calls: {} },
    visitor: { promises: 2, bytes: 2900, calls: {} },
    read: { promises: 2, bytes: 3400, calls: {} },
    object: { promises: 2, bytes: BYTES_OF_AN_OBJECT, calls: {} },
    write: { promises: 14, bytes: 14_400, calls: {} },
  },
  file: {
    anonymous: { promises: 2, bytes: 2300, calls: {} },
    visitor: { promises: 2, bytes: 2900, calls: {} },
    read: { promises: 2, bytes: 3400, calls: { existsSync: 1 } },
    object: { promises: 2, bytes: BYTES_OF_AN_OBJECT, calls: { existsSync: 1 } },
    write: {
      promises: 14,
      bytes: 18_900,
      calls: { existsSync: 1, writeFileSync: 1, renameSync: 1, unlinkSync: 1 },
    },
  },
}

/**
 * The promises of a login after another one, beyond Koa with AsyncLocalStorage alone: it notes that the session before is
 * held, leaves the marker, and makes the new record.
 */
export const MOST_PROMISES_OF_LOGIN = 47

/**
 * A young generation so large that nothing is collected while bytes are counted, and one thread, so that each run
 * compiles at the same moments.
 */
export const ALLOCATION_FLAGS: readonly string[] = [
  '--expose-gc',
  '--single-threaded',
  '--min-semi-space-size=128',
  '--max-semi-space-size=128',
]

/**
 * Bytes of each request that may still be there after it, beyond Koa with AsyncLocalStorage alone: the request that is
 * under way when young objects are collected is moved among the old ones. Measured: up to 400.
 */
export const MOST_SURVIVORS = 800

/** The same for a login, whose cookie is remembered as verified. Measured: up to 1212. */
export const MOST_SURVIVORS_OF_LOGIN = 1800

/** How often a warm read looks at the clock: when it comes, and when its response has left. */
export const MOST_READINGS_OF_CLOCK = 2

/**
 * Small young generations, so that there are many of them, and no compiler, because it may leave out what survives. No
 * full collection that V8 begins because time has passed: on a busy machine there would always be one.
 */
export const SURVIVAL_FLAGS: readonly string[] = [
  '--no-memory-reducer',
  '--expose-gc',
  '--single-threaded',
  '--no-opt',
  '--no-maglev',
  '--min-semi-space-size=1',
  '--max-semi-space-size=1',
]
