import type { SessionCookie, Verified } from './cookie.ts'
import type { Identity } from './property.ts'
import type { RequestsUnderWay } from './under-way.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Absence, Lifecycle } from '../session/lifecycle.ts'
import type { Found } from '../store.ts'
import { settle, type Awaitable, type Key } from '../units.ts'

/** What the requests of one middleware share. */
export interface Services {
  readonly identity: Identity
  readonly lifecycle: Lifecycle
  readonly cookie: SessionCookie
  readonly diagnostics: Diagnostics
  readonly onStoreError: 'throw' | 'anonymous'
  readonly underWay: RequestsUnderWay
}

type Lookup = Pick<Services, 'lifecycle' | 'cookie' | 'diagnostics'>

/** A live session, and the cookie that named it. */
export interface Visit {
  readonly cookie: Verified
  readonly found: Found
}

/** A visitor whose cookies name no live session. */
export interface Stranger {
  /** The records that these cookies name and that cannot be read. */
  readonly unreadable: readonly Key[]
}

/**
 * The session that this Cookie header names: of several cookies, the first one that has a live record. `undefined` if no
 * cookie is ours. Answers at once if the store does. Throws or rejects with `ERR_SESSION_STORE_UNAVAILABLE`.
 */
export function lookUp(services: Lookup, header: string | undefined): Awaitable<Visit | Stranger | undefined> {
  const candidates = services.cookie.read(header)
  const [cookie] = candidates
  if (!cookie) return undefined
  return settle(
    () => services.lifecycle.load(cookie.key),
    (found) => (typeof found === 'object' ? { cookie, found } : lookFurther(services, candidates, found)),
  )
}

/** `absence`: of the first cookie's session. */
async function lookFurther(
  { lifecycle, diagnostics }: Lookup,
  candidates: readonly Verified[],
  absence: Absence,
): Promise<Visit | Stranger> {
  const unreadable: Key[] = []
  for (const cookie of candidates) {
    const found = cookie === candidates[0] ? absence : await lifecycle.load(cookie.key)
    if (typeof found === 'object') return { cookie, found }
    if (found === 'unreadable') unreadable.push(cookie.key)
  }
  if (unreadable.length === 0) {
    diagnostics.stats.suspicious++
    diagnostics.report('suspicious', { reason: 'unknown id' })
  }
  return { unreadable }
}
