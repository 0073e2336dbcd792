import type { Checks } from '../../checks.ts'
import { nextValue } from '../../http/cookie-header.ts'
import type { Session } from '../../session/types.ts'
import type { Instant } from '../../units.ts'

/** What the attributes of the old cookie were, so that the browser knows which one to forget. */
export interface Place {
  /** Default `/`. */
  path?: string
  /** Default: none. */
  domain?: string
}

/**
 * Puts the data of an old session into a session of ours, at once. The function may leave parts out, call
 * `session.identify` so that the session is in its user's list, and `session.remember` for one that outlives the browser.
 * What it throws fails the request, and the old session stays as it is.
 */
export type Take<Data extends object = Record<string, unknown>> = (session: Session, data: Data) => void

/** What the options of every reader may say. */
export interface Source<Data extends object = Record<string, unknown>> {
  /** What the attributes of the old cookie were. Default: the path `/`, and no domain. */
  cookie?: Place
  /** How the data goes into the new session. Default: each value under its own name. */
  take?: Take<Data>
}

/** How many cookies of one name are looked at: a browser may have several, from several paths. */
const MAX_COOKIES = 4

/** The first few values of the cookies of this name, as they stand in the header. */
export function valuesIn(header: string, name: string): string[] {
  const values: string[] = []
  let next = nextValue(header, `${name}=`, 0)
  while (next && values.length < MAX_COOKIES) {
    values.push(next.value.replace(/^"(.*)"$/, '$1'))
    next = nextValue(header, `${name}=`, next.end)
  }
  return values
}

/** The Set-Cookie header that makes the browser forget the cookie of this name. */
export function farewell(name: string, { path = '/', domain }: Place = {}): string {
  // RFC 6265bis, section 5.7: of such a name, browsers take no header without Secure, not even the one that ends the cookie.
  const secure = /^__(?:Host|Secure)-/i.test(name) ? '; Secure' : ''
  return `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=${path}${domain ? `; Domain=${domain}` : ''}${secure}`
}

/** The data without what the library kept of its own under these names. */
export function without(data: object, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).filter(([name]) => !names.includes(name)))
}

/** Whether the session's cookie, as the old library describes it, has expired. */
export function hasExpired(cookie: unknown): boolean {
  const { expires } = (cookie ?? {}) as { expires?: unknown }
  const end: Instant = expires === null || expires === undefined ? NaN : new Date(expires as string | Date).getTime()
  return end <= Date.now()
}

/** Throws `ERR_SESSION_OPTION` unless what all readers may be told is right. */
export function checkSource(checks: Checks, options: object, known: readonly string[]): void {
  checks.object('the options', options)
  checks.names(options, [...known, 'cookie', 'take'])
  const { cookie, take } = options as Source
  if (cookie !== undefined) {
    checks.object('cookie', cookie)
    checks.names(cookie, ['path', 'domain'], { path: 'cookie' })
    for (const value of [cookie.path, cookie.domain])
      if (value !== undefined && !/^[\x20-\x3a\x3c-\x7e]+$/.test(value))
        throw checks.refusal('cookie.path and cookie.domain must be those of the old cookie, and hold no ;.')
  }
  if (take !== undefined) checks.callable('take', take)
}

/** Throws `ERR_SESSION_OPTION` unless it has these methods. */
export function checkMethods(checks: Checks, name: string, thing: unknown, methods: readonly string[]): void {
  const missing = methods.find((method) => typeof (thing as Record<string, unknown> | null)?.[method] !== 'function')
  if (missing !== undefined)
    throw checks.refusal(`${name} must be the store that the old library was given; it has no method ${missing}.`)
}

/** Throws `ERR_SESSION_OPTION` unless it is a cookie's name. */
export function checkCookieName(checks: Checks, option: string, name: unknown): void {
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw checks.wrong(option, 'must be the name of the old cookie', name)
}
