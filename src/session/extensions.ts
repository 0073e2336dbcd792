import { isSealedByOldKey } from '../layers/encrypted.ts'
import { recordOf } from '../record/format.ts'
import { isMarker } from '../record/marker.ts'
import { extendedEnd } from '../record/record.ts'
import type { Found, Store } from '../store.ts'
import { isPromise, settle, type Awaitable, type Instant, type Key } from '../units.ts'
import type { SubjectNotes } from './subject-notes.ts'

/** Extends the idle timeouts of sessions that are used. */
export class Extensions {
  readonly #store: Store
  readonly #notes: SubjectNotes
  readonly #underWay = new Map<Key, Promise<void>>()
  /** The writes under way that keep the end which they have read. */
  readonly #keeping = new Map<Key, Promise<unknown>>()

  /** `notes`: whose session each is. */
  constructor(store: Store, notes: SubjectNotes) {
    this.#store = store
    this.#notes = notes
  }

  /**
   * Extends the idle timeout of a session that is used, if that is due. `found`: the session as the caller knows it.
   * `extended` hears the new end, if this call has made it. Fails nobody: a touch that did not succeed is reported, and
   * the next one tries again.
   */
  touch(key: Key, found: Found, extended?: (expiresAt: Instant) => void): void {
    if (endIfDue(found) === undefined || this.#underWay.has(key)) return
    const done = (): void => void this.#underWay.delete(key)
    // By the newest state, not by the one that the caller began with: others may have extended it since, or a
    // `remember` may have given it a shorter idle timeout. Most often the cache has it.
    const extending = settle(
      () =>
        settle(
          () => this.#newest(key),
          (newest) => this.#extend(key, newest, extended),
        ),
      done,
      done, // the guard has counted and reported the failure
    )
    if (isPromise(extending)) this.#underWay.set(key, extending)
  }

  #newest(key: Key): Awaitable<Found | undefined> {
    const keeping = this.#keeping.get(key)
    return keeping ? keeping.then(() => this.#newest(key)) : this.#store.load(key)
  }

  /**
   * Runs a write that keeps the end of the session as it reads it. It would take back an extension that comes between its
   * two steps, so the extensions of this process and these writes wait for each other. One by another process at that very
   * moment is lost until the next use.
   */
  async keepingEnd<Outcome>(key: Key, write: () => Promise<Outcome>): Promise<Outcome> {
    while (this.#underWay.has(key)) await this.#underWay.get(key)
    const writing = write()
    const all = Promise.allSettled([writing, this.#keeping.get(key)])
    this.#keeping.set(key, all)
    void all.then(() => this.#keeping.get(key) === all && this.#keeping.delete(key))
    return writing
  }

  #extend(key: Key, newest: Found | undefined, extended?: (expiresAt: Instant) => void): Awaitable<unknown> {
    if (!newest || isMarker(newest)) return undefined
    const expiresAt = endIfDue(newest)
    if (expiresAt === undefined) return undefined
    const record = recordOf(newest)
    return settle(
      // A session that is only read would keep its old key in use for ever.
      () =>
        isSealedByOldKey(newest)
          ? settle(
              () => this.#store.save(key, newest.text, expiresAt, newest),
              ({ gone }) => !gone,
            )
          : this.#store.touch(key, expiresAt),
      (isAlive) => {
        if (isAlive) extended?.(expiresAt)
        return isAlive && record.subject !== undefined && this.#notes.renew(key, record)
      },
    )
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }
}

function endIfDue(found: Found): Instant | undefined {
  return extendedEnd(recordOf(found), found.expiresAt, Date.now())
}
