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

  /** Puts the cookie back if other code has replaced the header since. */
  keep(): void {
    const { res } = this.#ctx
    if (!this.#header || res.headersSent || listOf(res.getHeader('Set-Cookie')).includes(this.#header)) return
    this.#put(this.#header)
  }

  /**
   * Lets an error carry the cookie: Koa removes all headers from the response to an error, and then sets those of the
   * error.
   */
  carryOn(error: unknown): void {
    if (!this.#header || typeof error !== 'object' || error === null) return
    const { headers } = error as { headers?: Record<string, string | string[]> }
    const cookieHeader = Object.keys(headers ?? {}).find(isSetCookie) ?? 'Set-Cookie'
    try {
      ;(error as { headers: object }).headers = {
        'Cache-Control': 'no-store',
        Vary: this.#ctx.res.getHeader('Vary') ?? 'Cookie',
        ...headers,
        [cookieHeader]: withCookie(headers?.[cookieHeader], this.#cookie.name, this.#header),
      }
    } catch {} // a frozen error; the cookie is lost, the error is not
  }

  #put(header: string): void {
    const { res } = this.#ctx
    const { name } = this.#cookie
    this.#header = header
    res.setHeader('Set-Cookie', withCookie(res.getHeader('Set-Cookie'), name, header))
    forbidStoring(res)
    const ours = OURS.get(res)
    if (ours) ours.set(name, header)
    else keepThroughWriteHead(res, new Map([[name, header]]))
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

/** `writeHead(status, headers)` replaces what `setHeader` said; this keeps our cookies among what it is given. */
function keepThroughWriteHead(res: Koa.Context['res'], ours: Map<string, string>): void {
  OURS.set(res, ours)
  const { writeHead } = res
  res.writeHead = function (this: typeof res, ...args: unknown[]) {
    const headers = args.at(-1)
    if (typeof headers === 'object' && headers !== null) {
      const pairs = pairsOf(headers)
      if (pairs.some(([header]) => isSetCookie(header))) {
        let cookies = pairs.filter(([header]) => isSetCookie(header)).flatMap(([, value]) => listOf(value))
        for (const [name, cookie] of ours) cookies = withCookie(cookies, name, cookie)
        // Set beforehand, because a list of pairs cannot hold one name twice on every release of Node.
        this.setHeader('Set-Cookie', cookies)
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

function withCookie(header: HeaderValue, name: string, cookie: string): string[] {
  return [...listOf(header).filter((other) => !other.startsWith(`${name}=`)), cookie]
}

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? [...(header as string[])] : [String(header)]
}
