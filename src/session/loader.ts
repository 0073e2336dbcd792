import { endedFor, type Absence } from './absence.ts'
import type { CommitQueue } from './commit-queue.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { isSessionError } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import { isFresh, markerOf } from '../record/marker.ts'
import { lastEndOf } from '../record/record.ts'
import { asHeld } from '../record/unheld.ts'
import type { StoreStack } from '../layers/stack.ts'
import type { Found, Store } from '../store.ts'
import { settle, type Awaitable, type Instant, type Key } from '../units.ts'

/** The live sessions of a store, or why there is none. */
export class Loader {
  readonly #store: Store
  readonly #commits: CommitQueue
  readonly #diagnostics: Diagnostics
  readonly #hit: StoreStack['hit']

  constructor({ front, hit }: Pick<StoreStack, 'front' | 'hit'>, commits: CommitQueue, diagnostics: Diagnostics) {
    this.#store = front
    this.#hit = hit
    this.#commits = commits
    this.#diagnostics = diagnostics
  }

  /** See `Lifecycle.hit`. */
  hit(key: Key, now: Instant): Found | Absence | undefined {
    const found = this.#hit(key, now)
    return found && this.#readable(found, now)
  }

  /** See `Lifecycle.load`. */
  load(key: Key): Awaitable<Found | Absence> {
    return settle(
      () => this.#store.load(key),
      (found) => this.#readable(found),
      (error) => this.#unreadable(error),
    )
  }

  #readable(found: Found | undefined, now: Instant = Date.now()): Found | Absence {
    if (!found) {
      this.#diagnostics.stats.misses++
      return 'missing'
    }
    try {
      const marker = markerOf(found)
      if (marker?.endedBecause !== undefined) return endedFor(marker.endedBecause)
      if (marker) return isFresh(marker) ? 'replaced' : 'missing'
      const record = recordOf(found)
      // The timeouts are ours, whatever the store's own expiry does.
      return found.expiresAt > now && lastEndOf(record) > now ? found : 'missing'
    } catch (error) {
      return this.#unreadable(error)
    }
  }

  #unreadable(error: unknown): Absence {
    if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
    this.#diagnostics.stats.errors++
    this.#diagnostics.report('error', { reason: 'unreadable', error })
    this.#diagnostics.warn('SESSION_UNREADABLE', error.message)
    return 'unreadable'
  }

  /** See `Lifecycle.hold`. */
  async hold(key: Key, found: Found): Promise<Found | Absence> {
    try {
      // Passive, because the request that brings the cookie may be: if it is a use, it extends the session itself.
      const write = { found, mustRead: false, isPassive: true, initial: undefined, apply: asHeld }
      const committed = await this.#commits.commit(key, write)
      if (typeof committed === 'object') return committed.found ?? found
      return committed === 'gone' ? 'missing' : committed
    } catch {
      return found
    }
  }
}
