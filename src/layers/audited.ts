import { Place, isDeadline } from '../deadline.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Found, Store } from '../store.ts'
import { settle, type Awaitable, type Instant, type Key, type Milliseconds } from '../units.ts'
import type { CachingStore } from './cached/caching-store.ts'

/** How many answers are under audit at once. Each of them has one question to the store under way at most. */
const MOST_AT_ONCE = 8
/** If a record ends within this time, the store may have ended it by another clock, so its absence proves nothing. */
const CLOCKS_DIFFER: Milliseconds = 60_000
/** An answer that was found outdated is looked at again this often, and for this long, to see how outdated it becomes. */
const LOOK_AGAIN: Milliseconds = 1000
const LOOK_FOR: Milliseconds = 60_000

/** Something that the cache has answered, under audit. */
interface Answer {
  readonly key: Key
  readonly found: Found
  readonly answeredAt: Instant
  /** How outdated it may be. */
  readonly bound: Milliseconds
  /** Whether a request that comes now is answered the same. */
  isStillGiven(): Awaitable<boolean>
}

/**
 * A cache of which a share of the answers is compared with the store: a measurement of what the coherence bound T
 * promises. A request neither waits for it nor fails by it.
 *
 * A later reading alone proves nothing, because what it shows may have been written after the answer. So there are three
 * steps, and an answer is stale only if all of them say so:
 * 1. The store is asked at once. It shows a newer version, or no record any more.
 * 2. T after it has shown that, the cache would still serve the very entry that it answered with.
 * 3. The store, asked again, still shows something newer, so no failover has taken back what it had shown.
 *
 * On a database that is only asked whether the cached text is current (see `Store.load`), T is 0, and the second step asks
 * the database whether it still is.
 */
export function audited(cache: CachingStore, store: Store, share: number, diagnostics: Diagnostics): CachingStore {
  const auditor = new Auditor(store, diagnostics)
  const mayConfirm = !store.watch && !store.isCurrent

  const isSampled = (): boolean => Math.random() < share

  function auditHit(key: Key, found: Found, now: Instant): void {
    const standing = cache.peek(key, now)
    if (!standing || !isLengthOfTime(standing.bound)) return
    auditor.begin({
      key,
      found,
      answeredAt: now,
      bound: standing.bound,
      isStillGiven() {
        const later = cache.peek(key, Date.now())
        return later !== undefined && later.entry === standing.entry && later.isServed
      },
    })
  }

  function auditConfirmed(key: Key, found: Found): void {
    const isStillGiven = async (): Promise<boolean> => (await store.load(key, found))?.version === found.version
    auditor.begin({ key, found, answeredAt: Date.now(), bound: 0, isStillGiven })
  }

  function hit(key: Key, now: Instant): Found | undefined {
    const found = cache.hit(key, now)
    if (found && isSampled()) auditHit(key, found, now)
    return found
  }

  return {
    ...cache,
    hit,
    load(key) {
      const now = Date.now()
      const found = hit(key, now)
      if (found) return found
      const known = mayConfirm && isSampled() ? cache.peek(key, now)?.found : undefined
      if (!known) return cache.load(key)
      return settle(
        () => cache.load(key),
        (answer) => {
          if (answer?.version === known.version) auditConfirmed(key, answer)
          return answer
        },
      )
    },
    async close() {
      auditor.close()
      await cache.close?.()
    },
  }
}

class Auditor {
  readonly #store: Store
  readonly #diagnostics: Diagnostics
  // An audit belongs to no request, and would otherwise keep the one whose answer it is about.
  readonly #place = new Place('Auditor')
  readonly #timers = new Set<NodeJS.Timeout>()
  #underWay = 0
  #isClosed = false

  constructor(store: Store, diagnostics: Diagnostics) {
    this.#store = store
    this.#diagnostics = diagnostics
  }

  begin(answer: Answer): void {
    if (this.#underWay === MOST_AT_ONCE || this.#isClosed) return
    this.#underWay++
    const audit = (): Promise<void> =>
      this.#audit(answer)
        // If the store fails, which it tells itself, nothing is known of the answer.
        .catch(() => {})
        .finally(() => this.#underWay--)
    // Later, so that no request waits while a store that answers at once is asked.
    this.#place.runInAsyncScope(() => setImmediate(audit).unref())
  }

  async #audit(answer: Answer): Promise<void> {
    const { stats } = this.#diagnostics
    if (!refutes(await this.#ask(answer), answer)) return void stats.audited++
    const since = performance.now()
    await this.#pause(answer.bound)
    const isStillGiven = await answer.isStillGiven()
    let age = performance.now() - since
    const newest = isStillGiven ? await this.#ask(answer) : answer.found
    stats.audited++
    if (!refutes(newest, answer)) return
    this.#report(newest, answer)
    for (;;) {
      stats.worstAge = Math.max(stats.worstAge, age)
      if (age > LOOK_FOR) return
      await this.#pause(LOOK_AGAIN)
      if (!(await answer.isStillGiven())) return
      age = performance.now() - since
    }
  }

  async #ask({ key }: Answer): Promise<Found | undefined> {
    if (this.#isClosed) throw new Error('closed')
    return this.#store.load(key)
  }

  /** Keeps no process alive, and never ends once the auditor is closed. */
  async #pause(length: Milliseconds): Promise<void> {
    const end = performance.now() + length
    // A timer may be early.
    while (length > 0 && performance.now() <= end) {
      await new Promise<void>((resolve) => {
        if (this.#isClosed) return
        const timer = setTimeout(() => {
          this.#timers.delete(timer)
          resolve()
        }, end - performance.now()).unref()
        this.#timers.add(timer)
      })
    }
  }

  #report(newest: Found | undefined, { bound }: Answer): void {
    this.#diagnostics.stats.stale++
    const [reason, what] = newest
      ? ['replaced', 'that the store had replaced']
      : ['gone', 'that was gone from the store (evicted, or deleted by hand?)']
    this.#diagnostics.report('stale', { reason })
    this.#diagnostics.warn(
      'SESSION_CACHE_STALE',
      `The cache answered with a session ${what} more than ${bound} ms before. Pass cache: false until the cause is ` +
        'known. Further ones are counted in stats().stale.',
    )
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}

/** Whether what the store shows says that the answer was outdated by then. */
function refutes(shown: Found | undefined, { found, answeredAt }: Answer): boolean {
  if (shown) return shown.version > found.version
  return found.expiresAt - Math.max(answeredAt, Date.now()) > CLOCKS_DIFFER
}

/** Whether it can be waited for. */
function isLengthOfTime(bound: Milliseconds | undefined): bound is Milliseconds {
  return bound === 0 || isDeadline(bound)
}
