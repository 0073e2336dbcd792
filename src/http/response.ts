import type Koa from 'koa'
import type { SessionCookie } from './cookie.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Instant } from '../units.ts'

/** The session cookie on its way out with one response. */
export class ResponseCookie {
  readonly #ctx: Koa.Context
  readonly #cookie: SessionCookie
  readonly #secure: boolean | 'auto'
  readonly #diagnostics: Diagnostics
  #header: string | undefined

  constructor(ctx: Koa.Context, cookie: SessionCookie, secure: boolean | 'auto', diagnostics: Diagnostics) {
    this.#ctx = ctx
    this.#cookie = cookie
    this.#secure = secure
    this.#diagnostics = diagnostics
  }

  /** Sets the cookie of this session. `until`: see `SessionCookie.write`. Nothing happens once the headers have left. */
  send(token: string, until: Instant | undefined): void {
    if (!this.#ctx.res.headersSent) this.#put(this.#cookie.write(token, this.#isSecure(), until))
  }

  /** Makes the browser forget the cookie, if it may have one. */
  clear(): void {
    if (this.#ctx.res.headersSent) return
    if (this.#header || this.#cookie.isIn(this.#ctx.req.headers.cookie)) this.#put(this.#cookie.clear(this.#isSecure()))
  }

  /** Takes back what `send` set. */
  withdraw(): void {
    const { res } = this.#ctx
    if (!this.#header || res.headersSent) return
    const others = listOf(res.getHeader('Set-Cookie')).filter((cookie) => cookie !== this.#header)
    if (others.length > 0) res.setHeader('Set-Cookie', others)
    else res.removeHeader('Set-Cookie')
    this.#header = undefined
  }

  #put(header: string): void {
    this.#header = header
    this.#set(header)
  }

  #set(header: string): void {
    const { res } = this.#ctx
    res.setHeader('Set-Cookie', withCookie(res.getHeader('Set-Cookie'), this.#cookie.name, header))
  }

  /** Puts the cookie back if other code has removed it, and forbids to store the response. */
  completeHead(): void {
    if (this.#header === undefined) return
    this.#set(this.#header)
    // The response carries a secret (OWASP): nobody stores it, unless the handler forbade shared caching in its own words.
    const { res } = this.#ctx
    if (!/\b(?:no-store|private)\b/i.test(String(res.getHeader('Cache-Control') ?? '')))
      res.setHeader('Cache-Control', 'no-store')
  }

  #isSecure(): boolean {
    const { secure: isHttps, req } = this.#ctx
    if (this.#secure !== false && !isHttps && req.headers['x-forwarded-proto'] === 'https') {
      this.#diagnostics.warn(
        'SESSION_PROXY_NOT_TRUSTED',
        'A proxy says that visitors use https, but app.proxy is not set, so Koa takes the requests for http. Set app.proxy = true.',
      )
    }
    return this.#secure === 'auto' ? isHttps : this.#secure
  }
}

/** Says that the response depends on the cookie, so that no cache hands one visitor's response to another. */
export function varyByCookie(res: Koa.Context['res']): void {
  const vary = res.getHeader('Vary')
  if (vary === undefined) res.setHeader('Vary', 'Cookie')
  else if (!/(?:^|,)\s*(?:\*|cookie)\s*(?:,|$)/i.test(String(vary))) res.setHeader('Vary', `${String(vary)}, Cookie`)
}

/** Keeps the response out of shared caches, some of which ignore `Vary`, unless the handler has spoken about caching. */
export function keepPrivate(res: Koa.Context['res']): void {
  if (!res.hasHeader('Cache-Control')) res.setHeader('Cache-Control', 'private')
}

/** Whether this body is read after the head has left, by code that may use the session. */
export function isReadLate(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return (
    typeof (body as { pipe?: unknown }).pipe === 'function' ||
    body instanceof ReadableStream ||
    body instanceof globalThis.Response
  )
}

type HeaderValue = number | string | readonly string[] | undefined

function withCookie(header: HeaderValue, name: string, cookie: string): string[] {
  return [...listOf(header).filter((other) => !other.startsWith(`${name}=`)), cookie]
}

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? [...(header as string[])] : [String(header)]
}
