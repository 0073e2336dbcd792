import type { SessionCookie, Verified } from './cookie.ts'
import type { Identity } from './property.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Lifecycle } from '../session/lifecycle.ts'
import type { Found } from '../store.ts'
import { isPromise, type Awaitable } from '../units.ts'

/** What the requests of one middleware share. */
export interface Services {
  readonly identity: Identity
  readonly lifecycle: Lifecycle
  readonly cookie: SessionCookie
  readonly diagnostics: Diagnostics
  readonly onStoreError: 'throw' | 'anonymous'
}

type Lookup = Pick<Services, 'lifecycle' | 'cookie' | 'diagnostics'>

/** A live session, and the cookie that named it. */
export interface Visit {
  readonly cookie: Verified
  readonly found: Found
}

/**
 * The session that this Cookie header names: of several cookies the first with a live record, `undefined` if there is
 * none. Answers at once where the store does. Throws or rejects with `ERR_SESSION_STORE_UNAVAILABLE`.
 */
export function lookUp(services: Lookup, header: string | undefined): Awaitable<Visit | undefined> {
  const candidates = services.cookie.read(header)
  const [first] = candidates
  if (!first) return undefined
  const found = services.lifecycle.load(first.key)
  if (found && !isPromise(found)) return { cookie: first, found }
  return firstLive(services, candidates, found)
}

async function firstLive(
  { lifecycle, diagnostics }: Lookup,
  candidates: Verified[],
  firstAnswer: Awaitable<Found | undefined>,
): Promise<Visit | undefined> {
  for (const cookie of candidates) {
    const found = await (cookie === candidates[0] ? firstAnswer : lifecycle.load(cookie.key))
    if (found) return { cookie, found }
  }
  diagnostics.stats.suspicious++
  diagnostics.report('suspicious', { reason: 'unknown id' })
  return undefined
}
