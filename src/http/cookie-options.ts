import type Koa from 'koa'
import { isOptions, shown, type Checks, type Cures } from '../checks.ts'
import type { CheckedCookie, CookieFor, CookieOptions } from './attributes.ts'
import { DEFAULT_NAME, mayBePrefixed } from './cookie-names.ts'

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
  readonly cookieName?: CookieOptions['name']
}

/** An application's own choice of attributes, made for each request. */
export type CookieFunction = (ctx: Koa.Context) => Omit<CookieOptions, 'name'>

/** What is known of the cookie before there is a request, and how a request's attributes are made. */
export interface CheckedChoice extends CheckedName {
  /** `undefined` if each request has attributes of its own. */
  readonly fixed: CheckedCookie | undefined
  readonly cookieFor: CookieFor
}

/** The cookie's name, and whether it has the prefix `__Host-` if browsers keep that. */
interface CheckedName {
  readonly name: string
  readonly isAuto: boolean
}

/** Checks the options `cookie` and `cookieName`; a function's result is checked whenever it returns. */
export function checkCookieChoice(checks: Checks, { cookie, cookieName }: CookieChoice): CheckedChoice {
  if (typeof cookie === 'function') {
    const name = checkName(checks, 'cookieName', cookieName)
    refuseWhatBrowsersRefuse(checks, name, { path: '/', secure: true })
    return { ...name, fixed: undefined, cookieFor: (ctx) => checkResult(checks, name, cookie(ctx)) }
  }
  if (cookieName !== undefined)
    throw checks.refusal('cookieName is for a cookie that is a function. Write cookie: { name } instead.')
  if (cookie !== undefined) checks.object('cookie', cookie)
  const { name, isAuto } = checkName(checks, 'cookie.name', cookie?.name)
  const fixed = checkCookie(checks, { name, isAuto }, cookie)
  // Without the prefix, it is one name for every connection.
  const mayHavePrefix = mayBePrefixed(fixed, fixed.secure !== false)
  return { name, isAuto: isAuto && mayHavePrefix, fixed, cookieFor: () => fixed }
}

function checkName(checks: Checks, option: string, given: CookieOptions['name'] = 'auto'): CheckedName {
  if (given === 'auto') return { name: DEFAULT_NAME, isAuto: true }
  const isAuto = isOptions(given)
  if (isAuto) checks.names(given, ['auto'], { path: option })
  const name: unknown = isAuto ? given.auto : given
  // RFC 6265, section 4.1.1: a name is a token.
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw checks.wrong(isAuto ? `${option}.auto` : option, 'must be a cookie name (RFC 6265)', name)
  if (isAuto && name.startsWith('__'))
    throw checks.wrong(`${option}.auto`, 'must be the name without its prefix, which over https is __Host-', name)
  return { name, isAuto }
}

function checkResult(checks: Checks, name: CheckedName, result: CookieOptions): CheckedCookie {
  checks.object('cookie', result, 'is a function, and must return an object at once')
  if (result.name !== undefined && result.name !== name.name)
    throw checks.refusal(
      `cookie.name is ${shown(result.name)}, and the cookie of all requests is '${name.name}'. Name it once, as cookieName.`,
    )
  return checkCookie(checks, name, result)
}

/** Checks the attributes; the copy that it returns is frozen. */
function checkCookie(checks: Checks, checkedName: CheckedName, cookie: CookieOptions = {}): CheckedCookie {
  checks.names(cookie, COOKIE_OPTIONS, { path: 'cookie', cures: COOKIE_CURES })
  const { name: _, path = '/', domain, secure = 'auto', sameSite = 'lax', ...others } = cookie
  // RFC 6265, section 4.1.1: path and domain hold no separators.
  if (typeof path !== 'string' || !/^\/[\x20-\x3a\x3c-\x7e]*$/.test(path))
    throw checks.wrong('cookie.path', 'must begin with / and hold no ;', path)
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[\w.-]+$/.test(domain)))
    throw checks.wrong('cookie.domain', 'must be a host name', domain)
  checks.oneOf('cookie.secure', secure, [true, false, 'auto'])
  checks.oneOf('cookie.sameSite', sameSite, ['strict', 'lax', 'none'])
  checks.oneOf('cookie.priority', cookie.priority, [undefined, 'low', 'medium', 'high'])
  checks.oneOf('cookie.partitioned', cookie.partitioned, [undefined, true, false])
  checks.oneOf('cookie.persistent', cookie.persistent, [undefined, true, false])
  const checked = { ...others, path, secure, sameSite, ...(domain !== undefined && { domain }) }
  refuseWhatBrowsersRefuse(checks, checkedName, checked)
  return Object.freeze(checked)
}

/** Throws for a combination of attributes with which no browser keeps the cookie. */
function refuseWhatBrowsersRefuse(checks: Checks, { name }: CheckedName, cookie: CheckedCookie): void {
  const { path, domain, secure, sameSite, partitioned } = cookie
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
