import type { Found, Link, Listener, Store } from '../../../src/store.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import type { Awaitable, Key } from '../../../src/units.ts'

export type Method = 'load' | 'save' | 'touch' | 'delete'

/** A call that stands still until a test lets it go on. */
export interface Held {
  /** Resolves when the call has come. */
  readonly arrived: Promise<void>
  release(): void
}

/** What becomes of one call: it waits or fails before the store has done it, or after, on the way back. */
interface Plan {
  readonly when: 'before' | 'after'
  readonly until?: Promise<void>
  readonly error?: unknown
  readonly arrived?: () => void
}

export interface RecordingOptions {
  /** Answers at once where nothing else was asked for, as a store of this process does. Default: by a promise. */
  readonly isSynchronous?: boolean
  /** `isCurrent`: exact without messages. `watch`: tells of writes, over a link that the test steers. Default: neither. */
  readonly power?: 'isCurrent' | 'watch'
}

/** The memory store, with its calls written down, and held up or failed as a test wants it. */
export interface RecordingStore extends Store {
  readonly calls: Method[]
  /** The store behind, which no plan touches: another process. */
  readonly elsewhere: Store
  /** The link of `watch`. */
  readonly link: { generation: number; isVouching: boolean }
  /** Whom `watch` tells. */
  readonly listeners: Set<Listener>
  count(method: Method): number
  /** The next call of this method that has no other plan waits. */
  hold(method: Method, when?: Plan['when']): Held
  /** The next call of this method that has no other plan fails; `after`: although it was done. */
  fail(method: Method, error: unknown, when?: Plan['when']): void
  /** All plans for calls that have not come are dropped. */
  mend(): void
}

export function recordingStore({ isSynchronous = false, power }: RecordingOptions = {}): RecordingStore {
  const elsewhere = memoryStore({ pruneInterval: 0 })
  const calls: Method[] = []
  const plans: Record<Method, Plan[]> = { load: [], save: [], touch: [], delete: [] }
  const link = { generation: 1, isVouching: true }
  const listeners = new Set<Listener>()

  function run<Answer>(method: Method, work: () => Awaitable<Answer>): Awaitable<Answer> {
    calls.push(method)
    const plan = plans[method].shift()
    return plan === undefined && isSynchronous ? work() : later(work, plan)
  }

  async function later<Answer>(work: () => Awaitable<Answer>, plan: Plan | undefined): Promise<Answer> {
    if (plan?.when === 'before') await follow(plan)
    const answer = await work()
    if (plan?.when === 'after') await follow(plan)
    return answer
  }

  async function follow({ until, error, arrived }: Plan): Promise<void> {
    arrived?.()
    await until
    if (error !== undefined) throw error
  }

  return {
    calls,
    elsewhere,
    link,
    listeners,
    count: (method) => calls.filter((call) => call === method).length,
    hold(method, when = 'before') {
      let release!: () => void
      let arrived!: () => void
      const until = new Promise<void>((resolve) => (release = resolve))
      const hasArrived = new Promise<void>((resolve) => (arrived = resolve))
      plans[method].push({ when, until, arrived })
      return { arrived: hasArrived, release }
    },
    fail(method, error, when = 'before') {
      plans[method].push({ when, error })
    },
    mend() {
      for (const planned of Object.values(plans)) planned.length = 0
    },
    load: (key) => run('load', () => elsewhere.load(key)),
    save: (key, text, expiresAt, expected) => run('save', () => elsewhere.save(key, text, expiresAt, expected)),
    touch: (key, expiresAt) => run('touch', () => elsewhere.touch(key, expiresAt)),
    delete: (key, expected) => run('delete', () => elsewhere.delete(key, expected)),
    ...(power === 'isCurrent' && { isCurrent: (key: Key, found: Found) => elsewhere.isCurrent?.(key, found) === true }),
    ...(power === 'watch' && {
      watch(listener: Listener) {
        listeners.add(listener)
        const own: Link = {
          get generation() {
            return link.generation
          },
          vouches: () => link.isVouching,
        }
        return {
          linkOf: () => own,
          close: async () => {
            listeners.delete(listener)
          },
        }
      },
    }),
  }
}
