import type { Checks } from '../checks.ts'
import type { CookieOptions } from '../http/cookie.ts'
import { COOKIE_CURES } from './cures.ts'

/** The cookie's attributes, complete and checked. */
export type CheckedCookie = Readonly<CookieOptions & { name: string; path: string; secure: boolean | 'auto' }>

const COOKIE_OPTIONS: readonly (keyof CookieOptions)[] = [
  'name',
  'path',
  'domain',
  'secure',
  'sameSite',
  'partitioned',
  'priority',
  'persistent',
]

/** Checks the option `cookie`; the copy that it returns is frozen. */
export function checkCookie(checks: Checks, cookie: CookieOptions = {}): CheckedCookie {
  checks.object('cookie', cookie)
  checks.names(cookie, COOKIE_OPTIONS, { path: 'cookie', cures: COOKIE_CURES })
  const { name = 'sid', path = '/', domain, secure = 'auto', sameSite = 'lax' } = cookie
  // RFC 6265, section 4.1.1: a name is a token; path and domain hold no separators.
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw checks.wrong('cookie.name', 'must be a cookie name (RFC 6265)', name)
  if (typeof path !== 'string' || !/^\/[\x20-\x3a\x3c-\x7e]*$/.test(path))
    throw checks.wrong('cookie.path', 'must begin with / and hold no ;', path)
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[\w.-]+$/.test(domain)))
    throw checks.wrong('cookie.domain', 'must be a host name', domain)
  checks.oneOf('cookie.secure', secure, [true, false, 'auto'])
  checks.oneOf('cookie.sameSite', sameSite, ['strict', 'lax', 'none'])
  checks.oneOf('cookie.priority', cookie.priority, [undefined, 'low', 'medium', 'high'])
  checks.oneOf('cookie.partitioned', cookie.partitioned, [undefined, true, false])
  checks.oneOf('cookie.persistent', cookie.persistent, [undefined, true, false])
  const checked = { ...cookie, name, path, secure, sameSite }
  refuseWhatBrowsersRefuse(checks, checked)
  return Object.freeze(checked)
}

/** Throws for a combination of attributes with which no browser keeps the cookie. */
function refuseWhatBrowsersRefuse(checks: Checks, cookie: CheckedCookie): void {
  const { name, path, domain, secure, sameSite, partitioned } = cookie
  // 'auto' would leave it to each request whether the browser accepts the cookie at all.
  const needsSecure = [
    sameSite === 'none' && "cookie.sameSite 'none'",
    partitioned === true && 'cookie.partitioned',
    /^__(?:Host|Secure)-/i.test(name) && `the cookie name ${name}`,
  ].find(Boolean)
  if (needsSecure && secure !== true)
    throw checks.wrong('cookie.secure', `must be true with ${needsSecure}: browsers refuse it otherwise`, secure)
  if (/^__Host-/i.test(name) && (path !== '/' || domain !== undefined)) {
    const rule = 'with the prefix __Host- needs the path / and no domain: browsers refuse it otherwise'
    throw checks.wrong('cookie.name', rule, name)
  }
}
