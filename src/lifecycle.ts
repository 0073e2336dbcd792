import { Commits, recordOf, type Committed } from './commits.ts'
import type { Diagnostics } from './diagnostics.ts'
import { SessionError, isSessionError } from './errors.ts'
import { endOf, merge, newRecord, type Changes, type SessionRecord, type Terms } from './record.ts'
import { applyUpdate } from './session.ts'
import { SessionState, type SessionActions } from './state.ts'
import type { Found, Store } from './store.ts'
import type { RegenerateOptions, Session } from './types.ts'
import { isPromise, type Awaitable, type Key, type Milliseconds } from './units.ts'
import type { Codec } from './value.ts'

export interface LifecycleOptions {
  readonly idleTimeout: Milliseconds
  readonly absoluteTimeout: Milliseconds
  readonly maxRecordBytes: number
  readonly codec: Codec
}

export type CommitOutcome = 'unchanged' | 'saved' | 'gone'

/** The idle timeout is extended once this part of it has passed, and not at every request. */
const TOUCH_AFTER = 1 / 10

/**
 * The life of sessions over a store: load, commit, touch, regenerate, destroy. Knows no HTTP, so that sockets, jobs and
 * tests use the same one.
 */
export class Lifecycle {
  readonly #store: Store
  readonly #options: LifecycleOptions
  readonly #diagnostics: Diagnostics
  readonly #commits: Commits
  readonly #touching = new Map<Key, Promise<void>>()

  constructor(store: Store, options: LifecycleOptions, diagnostics: Diagnostics) {
    this.#store = store
    this.#options = options
    this.#diagnostics = diagnostics
    this.#commits = new Commits(store, options.maxRecordBytes, diagnostics)
  }

  /** What the store has under this key; an unreadable record is reported and then as good as none. */
  load(key: Key): Awaitable<Found | undefined> {
    const found = this.#store.load(key)
    return isPromise(found) ? found.then((late) => this.#readable(late), (error: unknown) => this.#unreadable(error)) : this.#readable(found)
  }

  #readable(found: Found | undefined): Found | undefined {
    if (!found) {
      this.#diagnostics.stats.misses++
      return undefined
    }
    try {
      const record = recordOf(found)
      // The timeouts are ours, whatever the store's own expiry does.
      const now = Date.now()
      return found.expiresAt > now && record.createdAt + record.absoluteTimeout > now ? found : undefined
    } catch (error) {
      return this.#unreadable(error)
    }
  }

  #unreadable(error: unknown): undefined {
    if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
    this.#diagnostics.stats.errors++
    this.#diagnostics.report('error', { reason: 'unreadable', error })
  }

  /** A session that is not stored before something is put into it. */
  create(actions: SessionActions, terms?: Partial<Terms>): SessionState {
    const { codec } = this.#options
    // Named one by one, because spreading costs a request more than all the rest of an empty session.
    const record = newRecord(Date.now(), {
      idleTimeout: terms?.idleTimeout ?? this.#options.idleTimeout,
      absoluteTimeout: terms?.absoluteTimeout ?? this.#options.absoluteTimeout,
      persistent: terms?.persistent ?? false,
    })
    return new SessionState(record, codec, actions)
  }

  /** A session over what was loaded. */
  open(actions: SessionActions, key: Key, found: Found, id?: string): SessionState {
    return new SessionState(recordOf(found), this.#options.codec, actions, { id, key, found })
  }

  /**
   * Stores what this request changed: `unchanged` if there is nothing to store, `gone` if the session was ended
   * elsewhere, in which case the changes are dropped and the session reads as destroyed.
   */
  commit(state: SessionState): Awaitable<CommitOutcome> {
    // Not an async function: most requests change nothing, and should not pay for a promise.
    const changes = state.phase === 'open' ? state.changes() : undefined
    return changes ? this.#commit(state, changes) : 'unchanged'
  }

  async #commit(state: SessionState, changes: Changes): Promise<CommitOutcome> {
    const committed = await this.#write(state, (record) => merge(record, changes))
    if (!committed) return 'gone'
    state.committed(committed.found, committed.record, changes)
    return 'saved'
  }

  /** See `SessionMembers.update`. */
  async update<Result>(state: SessionState, change: (session: Session) => Result): Promise<Result> {
    if (state.phase !== 'open') throw ended()
    const changes: Changes | undefined = state.changes()
    let outcome: { result: Result; names: Iterable<string> } | undefined
    const committed = await this.#write(state, (record) => {
      const { record: next, ...rest } = applyUpdate(changes ? merge(record, changes) : record, this.#options.codec, change)
      outcome = rest
      return next
    })
    if (!committed || !outcome) throw gone()
    state.committed(committed.found, committed.record, changes)
    state.forget(outcome.names)
    return outcome.result
  }

  async #write(state: SessionState, apply: (record: SessionRecord) => SessionRecord): Promise<Committed> {
    const { found, mustRead } = state
    let committed: Committed
    try {
      committed = await this.#commits.commit(state.key, { found, mustRead, initial: found ? undefined : state.record, apply })
    } catch (error) {
      if (isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE')) state.mustRead = true
      throw error
    }
    if (!committed) {
      state.phase = 'destroyed'
      this.#diagnostics.report('conflict', { reason: 'gone' })
    }
    return committed
  }

  /** Reads again; what this request changed is dropped. */
  async reload(state: SessionState): Promise<void> {
    if (state.phase !== 'open') throw ended()
    state.forget()
    if (!state.found) return
    const found = await this.load(state.key)
    if (!found) {
      state.phase = 'destroyed'
      throw gone()
    }
    state.committed(found, recordOf(found))
  }

  /**
   * Extends the idle timeout of a session that was used, where that is due. Fails nobody: a touch that did not succeed
   * is reported, and the next request tries again.
   */
  touch(key: Key, found: Found): void {
    const record = recordOf(found)
    const expiresAt = endOf(record, Date.now())
    if (expiresAt - found.expiresAt < record.idleTimeout * TOUCH_AFTER || this.#touching.has(key)) return
    try {
      const touched = this.#store.touch(key, expiresAt)
      if (!isPromise(touched)) return
      // The guard has counted and reported a failure already.
      this.#touching.set(key, touched.then(() => {}, () => {}).finally(() => this.#touching.delete(key)))
    } catch {}
  }

  /**
   * The session under a new id: the new record first, then the old one is deleted. If the old one was gone already (a
   * logout or another regenerate came first), the new one goes too, and the session has ended.
   */
  async regenerate(state: SessionState, { keep }: RegenerateOptions, actions: SessionActions): Promise<SessionState> {
    if (state.phase !== 'open') throw ended()
    this.#diagnostics.stats.regenerates++
    const { data, terms, flash } = state.carriedOver(keep)
    const next = this.create(actions, terms)
    next.mustCreate = true
    next.record = { ...next.record, flash, ...(keep === true && { createdAt: state.record.createdAt }) }
    for (const [name, value] of data) next.write(name, value)
    if (state.found) {
      await this.commit(next)
      let existed: boolean
      try {
        existed = await this.#store.delete(state.key)
      } catch (error) {
        await this.#discard(next)
        throw error
      }
      if (!existed) {
        await this.#discard(next)
        state.phase = 'destroyed'
        throw gone()
      }
    }
    state.phase = 'replaced'
    return next
  }

  async #discard(state: SessionState): Promise<void> {
    state.phase = 'destroyed'
    try {
      await this.#store.delete(state.key)
    } catch {} // reported by the guard; nobody has its id, and it ends by itself
  }

  /** Ends the session. A session that was never saved needs no store for that. */
  async destroy(state: SessionState): Promise<void> {
    const { found, phase } = state
    if (phase === 'replaced') throw ended()
    state.phase = 'destroyed'
    if ((!found && !state.mustRead) || phase === 'destroyed') return
    try {
      await this.#store.delete(state.key)
    } catch (error) {
      state.phase = phase // it may live on: nobody is told otherwise
      throw error
    }
  }

  /** Waits for touches under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#touching.values())
  }
}

/** What is said of a session that was ended while it was in use. */
export function gone(): SessionError {
  return new SessionError('ERR_SESSION_GONE', 'The session was ended elsewhere meanwhile (a logout, a revoke, its timeout); nothing was stored.')
}

function ended(): SessionError {
  return new SessionError('ERR_SESSION_ENDED', 'This session has ended. Take the current one from getSession() or ctx.session.')
}
