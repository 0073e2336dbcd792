import type { SessionCookie, Verified } from './cookie.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Found } from './store.ts'
import { isPromise, type Awaitable } from './units.ts'

/** What it takes to know whose request this is. */
export interface Reception {
  readonly lifecycle: Lifecycle
  readonly cookie: SessionCookie
  readonly diagnostics: Diagnostics
}

/** A live session, and the cookie that named it. */
export interface Arrival {
  readonly cookie: Verified
  readonly found: Found
}

/**
 * The session that this Cookie header names: of several cookies the first with a live record, `undefined` if there is
 * none. Answers at once where the store does. Throws or rejects with `ERR_SESSION_STORE_UNAVAILABLE`.
 */
export function receive(reception: Reception, header: string | undefined): Awaitable<Arrival | undefined> {
  const candidates = reception.cookie.read(header)
  const [first] = candidates
  if (!first) return undefined
  const found = reception.lifecycle.load(first.key)
  if (found && !isPromise(found)) return { cookie: first, found }
  return firstLive(reception, candidates, found)
}

async function firstLive(
  { lifecycle, diagnostics }: Reception,
  candidates: Verified[],
  firstAnswer: Awaitable<Found | undefined>,
): Promise<Arrival | undefined> {
  for (const cookie of candidates) {
    const found = await (cookie === candidates[0] ? firstAnswer : lifecycle.load(cookie.key))
    if (found) return { cookie, found }
  }
  diagnostics.stats.suspicious++
  diagnostics.report('suspicious', { reason: 'unknown id' })
  return undefined
}
