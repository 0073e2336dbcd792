import type { Found, Store } from '../../store.ts'
import type { Instant, Key, Milliseconds } from '../../units.ts'

/** What the cache has under a key, as those see it who look at the cache from outside. */
export interface Standing {
  /** The same for as long as nothing else was read or written: what was cached since is another entry. */
  readonly entry: object
  readonly found: Found
  /** Whether a request would be served it. */
  readonly isServed: boolean
  /** How outdated it may be; `undefined` if that is not known. */
  readonly bound: Milliseconds | undefined
}

/** What `cached` adds to a store. */
export interface CachingStore extends Store {
  /** What is cached under this key, if it may be served; `undefined` if the store has to be asked. */
  hit(key: Key, now: Instant): Found | undefined
  /** What is cached under this key, whether it may be served or not. To look changes and counts nothing. */
  peek(key: Key, now: Instant): Standing | undefined
  /** The store itself, for those who need the newest state. The cache is told what they are shown. */
  readonly behind: Store
}
