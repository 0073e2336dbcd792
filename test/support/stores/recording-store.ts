import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Found, Link, Listener, Store } from '../../../src/store.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import type { Awaitable, Instant, Key, Milliseconds, SubjectName } from '../../../src/units.ts'
import { PATIENCE, collect } from './records.ts'
import { until as untilTrue } from '../servers/server-process.ts'

/** `add`, `remove` and `list` are those of the index of subjects. */
export type Method = 'load' | 'save' | 'touch' | 'delete' | 'add' | 'remove' | 'list'

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
  /** `default`: the store says nothing of one, and gets the library's. Default: so long that what a test holds is waited for. */
  readonly deadline?: Milliseconds | 'default'
  /** Where the calls go in the end. Default: a new memory store. */
  readonly over?: Store
}

/** A store that writes down its calls, and holds them up or fails them as a test wants it. */
export interface RecordingStore extends Store {
  readonly calls: Method[]
  /** How often `isCurrent` was asked. */
  readonly questions: number
  /** The store behind, which no plan touches: another process. */
  readonly elsewhere: Store
  /** The link of `watch`. */
  readonly link: { generation: number; isVouching: boolean; bound: number | undefined }
  /** Whom `watch` tells. */
  readonly listeners: Set<Listener>
  count(method: Method): number
  /** The next call of this method that has no other plan waits. */
  hold(method: Method, when?: Plan['when']): Held
  /** The next call of this method that has no other plan fails; `after`: although it was done. */
  fail(method: Method, error: unknown, when?: Plan['when']): void
  /** From now on all calls of these methods wait, until `mend`. */
  holdAll(...methods: Method[]): void
  /** From now on all calls of these methods fail, until `mend`. */
  failAll(...methods: Method[]): void
  /** Drops all plans for calls that have not come, and ends `holdAll` and `failAll`: what waits there goes on. */
  mend(): void
  /** Resolves when a call of this method stands still. */
  stands(method: Method): Promise<void>
  /** Resolves when everything that was on its way has come and is answered, except for what stands still. */
  idle(): Promise<void>
}

export function recordingStore(options: RecordingOptions = {}): RecordingStore {
  const { isSynchronous = false, power, deadline = PATIENCE } = options
  const { over: elsewhere = memoryStore({ pruneInterval: 0 }) } = options
  const index = elsewhere.subjects
  const calls: Method[] = []
  let questions = 0
  const plans: Record<Method, Plan[]> = {
    load: [],
    save: [],
    touch: [],
    delete: [],
    add: [],
    remove: [],
    list: [],
  }
  /** For all calls of a method that have no plan of their own. */
  const standing = new Map<Method, Plan>()
  let endStanding: () => void = () => {}
  let underWay = 0
  /** The calls that stand still. */
  const still: Method[] = []
  const link: RecordingStore['link'] = { generation: 1, isVouching: true, bound: undefined }
  const listeners = new Set<Listener>()

  function run<Answer>(method: Method, work: () => Awaitable<Answer>): Awaitable<Answer> {
    calls.push(method)
    const plan = plans[method].shift() ?? standing.get(method)
    if (plan === undefined && isSynchronous) return work()
    underWay++
    return later(method, work, plan).finally(() => underWay--)
  }

  async function later<Answer>(method: Method, work: () => Awaitable<Answer>, plan: Plan | undefined): Promise<Answer> {
    if (plan?.when === 'before') await follow(method, plan)
    const answer = await work()
    if (plan?.when === 'after') await follow(method, plan)
    return answer
  }

  async function follow(method: Method, { until, error, arrived }: Plan): Promise<void> {
    arrived?.()
    if (until) {
      still.push(method)
      await until
      still.splice(still.indexOf(method), 1)
    }
    if (error !== undefined) throw error
  }

  return {
    ...(deadline !== 'default' && { deadline }),
    calls,
    elsewhere,
    link,
    listeners,
    get questions() {
      return questions
    },
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
    holdAll(...methods) {
      const until = new Promise<void>((resolve) => (endStanding = resolve))
      for (const method of methods) standing.set(method, { when: 'before', until })
    },
    failAll(...methods) {
      for (const method of methods) standing.set(method, { when: 'before', error: new Error('the server is down') })
    },
    mend() {
      for (const planned of Object.values(plans)) planned.length = 0
      standing.clear()
      endStanding()
    },
    stands: (method) => untilTrue(() => still.includes(method)),
    async idle() {
      // A turn of the event loop more, in which an answer may lead to the next call.
      do await nextTurn()
      while (underWay > still.length)
    },
    load: (key) => run('load', () => elsewhere.load(key)),
    save: (key, text, expiresAt, expected) => run('save', () => elsewhere.save(key, text, expiresAt, expected)),
    touch: (key, expiresAt) => run('touch', () => elsewhere.touch(key, expiresAt)),
    delete: (key, expected) => run('delete', () => elsewhere.delete(key, expected)),
    ...(index && {
      subjects: {
        add: (subject: SubjectName, key: Key, until: Instant) => run('add', () => index.add(subject, key, until)),
        remove: (subject: SubjectName, key: Key) => run('remove', () => index.remove(subject, key)),
        async *keys(subject: SubjectName) {
          yield* await run('list', () => collect(index.keys(subject)))
        },
      },
    }),
    ...(power === 'isCurrent' && {
      isCurrent: (key: Key, found: Found) => (questions++, elsewhere.isCurrent?.(key, found) === true),
    }),
    ...(power === 'watch' && {
      watch(listener: Listener) {
        listeners.add(listener)
        const own: Link = {
          get generation() {
            return link.generation
          },
          vouches: () => link.isVouching,
          get bound() {
            return link.bound
          },
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
