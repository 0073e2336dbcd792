import type Koa from 'koa'
import { LONGEST_COOKIE } from '../record/timeouts.ts'
import type { Instant } from '../units.ts'

/** The session cookie's attributes. It is always HttpOnly. */
export interface CookieOptions {
  /**
   * Default `'auto'`: `__Host-sid` over https, where no other host and nobody on the network can plant such a cookie
   * (ASVS 5.0 3.3.1, 3.3.3), and `sid` over http. `{ auto: 'shop' }` is `__Host-shop` and `shop`. Browsers keep the prefix
   * if the cookie is Secure, has the path `/` and no domain; a cookie with other attributes has the plain name.
   *
   * Another text is the name on every connection. With the prefix `__Host-` or `__Secure-`, the browser's rules for it
   * are checked.
   */
  name?: string | { readonly auto: string }
  /**
   * Default `/`. Requests outside of this path have no session, as if `skip` left them out, because the browser sends the
   * cookie with none of them. The path is the one that the visitor's browser sees: that of `ctx.originalUrl`, after the
   * `X-Forwarded-Prefix` of a trusted proxy (`app.proxy`).
   */
  path?: string
  /** Default: none, so the cookie belongs to the host that set it. */
  domain?: string
  /** Default `'auto'`: as secure as the request is (`ctx.secure`, so behind a proxy set `app.proxy`). */
  secure?: boolean | 'auto'
  /** Default `'lax'`. `'none'` needs `secure: true`. */
  sameSite?: 'strict' | 'lax' | 'none'
  /** Default `false`. CHIPS; needs `secure: true`. */
  partitioned?: boolean
  /** Default: none. Understood by Chromium. */
  priority?: 'low' | 'medium' | 'high'
  /**
   * Default `false`: the cookie ends with the browser. `true`: it lasts as long as the session may. Browsers keep a cookie
   * for 400 days at most; one that is to last longer is sent again before.
   */
  persistent?: boolean
}

/** The attributes, complete and checked. The name is not among them, because it may depend on the connection. */
export type CheckedCookie = Readonly<Omit<CookieOptions, 'name'> & { path: string; secure: boolean | 'auto' }>

/** The attributes of one request's cookie. Throws `ERR_SESSION_OPTION` if the application's function gives wrong ones. */
export type CookieFor = (ctx: Koa.Context) => CheckedCookie

/**
 * A whole Set-Cookie header. `pair`: the cookie's name and value. `until`: the end of a persistent cookie; absent: the
 * cookie ends with the browser.
 */
export function setCookie(pair: string, cookie: CheckedCookie, isSecure: boolean, until?: Instant): string {
  if (until === undefined) return pair + attributes(cookie, isSecure)
  const now = Date.now()
  const end = Math.min(until, now + LONGEST_COOKIE)
  const seconds = Math.max(0, Math.floor((end - now) / 1000))
  return `${pair}; Max-Age=${seconds}; Expires=${new Date(end).toUTCString()}${attributes(cookie, isSecure)}`
}

/** The Set-Cookie header that makes the browser forget the cookie of this name. */
export function forgetCookie(name: string, cookie: CheckedCookie, isSecure: boolean): string {
  return `${name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${attributes(cookie, isSecure)}`
}

function attributes(
  { path, domain, sameSite = 'lax', partitioned, priority }: CheckedCookie,
  isSecure: boolean,
): string {
  return (
    `; Path=${path}${domain ? `; Domain=${domain}` : ''}; HttpOnly${isSecure ? '; Secure' : ''}` +
    `; SameSite=${capitalized(sameSite)}${partitioned ? '; Partitioned' : ''}${priority ? `; Priority=${capitalized(priority)}` : ''}`
  )
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
