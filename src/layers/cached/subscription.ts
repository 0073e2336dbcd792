import type { SessionStats } from '../../diagnostics.ts'
import type { Link, Listener, Store, Watch } from '../../store.ts'
import type { Key, Milliseconds, Version } from '../../units.ts'

/** How long hits and messages are counted before they are compared. */
const WINDOW: Milliseconds = 60_000
/** So few messages cost nothing, whatever they bring. */
const FEW_MESSAGES = 100
/** When to find out again whether listening pays. */
const RETRY_AFTER: Milliseconds = 300_000

/** The link of a store that needs no messages, because `isCurrent` answers for each entry. */
const OWN_WORD: Link = { generation: 0, vouches: () => true, bound: 0 }
/** The same where the user accepts stale entries, so that there is no bound. */
const ACCEPTED: Link = { generation: 0, vouches: () => true }
/** The link of a store that can say nothing about entries. They only save the decoding of what is read anyway. */
const NO_WORD: Link = { generation: 0, vouches: () => false }

/** What the cache hears. */
export interface Ear extends Listener {
  /** From here on messages are missed, so nothing that is held or under way may be trusted any more. */
  deaf(): void
  /** Whether the message is an echo of what this process does itself. */
  isOwn(key: Key, version?: Version): boolean
}

/**
 * The cache's ear at its store, while listening pays. With many processes and many writes, most messages are about
 * sessions that this process will not be asked for: with fewer hits than half the messages over a minute it stops
 * listening, so that nothing is served from the cache, and tries again after five.
 */
export class Subscription {
  readonly #store: Store
  readonly #ear: Ear
  readonly #listener: Listener
  readonly #fallback: Link
  readonly #stats: SessionStats
  #watch: Watch | undefined
  #messages = 0
  #hitsBefore = 0
  // As `performance.now()` counts: the wall clock may be set.
  #windowBegan: Milliseconds = 0
  #resumesAt: Milliseconds = 0

  /** `allowStale`: whether a hit may be as old as `maxAge` if the store cannot vouch for it. */
  constructor(store: Store, ear: Ear, allowStale: boolean, stats: SessionStats) {
    this.#store = store
    this.#fallback = store.isCurrent ? OWN_WORD : allowStale && !store.watch ? ACCEPTED : NO_WORD
    this.#stats = stats
    this.#ear = ear
    this.#listener = {
      saved: (key, version) => {
        const isOwn = ear.isOwn(key, version)
        ear.saved(key, version)
        if (!isOwn) this.#heard()
      },
      deleted: (key) => {
        const isOwn = ear.isOwn(key)
        ear.deleted(key)
        if (!isOwn) this.#heard()
      },
    }
    this.#start()
  }

  /** The link that currently decides whether this key's entry is valid. */
  linkOf(key: Key): Link {
    if (this.#stats.cachePaused && performance.now() >= this.#resumesAt) this.#start()
    return this.#watch?.linkOf(key) ?? this.#fallback
  }

  /** Ends the listening for good. */
  close(): Promise<void> {
    this.#resumesAt = Infinity
    return this.#stop()
  }

  async #stop(): Promise<void> {
    const watch = this.#watch
    this.#watch = undefined
    await watch?.close()
  }

  #start(): void {
    this.#watch = this.#store.watch?.(this.#listener)
    this.#stats.cachePaused = false
    this.#begin(performance.now())
  }

  #begin(now: Milliseconds): void {
    this.#windowBegan = now
    this.#messages = 0
    this.#hitsBefore = this.#stats.hits
  }

  #heard(): void {
    this.#messages++
    const now = performance.now()
    if (now - this.#windowBegan < WINDOW) return
    const pays = this.#messages < FEW_MESSAGES || this.#stats.hits - this.#hitsBefore >= this.#messages / 2
    if (pays) this.#begin(now)
    else this.#pause(now)
  }

  #pause(now: Milliseconds): void {
    this.#stats.cachePaused = true
    this.#resumesAt = now + RETRY_AFTER
    // The store's link may go on vouching for others who listen to it.
    this.#ear.deaf()
    // The store reports a connection that does not end well.
    this.#stop().catch(() => {})
  }
}
