import { setImmediate as nextTurn, setTimeout as after } from 'node:timers/promises'
import type { Found, Store } from '../../../src/index.ts'
import { memoryStore } from '../../../src/index.ts'
import type { Milliseconds } from '../../../src/units.ts'
import { until } from '../servers/server-process.ts'

/** A store that works on `inner` and answers this much later: one that is reached over a network. */
export function delayed(inner: Store, delay: Milliseconds): Store {
  const late =
    <Arguments extends unknown[], Answer>(method: (...args: Arguments) => Answer) =>
    async (...args: Arguments): Promise<Awaited<Answer>> => {
      await after(delay)
      return await method(...args)
    }
  return {
    ...inner,
    load: late(inner.load),
    save: late(inner.save),
    touch: late(inner.touch),
    delete: late(inner.delete),
  }
}

export type Call = 'load' | 'save' | 'touch' | 'delete' | 'isCurrent'

/** A store that passes all calls on to `inner`, and counts them. */
export function counting(inner: Store): { store: Store; calls: Record<Call, number>; total(): number } {
  const calls = { load: 0, save: 0, touch: 0, delete: 0, isCurrent: 0 }
  const store: Store = {
    ...inner,
    load: (key) => (calls.load++, inner.load(key)),
    save: (key, text, expiresAt, expected) => (calls.save++, inner.save(key, text, expiresAt, expected)),
    touch: (key, expiresAt) => (calls.touch++, inner.touch(key, expiresAt)),
    delete: (key, expected) => (calls.delete++, inner.delete(key, expected)),
    ...(inner.isCurrent && {
      isCurrent: (key: string, found: Found) => (calls.isCurrent++, inner.isCurrent?.(key, found) === true),
    }),
  }
  return { store, calls, total: () => Object.values(calls).reduce((sum, count) => sum + count, 0) }
}

/** A store whose next calls wait, or fail, as a test wants it. */
export interface SteerableStore extends Store {
  /** Calls of these names stand still until `release`. */
  readonly held: Set<Call>
  /** Calls of these names are rejected. */
  readonly failing: Set<Call>
  /** Every call that came, in order. */
  readonly arrivals: Call[]
  release(): void
  /** Resolves when a call of this name stands still. */
  stands(name: Call): Promise<void>
  /** Resolves when everything has come and is answered that was on its way, except for what stands still. */
  idle(): Promise<void>
}

export function steerable(inner: Store = memoryStore()): SteerableStore {
  const waiting: { readonly name: Call; readonly resume: () => void }[] = []
  let underWay = 0
  const steered = {
    held: new Set<Call>(),
    failing: new Set<Call>(),
    arrivals: [] as Call[],
    release(): void {
      steered.held.clear()
      for (const { resume } of waiting.splice(0)) resume()
    },
    stands: (name: Call) => until(() => waiting.some((call) => call.name === name)),
    async idle() {
      // A turn of the event loop more, in which an answer may lead to the next call.
      do await nextTurn()
      while (underWay > waiting.length)
    },
  }
  const steer =
    <Arguments extends unknown[], Answer>(name: Call, method: (...args: Arguments) => Answer) =>
    async (...args: Arguments): Promise<Awaited<Answer>> => {
      steered.arrivals.push(name)
      if (steered.failing.has(name)) throw new Error('the server is down')
      underWay++
      try {
        if (steered.held.has(name)) await new Promise<void>((resume) => waiting.push({ name, resume }))
        return await method(...args)
      } finally {
        underWay--
      }
    }
  return Object.assign(steered, {
    load: steer('load', inner.load),
    save: steer('save', inner.save),
    touch: steer('touch', inner.touch),
    delete: steer('delete', inner.delete),
  })
}

/** The keys of all live records. */
export async function keysOf(store: Store): Promise<string[]> {
  const keys = []
  for await (const key of store.keys?.() ?? []) keys.push(key)
  return keys
}
