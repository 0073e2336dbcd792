import type { Found, Link, Store } from '../../store.ts'
import { timeSince, type Instant, type Key, type Milliseconds, type Moment, type Version } from '../../units.ts'

/** One record, the moment at which it was read, and the link that vouched for it then. */
export interface Cached extends Moment {
  found: Found
  /** The newest version that was heard of: a record that is older is served to nobody. */
  heardOf: Version
  readonly link: Link
  readonly generation: number
}

/** Whether the entry may be served now. `outdated`: not now, and never again. */
export function validityOf(
  key: Key,
  entry: Cached,
  store: Pick<Store, 'isCurrent'>,
  maxAge: Milliseconds,
  now: Instant,
): 'valid' | 'withheld' | 'outdated' {
  const { found, link, generation, wall } = entry
  if (link.generation !== generation) return 'outdated'
  if (!link.vouches(now)) return 'withheld'
  if (found.version < entry.heardOf) return 'withheld'
  // What has expired here may have been touched elsewhere.
  if (found.expiresAt <= now) return 'withheld'
  // What nobody tells is found after `maxAge`, whatever the wall clock says. A store that is asked each time finds it.
  if ((store.isCurrent ? now - wall : timeSince(entry, now)) > maxAge) return 'withheld'
  return !store.isCurrent || store.isCurrent(key, found, now) ? 'valid' : 'outdated'
}
