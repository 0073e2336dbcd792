import { AsyncLocalStorage } from 'node:async_hooks'
import { CommitQueue, type Committed } from './commit-queue.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Absence, Stranger } from './absence.ts'
import { Arrivals } from './arrivals.ts'
import { ended, gone, isSessionError } from '../errors.ts'
import { merge, newRecord, type Changes, type SessionRecord, type Terms } from '../record/record.ts'
import { format, recordOf } from '../record/format.ts'
import { Extensions } from './extensions.ts'
import { Limits, type Identity, type Limit } from './limit.ts'
import { Loader } from './loader.ts'
import { moveToNewToken, type Steps } from './regenerate.ts'
import { Successors } from './successors.ts'
import { applyUpdate, type Updated } from './update.ts'
import { termsToCarry } from './proving.ts'
import type { StoreStack } from '../layers/stack.ts'
import { keyOf } from './token.ts'
import type { SessionHost } from './host.ts'
import { WorkingCopy } from './working-copy.ts'
import type { Found, Store } from '../store.ts'
import { Subjects } from './subjects.ts'
import { reportIfTimedOut } from './timed-out.ts'
import type { RegenerateOptions } from './member-options.ts'
import type { Session } from './types.ts'
import type { Awaitable, Instant, Key, Milliseconds } from '../units.ts'
import type { Codec } from '../record/codec.ts'

export interface LifecycleOptions {
  readonly idleTimeout: Milliseconds
  readonly absoluteTimeout: Milliseconds
  /** Whether the cookies of new sessions outlive the browser. */
  readonly persistent: boolean
  readonly maxRecordBytes: number
  readonly codec: Codec
}

/** The parts of the stack that sessions use: see `StoreStack`. */
export type Sources = Pick<StoreStack, 'front' | 'source' | 'ends' | 'hit'>

export type CommitOutcome = 'unchanged' | 'saved' | 'gone'

/**
 * The life of sessions over a store: load, commit, touch, regenerate, destroy. Knows no HTTP, so that sockets, jobs and
 * tests use the same one.
 */
export class Lifecycle {
  readonly #store: Store
  readonly #options: LifecycleOptions
  readonly #diagnostics: Diagnostics
  readonly #ends: StoreStack['ends']
  readonly #commits: CommitQueue
  readonly #loader: Loader
  readonly #successors: Successors
  readonly subjects: Subjects
  readonly arrivals: Arrivals
  readonly #extensions: Extensions
  readonly #limits: Limits
  readonly #ending = new WeakMap<WorkingCopy, Promise<void>>()

  constructor({ front, source, ends, hit }: Sources, options: LifecycleOptions, diagnostics: Diagnostics) {
    this.#store = front
    this.#options = options
    this.#diagnostics = diagnostics
    this.#ends = ends
    this.subjects = new Subjects(front, source)
    this.#extensions = new Extensions(front, this.subjects.notes)
    this.#successors = new Successors(front, source)
    this.#commits = new CommitQueue(front, source, this.subjects.notes, options.maxRecordBytes, diagnostics)
    this.#loader = new Loader({ front, hit }, this.#commits, diagnostics)
    this.#limits = new Limits(source, this.subjects, (copy, apply) => this.#write(copy, apply))
    this.arrivals = new Arrivals(front, source, (key) => this.load(key))
  }

  /** The same as `load`, if the cache can answer; `undefined` if the store has to be asked. `now`: the instant of the question. */
  hit(key: Key, now: Instant): Found | Absence | undefined {
    return this.#loader.hit(key, now)
  }

  /** The live session under this key, or why there is none. An unreadable record is reported. */
  load(key: Key): Awaitable<Found | Absence> {
    return this.#loader.load(key)
  }

  /**
   * Notes that the cookie of this session has come back. A failure fails nobody: it was reported, and the next request
   * tries again.
   */
  hold(key: Key, found: Found): Promise<Found | Absence> {
    return this.#loader.hold(key, found)
  }

  /** A session that is not stored before something is put into it. */
  create(host: SessionHost, terms?: Partial<Terms>, previous?: WorkingCopy): WorkingCopy {
    const { idleTimeout, absoluteTimeout, persistent, codec } = this.#options
    // Spread only where there is something to spread: it costs more than all the rest of an empty session.
    const own = { idleTimeout, absoluteTimeout, persistent: host.persistent ?? persistent }
    const createdAt = previous?.record.createdAt ?? Date.now()
    return new WorkingCopy(newRecord(createdAt, terms ? { ...own, ...terms } : own), codec, host, previous)
  }

  /** The same under a token that was made already, and that nobody has used. */
  adopt(host: SessionHost, token: string): WorkingCopy {
    const record = newRecord(Date.now(), this.#options)
    return new WorkingCopy(record, this.#options.codec, host, { token, key: keyOf(token), found: undefined })
  }

  /** A session over what was loaded. */
  open(host: SessionHost, key: Key, found: Found, token?: string): WorkingCopy {
    return new WorkingCopy(recordOf(found), this.#options.codec, host, { token, key, found })
  }

  /** See `SessionMembers.signal`. A session that was never saved is watched from its first save on. */
  signalOf(copy: WorkingCopy): AbortSignal {
    const isNew = !copy.endSignal
    const endSignal = copy.demandEndSignal()
    if (isNew && copy.isOpen && copy.found) this.#ends.watch(copy.key, endSignal)
    return endSignal.signal
  }

  /**
   * Stores what this request changed: `unchanged` if there is nothing to store, `gone` if the session was ended
   * elsewhere, in which case the changes are dropped and the session reads as destroyed.
   */
  commit(copy: WorkingCopy): Awaitable<CommitOutcome> {
    // Not an async function: most requests change nothing, and should not pay for a promise.
    if (copy.writing) return copy.writing.then(() => this.commit(copy))
    const changes = copy.isOpen ? copy.changes() : undefined
    return changes ? copy.alone(() => this.#commit(copy, changes)) : 'unchanged'
  }

  #commit(copy: WorkingCopy, changes: Changes): Promise<CommitOutcome> {
    return this.#write(copy, (record) => merge(record, changes)).then((committed) => {
      if (typeof committed === 'string') return 'gone'
      copy.committed(committed.found, committed.record, changes)
      return 'saved'
    })
  }

  /** See `SessionMembers.update`. */
  async update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result> {
    while (copy.writing) await copy.writing
    if (!copy.isOpen) throw ended()
    const changes = copy.changes()
    const write = (): Promise<Result> => this.#update(copy, changes, change)
    return changes || !copy.found ? copy.alone(write) : write()
  }

  async #update<Result>(
    copy: WorkingCopy,
    changes: Changes | undefined,
    change: (session: Session) => Result,
  ): Promise<Result> {
    let outcome: Updated<Result> | undefined
    // The save that it belongs to may be made by another request, which was there first.
    const here = AsyncLocalStorage.snapshot()
    const apply = (record: SessionRecord): SessionRecord => {
      outcome = here(() => applyUpdate(copy, changes ? merge(record, changes) : record, change))
      return outcome.record
    }
    const committed = await this.#write(copy, apply, true)
    if (typeof committed === 'string' || !outcome) throw gone()
    copy.committed(committed.found, committed.record, changes)
    copy.adopt(outcome.draft, outcome.changed)
    return outcome.result
  }

  /** See `Limits.identify`. */
  async identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void> {
    while (copy.writing) await copy.writing
    if (!copy.isOpen) throw ended()
    return copy.alone(() => this.#limits.identify(copy, identity, limit))
  }

  #write(copy: WorkingCopy, apply: (record: SessionRecord) => SessionRecord, isExact = false): Promise<Committed> {
    const { found, key, record, host, lastSeen } = copy
    const initial = found ? undefined : record
    const isPassive = host.isPassive === true
    // The end that a passive write keeps must be the newest one: others may have extended the session meanwhile.
    const mustRead = copy.mustRead || (isPassive && found !== undefined)
    const commit = (): Promise<Committed> =>
      this.#commits.commit(key, { found, mustRead, initial, apply, isExact, isPassive, lastSeen })
    return (isPassive && found ? this.#extensions.keepingEnd(key, commit) : commit()).then(
      (committed) => {
        if (typeof committed === 'string') {
          copy.end({ hasMoved: committed === 'replaced' })
          this.#diagnostics.report('conflict', { reason: 'gone' })
          reportIfTimedOut(copy, this.#diagnostics)
        } else if (!found && committed.found && copy.endSignal) this.#ends.watch(key, copy.endSignal)
        return committed
      },
      (error: unknown) => {
        if (isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE')) copy.outcomeUnknown()
        throw error
      },
    )
  }

  /** Reads again; what this request changed is dropped. */
  async reload(copy: WorkingCopy): Promise<void> {
    if (!copy.isOpen) throw ended()
    if (!copy.found) return copy.reset()
    const found = await this.load(copy.key)
    if (typeof found !== 'object') {
      copy.end({ hasMoved: found === 'replaced' })
      throw gone()
    }
    // A save of this very session may have been faster than the answer.
    const newest = found.version < copy.found.version ? copy.found : found
    copy.reset({ found: newest, record: recordOf(newest) })
  }

  /** See `Extensions.touch`. */
  touch(key: Key, found: Found, extended?: (expiresAt: Instant) => void): void {
    this.#extensions.touch(key, found, extended)
  }

  /**
   * The session under a new id; see `moveToNewToken`. If the old one was gone already, the session has ended. `stranger`:
   * the visitor, if the cookies name no live session.
   */
  async regenerate(
    copy: WorkingCopy,
    options: RegenerateOptions,
    host: SessionHost,
    stranger?: Stranger,
  ): Promise<WorkingCopy> {
    if (!copy.isOpen) throw ended()
    this.#diagnostics.stats.regenerates++
    copy.beginMove()
    try {
      return await this.#diagnostics.trace('regenerate', () => this.#regenerate(copy, options, host, stranger))
    } finally {
      copy.endMove()
    }
  }

  async #regenerate(
    copy: WorkingCopy,
    { keep, proved }: RegenerateOptions,
    host: SessionHost,
    stranger: Stranger | undefined,
  ): Promise<WorkingCopy> {
    const terms = termsToCarry(copy, keep, proved)
    if (stranger) await this.#removeUnreadable(stranger)
    // A record that is only just being made must be there before it can be deleted.
    if (!copy.found) await copy.writing
    if (!copy.isOpen) throw ended()
    // A marker leads to it, and whoever follows that one is to find what this one is replaced by.
    if (copy.isPromised && (await this.commit(copy)) === 'gone') throw gone()
    const steps: Steps = {
      store: this.#store,
      successors: this.#successors,
      create: (previous) => this.create(host, terms(), previous),
      put: (successor, finish) => this.#put(successor, finish),
    }
    const next = await moveToNewToken(copy, keep, steps, stranger?.replaced)
    if (typeof next === 'string') {
      copy.end({ hasMoved: next === 'replaced' })
      throw gone()
    }
    copy.replaced()
    copy.endSignal?.end()
    return next
  }

  /** Stores a session that nobody else knows of: as it is, whatever of it is stored already. */
  async #put(copy: WorkingCopy, finish: (record: SessionRecord) => SessionRecord): Promise<boolean> {
    const changes = copy.changes()
    const whole = finish(changes ? merge(copy.record, changes) : copy.record)
    const isStored = (record: SessionRecord): boolean => format(record) === format(whole)
    const committed = await this.#write(copy, (record) => (isStored(record) ? record : whole))
    if (typeof committed === 'string') return false
    copy.committed(committed.found, committed.record, changes)
    return true
  }

  /** Removes records that could not be read, because their visitor has asked for their end. */
  async #removeUnreadable({ unreadable }: Stranger): Promise<void> {
    for (const key of unreadable) await this.#store.delete(key)
  }

  /**
   * Ends the session. A session that was never saved needs no store for that. `stranger`: see `regenerate`. If it lives on
   * under another id that a browser holds, the copy has moved. Anyone who asks while the session is ending learns what
   * becomes of that.
   */
  destroy(copy: WorkingCopy, stranger?: Stranger): Promise<void> {
    const ending = this.#ending.get(copy) ?? this.#destroy(copy, stranger).finally(() => this.#ending.delete(copy))
    this.#ending.set(copy, ending)
    return ending
  }

  async #destroy(copy: WorkingCopy, stranger: Stranger | undefined): Promise<void> {
    if (copy.phase === 'replaced') throw ended()
    if (copy.phase === 'destroyed') return
    copy.end()
    try {
      if (stranger) await this.#removeUnreadable(stranger)
      // A delete that overtook the record's creation would leave it behind.
      if (!copy.found) await copy.writing
      copy.end({ hasMoved: (await this.#endAt(copy, stranger)) === 'moved' })
      copy.endSignal?.end()
      if (copy.found || copy.mustRead) await this.subjects.notes.forget(copy.key, copy.record)
    } catch (error) {
      copy.reopen() // it may live on: nobody is told otherwise
      throw error
    }
  }

  async #endAt(copy: WorkingCopy, stranger: Stranger | undefined): Promise<'ended' | 'moved'> {
    if (copy.found || copy.mustRead) return this.#successors.end(copy.key, copy.found)
    if (copy.isPromised) await this.#successors.forbid(copy.key)
    return stranger?.replaced === undefined ? 'ended' : this.#successors.endReplaced(stranger.replaced)
  }

  /** Waits for touches under way. */
  settled(): Promise<void> {
    return this.#extensions.settled()
  }
}
