import type Koa from 'koa'
import { forgetCookie, setCookie, type CheckedCookie } from './attributes.ts'
import type { SessionCookie } from './cookie.ts'
import { mayBePrefixed } from './cookie-names.ts'
import { isSecureFor } from './secure.ts'
import { isUpgrade } from './upgrade.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { SessionError } from '../errors.ts'
import type { DestroyOptions } from '../session/member-options.ts'
import type { Instant, Key } from '../units.ts'

/** What the responses of one middleware share. */
export interface ResponseServices {
  readonly cookie: SessionCookie
  readonly diagnostics: Diagnostics
}

const USED_TOO_LATE =
  'A session was first used after the head of its response had left without "Vary: Cookie", so a shared cache may hand ' +
  'the response to other visitors. Read the session before the response begins, or set ctx.vary("Cookie") yourself.'

/*
 * The names of the headers that nearly every response gets are in small letters, as Node keeps them and as HTTP/2 sends
 * them. Of any other spelling, Node makes a new text at each call, and looks for it in the table of all names.
 */

/** One list for all responses that have nothing to say. */
const NONE: readonly never[] = []
const NOTHING: ReadonlySet<string> = new Set()

/** What one session says in the head of one response: its cookie, and to caches that the content may depend on it. */
export class SessionResponse {
  readonly #ctx: Koa.Context
  readonly #services: ResponseServices
  readonly #attributes: CheckedCookie
  /** The Set-Cookie headers of this session, once there are some: the cookie first, then names that the browser forgets. */
  #headers: readonly string[] = NONE
  /** Set-Cookie headers that go out with the cookie of this session, whatever becomes of it. */
  #farewells: readonly string[] = NONE
  /** What else the browser is to remove: see `DestroyOptions.clear`. */
  #toClear: ReadonlySet<string> = NOTHING
  /** Whether anybody has asked for the session, with success or without. */
  #isUsed = false
  #isFinished = false
  #hasFailed = false
  #isClosed = false
  #hasCarried = false
  /** Whether the handlers left a body that is read after the head. What a middleware above makes of a text does not count. */
  #isReadLate = false
  #saysSo = false

  constructor(ctx: Koa.Context, services: ResponseServices, attributes: CheckedCookie) {
    this.#ctx = ctx
    this.#services = services
    this.#attributes = attributes
  }

  get hasHeadLeft(): boolean {
    return this.#ctx.res.headersSent
  }

  /** The handlers are done. */
  get isFinished(): boolean {
    return this.#isFinished
  }

  /** Notes that the response has left, or will not; `false`: that was known. */
  close(): boolean {
    if (this.#isClosed) return false
    this.#isClosed = true
    return true
  }

  /** Whether the handlers are done and nothing more of the response will leave. */
  get isOver(): boolean {
    if (!this.#isFinished) return false
    const { req, res } = this.#ctx
    // Nobody tells the end of an upgrade, of a pipelined response whose turn never came, and of one without a socket.
    const hasNowhereToGo = !res.socket && (res.writableEnded || !this.#isReadLate)
    return this.#isClosed || hasNowhereToGo || this.#isCut || isUpgrade(req)
  }

  /** Whether the visitor went away before the head of the response could leave. */
  get isAbandoned(): boolean {
    return !this.#hasCarried && (this.#isCut || (this.#isClosed && !this.hasHeadLeft))
  }

  get #isCut(): boolean {
    const { req, res } = this.#ctx
    return (res.socket ?? req.socket)?.destroyed === true
  }

  /** Why a session cannot be changed any more; `undefined` while it can. */
  sealedBy(hasRecord: boolean): 'ERR_SESSION_COMMITTED' | 'ERR_SESSION_HEADERS_SENT' | undefined {
    if (this.hasHeadLeft) return hasRecord ? 'ERR_SESSION_COMMITTED' : 'ERR_SESSION_HEADERS_SENT'
    return this.#isFinished ? 'ERR_SESSION_COMMITTED' : undefined
  }

  /** Notes that the content may depend on the session from here on. */
  use(): void {
    if (this.#isUsed) return
    this.#isUsed = true
    if (this.hasHeadLeft && !this.#saysSo) this.#services.diagnostics.warn('SESSION_USED_TOO_LATE', USED_TOO_LATE)
  }

  /** Notes that the handlers are done, and what they left to send. */
  finish(): void {
    this.#isFinished = true
    this.#isReadLate = isReadLate(this.#ctx.body)
  }

  /** Notes that the handlers threw: an error page is no page that caches keep for long. */
  fail(): void {
    this.#hasFailed = true
  }

  /**
   * Completes the head of the response right before it leaves. A head that leaves while the handlers are at work, and
   * one before a body that is read later, says beforehand that the session may be used.
   */
  completeHead(): void {
    const { res, respond } = this.#ctx
    this.#saysSo = this.#isUsed || !this.#isFinished || this.#isReadLate || respond === false
    if (this.#saysSo) varyByCookie(res)
    if (this.#headers.length > 0) {
      this.#completeCookie()
      this.#hasCarried = !this.#isCut
    }
    // Only now, because Koa removes the headers of a response that becomes an error.
    if (this.#toClear.size > 0)
      res.setHeader('Clear-Site-Data', Array.from(this.#toClear, (kind) => `"${kind}"`).join(', '))
    if (this.#saysSo && !this.#hasFailed && !res.hasHeader('cache-control')) {
      // Some shared caches ignore Vary.
      res.setHeader('cache-control', 'private')
    }
  }

  /** Sends these Set-Cookie headers with the cookie of this session, or with its end. */
  sendWith(farewells: readonly string[]): void {
    this.#farewells = farewells
  }

  /** Sets the cookie of this session. `until`: see `setCookie`. Nothing happens once the headers have left. */
  send(token: string, key: Key, until: Instant | undefined): void {
    if (this.hasHeadLeft) return
    const isSecure = this.#isSecure()
    const pair = this.#services.cookie.write(token, this.#isPrefixed(isSecure), key)
    this.#put([setCookie(pair, this.#attributes, isSecure, until), ...this.#farewellsFor(isSecure)])
  }

  /** Makes the browser forget the cookie, if it may have one, and what else of the site it has kept. */
  clear(kinds: NonNullable<DestroyOptions['clear']> = []): void {
    if (this.hasHeadLeft) return
    // What another end in this request has asked for stays.
    if (kinds.length > 0) this.#toClear = new Set([...this.#toClear, ...kinds])
    const { cookie } = this.#services
    const isUnknown = this.#headers.length + this.#farewells.length === 0
    if (isUnknown && !cookie.isIn(this.#ctx.req.headers.cookie)) return
    const isSecure = this.#isSecure()
    const name = cookie.nameFor(this.#isPrefixed(isSecure))
    this.#put([forgetCookie(name, this.#attributes, isSecure), ...this.#farewellsFor(isSecure)])
  }

  /**
   * What goes out beside the cookie: the end of one of another library, and beside the cookie with the prefix the end of
   * the one without, which is from before or from http.
   */
  #farewellsFor(isSecure: boolean): readonly string[] {
    const { cookie } = this.#services
    const isLeft = this.#isPrefixed(isSecure) && cookie.isLeftIn(this.#ctx.req.headers.cookie)
    return isLeft ? [forgetCookie(cookie.name, this.#attributes, isSecure), ...this.#farewells] : this.#farewells
  }

  /** Tells that a new session was lost, because its cookie cannot leave any more. */
  lose(): void {
    const { diagnostics } = this.#services
    const error = new SessionError(
      'ERR_SESSION_HEADERS_SENT',
      'A new session was lost: the headers left before it was saved. Call `await session.save()` before you answer by yourself.',
    )
    diagnostics.report('error', { reason: 'headers sent', error })
    diagnostics.warn(error.code, error.message)
  }

  /** Takes back what `send` set. */
  withdraw(): void {
    const { res } = this.#ctx
    if (this.#headers.length === 0 || res.headersSent) return
    const others = listOf(res.getHeader('Set-Cookie')).filter((header) => !this.#headers.includes(header))
    if (others.length > 0) res.setHeader('Set-Cookie', others)
    else res.removeHeader('Set-Cookie')
    this.#headers = NONE
  }

  #put(headers: readonly string[]): void {
    const before = this.#headers
    this.#headers = headers
    this.#set(before)
  }

  /** `before`: the headers whose place these take. */
  #set(before: readonly string[] = this.#headers): void {
    const { res } = this.#ctx
    const { names } = this.#services.cookie
    const isOther = (header: string): boolean =>
      !names.some((name) => header.startsWith(`${name}=`)) && !before.includes(header)
    res.setHeader('Set-Cookie', [...listOf(res.getHeader('Set-Cookie')).filter(isOther), ...this.#headers])
  }

  /** Puts the cookie back if other code has removed it, and forbids to store the response. */
  #completeCookie(): void {
    this.#set()
    // The response carries a secret (OWASP): nobody stores it, unless the handler forbade shared caching in its own words.
    const { res } = this.#ctx
    if (!/\b(?:no-store|private)\b/i.test(String(res.getHeader('Cache-Control') ?? '')))
      res.setHeader('Cache-Control', 'no-store')
  }

  #isSecure(): boolean {
    return isSecureFor(this.#ctx, this.#attributes.secure, this.#services.diagnostics)
  }

  #isPrefixed(isSecure: boolean): boolean {
    return this.#services.cookie.isAuto && mayBePrefixed(this.#attributes, isSecure)
  }
}

/** Says that the response depends on the cookie, so that no cache hands one visitor's response to another. */
export function varyByCookie(res: Koa.Context['res']): void {
  const vary = res.getHeader('vary')
  if (vary === undefined) res.setHeader('vary', 'Cookie')
  else if (!/(?:^|,)\s*(?:\*|cookie)\s*(?:,|$)/i.test(String(vary))) res.setHeader('vary', `${String(vary)}, Cookie`)
}

/** Whether this body is read after the head has left, by code that may use the session. */
function isReadLate(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return (
    typeof (body as { pipe?: unknown }).pipe === 'function' ||
    body instanceof ReadableStream ||
    body instanceof globalThis.Response
  )
}

type HeaderValue = number | string | readonly string[] | undefined

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? [...(header as string[])] : [String(header)]
}
