import { Checks } from '../checks.ts'
import type { Until } from '../deadline.ts'
import { warn } from '../diagnostics.ts'
import { isSessionError } from '../errors.ts'
import type { Deleted, Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import { firstVersion } from './envelope.ts'
import { ask } from './express/ask.ts'
import { formatSession, parseSession } from './express/session.ts'
import { sharedOf } from './express/shared.ts'
import { checkedDeadline } from './store-options.ts'

/** The methods that every store for express-session has, and all that is used of it. */
export interface ExpressSessionStore {
  /** Calls back with the session, or with nothing if there is none. */
  get(id: string, callback: (error?: unknown, session?: unknown) => void): unknown
  /** Keeps the session, whatever is there already. */
  set(id: string, session: unknown, callback?: (error?: unknown) => void): unknown
  /** Removes the session, if there is one. */
  destroy(id: string, callback?: (error?: unknown) => void): unknown
}

/** A store whose steps are atomic within one process only. */
export interface OneProcessStore extends Store {
  /** How far the guarantees G1 to G4 reach. */
  readonly atomicWithin: 'process'
}

/** How `fromExpressStore` behaves. */
export interface ExpressStoreOptions {
  /** Time limit for every operation, in milliseconds, even if the store never calls back. Default 2000. */
  readonly deadline?: Milliseconds
}

const checks = new Checks('fromExpressStore')

/**
 * Sessions in a store that was written for express-session, such as connect-pg-simple or connect-mongo.
 *
 * **Fit for one process.** Such a store can overwrite, but not compare and set, so a save takes several steps. Within
 * this process they run one after another for each key, and all guarantees hold. Another process on the same data may
 * write between a read and a write of this one, within some milliseconds. Then one of the two changes is lost (G1, G2),
 * and a session that was destroyed in between comes back (G3), even if this process only extended its idle timeout
 * (G4). A warning says so once per store (`SESSION_STORE_ONE_PROCESS`). For several processes use `redisStore` or an SQL
 * store, or write a `Store`. The library's cache works if `cache.allowStale` is set.
 *
 * The store keeps the session `{ cookie, record, version, expiresAt }` under the key, and the record is one text. A
 * touch writes by `set` too: `touch` of these stores moves the end where no `get` sees it (connect-redis,
 * connect-pg-simple), and may create a session (session-file-store). A session of another kind under a key is
 * `ERR_SESSION_UNREADABLE`, and stays until it is deleted. For ten minutes this process treats what it has destroyed as
 * gone, even if a late `set` or another process brings it back, and destroys it again when it meets it.
 *
 * Throws `ERR_SESSION_OPTION` if the store lacks a method or an option is wrong. Round trips: load 1, save 2, touch 2,
 * delete 2. The store stays the application's, so there is no `close`.
 */
export function fromExpressStore(store: ExpressSessionStore, options: ExpressStoreOptions = {}): OneProcessStore {
  checks.object('its second argument', options)
  checks.names(options, ['deadline'])
  const deadline = checkedDeadline(checks, options.deadline)
  refuseStranger(store)
  const { shared, isNew } = sharedOf(store)
  if (isNew) warnOfOneProcess()

  /** The record under this key, alive or expired. */
  async function read(key: Key, until: Until): Promise<Found | undefined> {
    try {
      const session = await ask<unknown>(until, (callback) => store.get(key, callback))
      return session === undefined || session === null || session === false ? undefined : parseSession(session)
    } catch (error) {
      // A store in files may report an absent session as a failure.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async function readLive(key: Key, until: Until): Promise<Found | undefined> {
    const found = await read(key, until)
    return found && found.expiresAt > Date.now() ? found : undefined
  }

  async function write(key: Key, found: Found, until: Until): Promise<void> {
    // Not every store treats an end in the past as an end.
    if (found.expiresAt <= Date.now()) return erase(key, until)
    const destroyIfBuried = (): void => {
      if (shared.isBuried(key)) erase(key, untilNow()).catch(() => {})
    }
    await ask(until, (callback) => store.set(key, formatSession(found), callback), destroyIfBuried)
  }

  async function erase(key: Key, until: Until): Promise<void> {
    try {
      await ask(until, (callback) => store.destroy(key, callback))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  function untilNow(): Until {
    return performance.now() + deadline
  }

  async function create(key: Key, text: string, expiresAt: Instant, until: Until): Promise<Saved> {
    const there = await read(key, until)
    if (there && there.expiresAt > Date.now() && !shared.isBuried(key)) return { conflict: there }
    const version = Math.max(firstVersion(), (there?.version ?? 0) + 1)
    const created = { text, version, expiresAt }
    shared.unbury(key)
    await write(key, created, until)
    return { saved: created }
  }

  async function update(key: Key, text: string, expiresAt: Instant, expected: Found, until: Until): Promise<Saved> {
    const there = shared.isBuried(key) ? undefined : await readLive(key, until)
    if (there === undefined) return { gone: true }
    if (there.version !== expected.version) return { conflict: there }
    const updated = { text, version: there.version + 1, expiresAt }
    await write(key, updated, until)
    return { saved: updated }
  }

  return {
    atomicWithin: 'process',
    deadline,

    async load(key: Key): Promise<Found | undefined> {
      const until = untilNow()
      if (!shared.isBuried(key)) return readLive(key, until)
      await shared.inTurn(key, () => (shared.isBuried(key) ? erase(key, until) : Promise.resolve()))
      return undefined
    },

    save(key: Key, text: string, expiresAt: Instant, expected: Found | undefined): Promise<Saved> {
      const until = untilNow()
      return shared.inTurn(key, () =>
        expected === undefined ? create(key, text, expiresAt, until) : update(key, text, expiresAt, expected, until),
      )
    },

    touch(key: Key, expiresAt: Instant): Promise<boolean> {
      const until = untilNow()
      return shared.inTurn(key, async () => {
        const there = shared.isBuried(key) ? undefined : await readLive(key, until)
        if (there === undefined) return false
        if (expiresAt > there.expiresAt) await write(key, { ...there, expiresAt }, until)
        return true
      })
    },

    delete(key: Key, expected?: Found): Promise<Deleted> {
      const until = untilNow()
      return shared.inTurn(key, async () => {
        const wasBuried = shared.isBuried(key)
        const there = await readLive(key, until).catch((error: unknown) => {
          if (expected || !isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
          return 'unreadable' as const
        })
        if (expected && typeof there === 'object' && !wasBuried && there.version !== expected.version) return there
        // The store may answer too late or not at all, so the key is buried before.
        shared.bury(key)
        await erase(key, until)
        return there !== undefined && !wasBuried
      })
    },
  }
}

function refuseStranger(store: ExpressSessionStore): void {
  const shape = store as Partial<ExpressSessionStore> | null | undefined
  if (['get', 'set', 'destroy'].every((name) => typeof shape?.[name as keyof ExpressSessionStore] === 'function'))
    return
  throw checks.refusal(
    typeof store === 'function'
      ? 'this is a class or a function; give it a store that is made of it, such as new RedisStore({ client }).'
      : 'give it a store for express-session, with the methods get, set and destroy.',
  )
}

function warnOfOneProcess(): void {
  warn(
    'SESSION_STORE_ONE_PROCESS',
    'fromExpressStore: a store for express-session cannot compare and set, so parallel requests are safe within one ' +
      'process only. With several processes, changes are lost and destroyed sessions can come back; take redisStore',
  )
}
