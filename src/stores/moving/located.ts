import type { Found } from '../../store.ts'
import type { Version } from '../../units.ts'

/** Which of the two stores. */
export type StorePlace = 'from' | 'to'

/** A record, and where it is. */
export interface Located extends Found {
  readonly place: StorePlace
  /** The record as that store has returned it. */
  readonly inner: Found
}

/**
 * Versions of two stores cannot be compared, and a session's version must grow when it moves. The versions of all stores
 * are a clock's microseconds or smaller, so this is above all of them, and the sum is still exact.
 */
const LATER: Version = 2 ** 52

/** What a version of this store is called. */
export function versionAt(place: StorePlace, version: Version): Version {
  return place === 'to' ? version + LATER : version
}

/** `known`: what the caller knows of this key. What stands for the text there stays if nothing has changed. */
export function located(place: StorePlace, inner: Found, known?: Located): Located {
  const { text, version, expiresAt } = inner
  if (known?.place === place && known.inner.version === version && known.inner.text === text)
    return { ...known, inner, expiresAt }
  return { text, version: versionAt(place, version), expiresAt, place, inner }
}

/** Whether a `movingStore` has returned this. A record of any other store is of no version that the two have. */
export function isLocated(found: Found): found is Located {
  return 'inner' in found
}
