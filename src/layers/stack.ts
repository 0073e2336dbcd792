import { DEFAULT_DEADLINE } from '../deadline.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Store } from '../store.ts'
import type { Milliseconds } from '../units.ts'
import { audited } from './audited.ts'
import { cached, type CacheBounds, type CacheOptions } from './cached.ts'
import type { CachingStore } from './cached/caching-store.ts'
import { encrypted, type EncryptedStore } from './encrypted.ts'
import { EndWatcher } from './ends.ts'
import { guarded, type GuardedStore } from './guarded.ts'

type CachingOptions = CacheBounds & Pick<CacheOptions, 'audit'>

export interface LayerOptions {
  readonly encrypt: boolean
  /** `undefined`: no cache. */
  readonly cache: CachingOptions | undefined
  /** How long the store is waited for at least, also if its own deadline is shorter. Default: no longer than that. */
  readonly patience?: Milliseconds
  /** What a record may have; one that is much larger is not read. Default: no limit. */
  readonly maxRecordBytes?: number
}

/** A session's way to its store. */
export interface StoreStack {
  /** What requests use: the cache answers where it can. */
  readonly front: Store
  /**
   * What `front` would answer to a load, if the cache can answer it alone: the one question of most requests, which takes
   * no promise and reads no clock. `undefined` if the store has to be asked.
   */
  readonly hit: CachingStore['hit']
  /** The same way past the cache, for those who need the newest state. */
  readonly source: Store
  /** What is stored as it is stored, encrypted or not, for those who look after the store. */
  readonly stored: GuardedStore
  /** Tells when sessions end, wherever that happens. */
  readonly ends: EndWatcher
  /** Takes the encryption keys; absent if nothing is encrypted. */
  readonly vault: EncryptedStore | undefined
  /** Lets go of the cache and of every subscription; the store itself stays open. */
  close(): Promise<void>
}

/**
 * Puts the layers in front of a store. Each is a `Store` over a `Store`, and this is the only place that knows their
 * order. Questions go to the right, answers come back:
 *
 *     front:   ends ─▶ (audited ─▶) cached ─┐
 *     source:  ends ────────────────────────┴─▶ encrypted ─┐
 *     stored:                                              └─▶ guarded ─▶ the store
 *
 * - `ends` sees which sessions end.
 * - `audited` is there if the option `cache.audit` asks for it, and compares some of the cache's answers with the store.
 * - `cached` answers what it can prove to be current.
 * - `encrypted` has text on its left and ciphertext on its right; behind the cache, so that a hit decrypts nothing.
 * - `guarded` gives the store one deadline (its own, if it names one), one kind of error and a limit to what is read,
 *   and counts; behind both, so that what the library itself refuses (a wrong key, an unreadable record) is not counted
 *   as a failure of the store.
 */
export function storeStack(store: Store, options: LayerOptions, diagnostics: Diagnostics): StoreStack {
  const deadline = Math.max(options.patience ?? 0, store.deadline ?? DEFAULT_DEADLINE)
  const safe = guarded(store, deadline, diagnostics, options.maxRecordBytes)
  const vault = options.encrypt ? encrypted(safe, diagnostics.stats.decrypted) : undefined
  const plain = vault ?? safe
  const cache = options.cache && cacheOver(plain, options.cache, diagnostics)
  // Past the cache, which is told what was seen: once a signal says that a session has ended, no request is served it.
  const ends = new EndWatcher(cache?.behind ?? plain, diagnostics)
  return {
    front: ends.over(cache ?? plain),
    hit: (key, now) => cache?.hit(key, now),
    source: ends.over(cache?.behind ?? plain),
    stored: safe,
    ends,
    vault,
    async close() {
      await ends.close()
      await cache?.close?.()
    },
  }
}

function cacheOver(store: Store, options: CachingOptions, diagnostics: Diagnostics): CachingStore {
  const cache = cached(store, options, diagnostics)
  return options.audit ? audited(cache, store, options.audit, diagnostics) : cache
}
