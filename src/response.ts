import type Koa from 'koa'
import type { SessionCookie } from './cookie.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { Instant } from './units.ts'

/** The session cookies that each response has to carry, by name: one for each session middleware that set one. */
const OURS = new WeakMap<Koa.Context['res'], Map<string, string>>()

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
  send(id: string, until: Instant | undefined): void {
    if (!this.#ctx.res.headersSent) this.#put(this.#cookie.write(id, this.#isSecure(), until))
  }

  /** Makes the browser forget the cookie, if it may have one. */
  clear(): void {
    if (this.#ctx.res.headersSent) return
    if (this.#header || this.#cookie.isIn(this.#ctx.req.headers.cookie)) this.#put(this.#cookie.clear(this.#isSecure()))
  }

  /** Puts the cookie, and what must go with it, back if other code has replaced the headers since. */
  keep(): void {
    if (this.#header && !this.#ctx.res.headersSent) this.#put(this.#header)
  }

  #put(header: string): void {
    const { res } = this.#ctx
    const { name } = this.#cookie
    this.#header = header
    res.setHeader('Set-Cookie', withCookies(res.getHeader('Set-Cookie'), new Map([[name, header]])))
    forbidStoring(res)
    varyByCookie(this.#ctx)
    const ours = OURS.get(res)
    if (ours) ours.set(name, header)
    else keepOurs(this.#ctx, new Map([[name, header]]))
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
export function varyByCookie(ctx: Koa.Context): void {
  if (ctx.res.hasHeader('Vary')) ctx.vary('Cookie')
  else ctx.res.setHeader('Vary', 'Cookie')
}

/** The response carries a secret (OWASP): nobody stores it, unless the handler forbade shared caching in its own words. */
function forbidStoring(res: Koa.Context['res']): void {
  const chosen = String(res.getHeader('Cache-Control') ?? '')
  if (!/\b(?:no-store|private)\b/i.test(chosen)) res.setHeader('Cache-Control', 'no-store')
}

/** From now on these cookies leave with the response, whatever becomes of it. */
function keepOurs(ctx: Koa.Context, ours: Map<string, string>): void {
  OURS.set(ctx.res, ours)
  keepThroughError(ctx, ours)
  keepThroughWriteHead(ctx.res, ours)
}

/**
 * Koa removes all headers from the response to an error. The error itself must not carry ours, although Koa would take
 * them from it: errors are logged with all their properties, and one error may be thrown to several visitors.
 */
function keepThroughError(ctx: Koa.Context, ours: Map<string, string>): void {
  const { res, onerror } = ctx
  ctx.onerror = function (this: Koa.Context, error: Error): void {
    const { removeHeader, setHeader } = res
    res.removeHeader = (name) => {
      const header = name.toLowerCase()
      if (header === 'set-cookie') res.setHeader(name, [])
      else if (header === 'cache-control') res.setHeader(name, 'no-store')
      else if (header === 'vary') res.setHeader(name, 'Cookie')
      else removeHeader.call(res, name)
    }
    res.setHeader = (name, value) => {
      setHeader.call(res, name, isSetCookie(name) ? withCookies(value, ours) : value)
      if (name.toLowerCase() === 'cache-control') forbidStoring(res)
      return res
    }
    try {
      onerror.call(this, error)
    } finally {
      Object.assign(res, { removeHeader, setHeader })
    }
  }
}

/** `writeHead(status, headers)` replaces what `setHeader` said; this keeps our cookies among what it is given. */
function keepThroughWriteHead(res: Koa.Context['res'], ours: Map<string, string>): void {
  const { writeHead } = res
  res.writeHead = function (this: typeof res, ...args: unknown[]) {
    const headers = args.at(-1)
    if (typeof headers === 'object' && headers !== null) {
      const pairs = pairsOf(headers)
      if (pairs.some(([header]) => isSetCookie(header))) {
        const cookies = pairs.filter(([header]) => isSetCookie(header)).flatMap(([, value]) => listOf(value))
        // Set beforehand, because a list of pairs cannot hold one name twice on every release of Node.
        this.setHeader('Set-Cookie', withCookies(cookies, ours))
        args[args.length - 1] = pairs.filter(([header]) => !isSetCookie(header)).flat()
      }
    }
    return Reflect.apply(writeHead, this, args) as typeof res
  } as typeof res.writeHead
}

type HeaderValue = number | string | readonly string[] | undefined

/** Node takes headers as an object, as `[name, value, …]` and as `[[name, value], …]`. */
function pairsOf(headers: object): [string, HeaderValue][] {
  if (!Array.isArray(headers)) return Object.entries(headers) as [string, HeaderValue][]
  if (Array.isArray(headers[0])) return headers as [string, HeaderValue][]
  const pairs: [string, HeaderValue][] = []
  for (let index = 0; index < headers.length; index += 2) pairs.push([String(headers[index]), headers[index + 1] as HeaderValue])
  return pairs
}

function isSetCookie(header: string): boolean {
  return header.toLowerCase() === 'set-cookie'
}

function withCookies(header: HeaderValue, cookies: Map<string, string>): string[] {
  const names = [...cookies.keys()]
  return [...listOf(header).filter((other) => !names.some((name) => other.startsWith(`${name}=`))), ...cookies.values()]
}

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? [...(header as string[])] : [String(header)]
}
