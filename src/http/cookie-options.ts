import type Koa from 'koa'
import { shown, type Checks, type Cures } from '../checks.ts'
import type { CheckedCookie, CookieFor, CookieOptions } from './attributes.ts'

const DEFAULT_NAME = 'sid'
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

/** What to write instead of the length of a cookie. */
export const LENGTH_OF_SESSIONS: string =
  'How long a session lasts is idleTimeout and absoluteTimeout, in milliseconds; with cookie: { persistent: true } the ' +
  'cookie outlives the browser.'

/** What to write instead of names that other libraries have. */
const COOKIE_CURES: Cures = {
  maxAge: LENGTH_OF_SESSIONS,
  expires: LENGTH_OF_SESSIONS,
  httpOnly: 'The cookie is always HttpOnly.',
  signed: 'The cookie is always signed, with the keys of the options.',
  overwrite: 'The cookie always takes the place of an older one.',
  key: "The name of the cookie is cookie: { name: 'sid' }.",
}

/** The options that make the cookie. */
export interface CookieChoice {
  readonly cookie?: CookieOptions | CookieFunction
  readonly cookieName?: string
}

/** An application's own choice of attributes, made for each request. */
export type CookieFunction = (ctx: Koa.Context) => Omit<CookieOptions, 'name'>

/** What is known of the cookie before there is a request, and how a request's attributes are made. */
export interface CheckedChoice {
  readonly name: string
  /** `undefined` if each request has attributes of its own. */
  readonly fixed: CheckedCookie | undefined
  readonly cookieFor: CookieFor
}

/** Checks the options `cookie` and `cookieName`; a function's result is checked whenever it returns. */
export function checkCookieChoice(checks: Checks, { cookie, cookieName }: CookieChoice): CheckedChoice {
  if (typeof cookie === 'function') {
    const { name } = checkCookie(checks, { name: cookieName ?? DEFAULT_NAME, secure: true })
    return { name, fixed: undefined, cookieFor: (ctx) => checkResult(checks, name, cookie(ctx)) }
  }
  if (cookieName !== undefined)
    throw checks.refusal('cookieName is for a cookie that is a function. Write cookie: { name } instead.')
  const fixed = checkCookie(checks, cookie)
  return { name: fixed.name, fixed, cookieFor: () => fixed }
}

function checkResult(checks: Checks, name: string, result: CookieOptions): CheckedCookie {
  checks.object('cookie', result, 'is a function, and must return an object at once')
  if (result.name !== undefined && result.name !== name)
    throw checks.refusal(
      `cookie.name is ${shown(result.name)}, and the cookie of all requests is '${name}'. Name it once, as cookieName.`,
    )
  return checkCookie(checks, { ...result, name })
}

/** Checks the attributes; the copy that it returns is frozen. */
function checkCookie(checks: Checks, cookie: CookieOptions = {}): CheckedCookie {
  checks.object('cookie', cookie)
  checks.names(cookie, COOKIE_OPTIONS, { path: 'cookie', cures: COOKIE_CURES })
  const { name = DEFAULT_NAME, path = '/', domain, secure = 'auto', sameSite = 'lax' } = cookie
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
