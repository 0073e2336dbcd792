import type Koa from 'koa'
import type { SessionCookie } from './cookie.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { Instant } from '../units.ts'

/** What leaves with one response, whatever other code does to its headers: of each session middleware its cookie. */
interface Outgoing {
  readonly cookies: Map<string, string>
  varies: boolean
}
const OUTGOING = new WeakMap<Koa.Context['res'], Outgoing>()

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
    OUTGOING.get(res)?.cookies.delete(this.#cookie.name)
    const others = listOf(res.getHeader('Set-Cookie')).filter((cookie) => cookie !== this.#header)
    if (others.length > 0) res.setHeader('Set-Cookie', others)
    else res.removeHeader('Set-Cookie')
    this.#header = undefined
  }

  #put(header: string): void {
    const { res } = this.#ctx
    const { name } = this.#cookie
    this.#header = header
    res.setHeader('Set-Cookie', withCookie(res.getHeader('Set-Cookie'), name, header))
    outgoingOf(res).cookies.set(name, header)
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

/** A cache must not hand one visitor's response to another. */
export function varyByCookie(res: Koa.Context['res']): void {
  const vary = res.getHeader('Vary')
  if (vary === undefined) res.setHeader('Vary', 'Cookie')
  else if (!/(?:^|,)\s*(?:\*|cookie)\s*(?:,|$)/i.test(String(vary))) res.setHeader('Vary', `${String(vary)}, Cookie`)
}

/** The same for the response to an error, from which Koa removes all headers first. */
export function varyByCookieLater(res: Koa.Context['res']): void {
  if (!res.headersSent) outgoingOf(res).varies = true
}

/**
 * Every response passes through `writeHead`, also those that Koa sends for errors (after it removed all headers) and
 * those that handlers send by themselves. So that is where the headers are completed, and no other code's order matters.
 */
function outgoingOf(res: Koa.Context['res']): Outgoing {
  const known = OUTGOING.get(res)
  if (known) return known
  const outgoing: Outgoing = { cookies: new Map(), varies: false }
  OUTGOING.set(res, outgoing)
  const { writeHead } = res
  // Not written where it is assigned, as in bindEmit (scope.ts): it would outlive the request.
  const completing = function (this: typeof res, ...args: unknown[]): typeof res {
    const headers = args.at(-1)
    if (!this.headersSent) {
      if (typeof headers === 'object' && headers !== null) setAll(this, args.pop() as object)
      complete(this, outgoing)
    }
    return Reflect.apply(writeHead, this, args) as typeof res
  }
  res.writeHead = completing
  return outgoing
}

function complete(res: Koa.Context['res'], { cookies, varies }: Outgoing): void {
  if (varies) varyByCookie(res)
  if (cookies.size === 0) return
  let header: HeaderValue = res.getHeader('Set-Cookie')
  for (const [name, cookie] of cookies) header = withCookie(header, name, cookie)
  res.setHeader('Set-Cookie', header as string[])
  // The response carries a secret (OWASP): nobody stores it, unless the handler forbade shared caching in its own words.
  if (!/\b(?:no-store|private)\b/i.test(String(res.getHeader('Cache-Control') ?? '')))
    res.setHeader('Cache-Control', 'no-store')
}

type HeaderValue = number | string | readonly string[] | undefined

/** As `writeHead` itself does: what it is given replaces what was set. Node takes an object, a flat list, and pairs. */
function setAll(res: Koa.Context['res'], headers: object): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value as string)
    return
  }
  const flat = (Array.isArray(headers[0]) ? headers.flat() : headers) as unknown[]
  for (let index = 0; index < flat.length; index += 2) res.removeHeader(String(flat[index]))
  for (let index = 0; index < flat.length; index += 2) res.appendHeader(String(flat[index]), flat[index + 1] as string)
}

function withCookie(header: HeaderValue, name: string, cookie: string): string[] {
  return [...listOf(header).filter((other) => !other.startsWith(`${name}=`)), cookie]
}

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? [...(header as string[])] : [String(header)]
}
