import type { SessionCookie, Verified } from './cookie.ts'
import type { Newcomers } from './newcomers.ts'
import type { Identity } from './property.ts'
import type { RequestsUnderWay } from './under-way.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { recordOf } from '../record/format.ts'
import { reasonIn, type Absence, type Stranger } from '../session/absence.ts'
import type { Lifecycle } from '../session/lifecycle.ts'
import type { Found } from '../store.ts'
import { settle, type Awaitable, type Instant, type Key } from '../units.ts'

/** What the requests of one middleware share. */
export interface Services {
  readonly identity: Identity
  readonly lifecycle: Lifecycle
  readonly cookie: SessionCookie
  readonly diagnostics: Diagnostics
  readonly onStoreError: 'throw' | 'anonymous'
  readonly underWay: RequestsUnderWay
  /** Absent without the option `movingFrom`. */
  readonly newcomers?: Newcomers | undefined
}

type Lookup = Pick<Services, 'lifecycle' | 'cookie' | 'diagnostics' | 'newcomers'>

/** A live session, and the cookie that named it. */
export interface Visit {
  readonly cookie: Verified
  readonly found: Found
  /** The Set-Cookie headers that make the browser forget the cookie of another library that it came with. */
  readonly farewells?: readonly string[]
}

/**
 * The session that this Cookie header names: of several cookies, the first one that has a live record. `undefined` if no
 * cookie is ours. Answers at once if the store does. Throws or rejects with `ERR_SESSION_STORE_UNAVAILABLE`.
 * `isPrefixed`: see `SessionCookie.read`. `now`: when the header came; the clock is read once for each request.
 */
export function lookUp(
  services: Lookup,
  header: string | undefined,
  isPrefixed?: boolean,
  now: Instant = Date.now(),
): Awaitable<Visit | Stranger | undefined> {
  const { newcomers } = services
  if (header === undefined) return undefined
  if (!newcomers) return lookUpOwn(services, header, isPrefixed, now)
  return settle(
    () => lookUpOwn(services, header, isPrefixed, now),
    (own) => (own && 'found' in own ? own : takeOver(newcomers, header, own)),
  )
}

/** The session that a cookie of another library names, for a visitor who has none here. */
async function takeOver(
  newcomers: Newcomers,
  header: string,
  stranger: Stranger | undefined,
): Promise<Visit | Stranger | undefined> {
  const newcomer = await newcomers.arrive(header)
  if (!newcomer) return stranger
  if ('absence' in newcomer) {
    const { absence, key } = newcomer
    const { unreadable = [], replaced, endedBecause } = stranger ?? {}
    return {
      unreadable: absence === 'unreadable' && key !== undefined ? [...unreadable, key] : unreadable,
      replaced: replaced ?? (absence === 'replaced' ? key : undefined),
      endedBecause: endedBecause ?? reasonIn(absence),
    }
  }
  const { token, key, found, farewells } = newcomer
  return { cookie: { name: '', token, key, keyIndex: 0 }, found, farewells }
}

function lookUpOwn(
  services: Lookup,
  header: string,
  isPrefixed: boolean | undefined,
  now: Instant,
): Awaitable<Visit | Stranger | undefined> {
  const known = services.cookie.known(header, isPrefixed)
  const hit = known && services.lifecycle.hit(known.key, now)
  if (known && hit !== undefined && isHeld(hit)) return { cookie: known, found: hit }
  const candidates = known ? [known] : services.cookie.read(header, isPrefixed)
  const [cookie] = candidates
  if (!cookie) return undefined
  return settle(
    () => hit ?? services.lifecycle.load(cookie.key),
    (found) => (isHeld(found) ? { cookie, found } : lookFurther(services, candidates, found)),
  )
}

/** Whether this is a session whose cookie has come back before, as nearly all are. */
function isHeld(found: Found | Absence): found is Found {
  return typeof found === 'object' && recordOf(found).unheld === undefined
}

/** `first`: what the first cookie names. */
async function lookFurther(
  { lifecycle, diagnostics }: Lookup,
  candidates: readonly Verified[],
  first: Found | Absence,
): Promise<Visit | Stranger> {
  const unreadable: Key[] = []
  let replaced: Key | undefined
  let endedBecause: string | undefined
  for (const cookie of candidates) {
    let found = cookie === candidates[0] ? first : await lifecycle.load(cookie.key)
    // From here on, no sign-in with the id before it can take its place.
    if (typeof found === 'object' && !isHeld(found)) found = await lifecycle.hold(cookie.key, found)
    if (typeof found === 'object') return { cookie, found }
    if (found === 'unreadable') unreadable.push(cookie.key)
    else if (found === 'replaced') replaced ??= cookie.key
    else endedBecause ??= reasonIn(found)
  }
  if (unreadable.length === 0 && replaced === undefined && endedBecause === undefined) {
    diagnostics.stats.suspicious++
    diagnostics.report('suspicious', { reason: 'unknown id' })
  }
  return {
    unreadable,
    ...(replaced !== undefined && { replaced }),
    ...(endedBecause !== undefined && { endedBecause }),
  }
}
