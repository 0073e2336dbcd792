import type Koa from 'koa'
import { Checks } from '../checks.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { shared } from '../session/copies.ts'
import { DEFAULT_PROPERTY, enter, holderUnder, isSeen, leaveOut, noSessionHere, type Holder } from './context.ts'
import type { RequestSession } from './request.ts'
import type { CheckedCookie } from './attributes.ts'
import { cookieNames } from './cookie-names.ts'
import { awaitRequests } from './unreached.ts'

/** What one middleware is known by: among those of its application, and to the browser. */
export interface Identity {
  /** The middleware itself. */
  readonly owner: object
  /** The property of `ctx` that gives its session. */
  readonly property: string
  /** Set by `sessions.close()`. */
  isClosed?: boolean
  /** Set by the first request. */
  app?: Koa
  readonly cookie: {
    /** The name without a prefix that depends on the connection. */
    readonly name: string
    /** Whether the name has the prefix `__Host-` if browsers keep it. */
    readonly isAuto: boolean
    /** `undefined` if each request has attributes of its own. */
    readonly fixed: CheckedCookie | undefined
  }
}

/** What is known of one application. */
interface Exposed {
  /** By each property that is defined: contexts of which it was read where there was no session. */
  readonly properties: Map<string, WeakSet<object>>
  /** The middlewares whose requests have come. */
  readonly middlewares: Map<object | undefined, Identity>
}

const EXPOSED: unique symbol = shared('exposed', () => Symbol('koa-server-session.exposed')) as never
const checks = new Checks('koa-server-session')
const CLOSED =
  'A request came after sessions.close(), which lets go of the store and of the cache. Stop the server first: call ' +
  'sessions.close() once server.close() has called back.'

/**
 * The property `ctx.session`, or what the option `property` names it: a getter on the contexts of an application, which
 * finds the session of the middleware that has this property.
 */
export class SessionProperty {
  readonly #identity: Identity
  readonly #diagnostics: Diagnostics
  /** What is known of the application of the last request, which most often is the only one. */
  #last: { readonly app: object; readonly exposed: Exposed } | undefined
  /** Whether any request has had a session. */
  #isEntered = false
  /** Requests outside of the cookie's path, as long as none has been inside. */
  readonly #outside = new WeakSet<object>()

  constructor(identity: Identity, diagnostics: Diagnostics) {
    this.#identity = identity
    this.#diagnostics = diagnostics
    awaitRequests()
  }

  /** Makes the holder's session the one of this property, in this request from here on. Throws `ERR_SESSION_OPTION`. */
  enter(ctx: Koa.Context, holder: Holder): void {
    const { properties, middlewares } = this.#exposedOn(ctx.app)
    const { property } = this.#identity
    for (let outer = holder.outer; outer; outer = outer.outer) this.#refuseTwin(middlewares.get(outer.owner))
    if (Object.hasOwn(ctx, property)) throw takenByAnother(property, ctx)
    if (properties.get(property)?.has(ctx)) this.#warnOfEarlyRead()
    if (this.#identity.isClosed) this.#diagnostics.warn('SESSION_CLOSED', CLOSED)
    this.#isEntered = true
    enter(ctx, holder)
  }

  /** Leaves this request without a session of this middleware, because `skip` says so. */
  leaveOut(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    leaveOut(ctx)
    return next()
  }

  /** The same, because the browser sends no cookie to this path. */
  leaveOutside(ctx: Koa.Context, next: Koa.Next): Promise<void> {
    if (!this.#isEntered) {
      this.#outside.add(ctx)
      if (!(this.#identity.property in ctx)) this.#exposedOn(ctx.app)
    }
    return this.leaveOut(ctx, next)
  }

  #exposedOn(app: Koa): Exposed {
    if (this.#last?.app === app) return this.#last.exposed
    const exposed = this.#expose(app)
    this.#last = { app, exposed }
    return exposed
  }

  #expose(app: Koa & { [EXPOSED]?: Exposed }): Exposed {
    const exposed = (app[EXPOSED] ??= { properties: new Map(), middlewares: new Map() })
    const { owner, property } = this.#identity
    if (exposed.middlewares.has(owner)) return exposed
    if (!exposed.properties.has(property)) exposed.properties.set(property, this.#define(app.context))
    for (const other of exposed.middlewares.values()) this.#warnOfSharedCookie(other)
    exposed.middlewares.set(owner, this.#identity)
    this.#identity.app ??= app
    return exposed
  }

  /** Returns the contexts of which the property is read where there is no session. */
  #define(context: object): WeakSet<object> {
    const { property } = this.#identity
    if (property in context) throw takenByAnother(property, context)
    const missed = new WeakSet<object>()
    const onMissed = (ctx: Koa.Context): void => {
      if (missed.has(ctx)) return
      missed.add(ctx)
      if (this.#outside.has(ctx)) this.#warnOfPath(ctx)
      // A context of koa-websocket has none.
      const res = ctx.res as Koa.Context['res'] | undefined
      // A middleware that answers above the session middleware never gets there.
      if (!isSeen(ctx)) res?.once('close', () => isSeen(ctx) || this.#warnOfEarlyRead())
    }
    Object.defineProperty(context, property, {
      configurable: true,
      get(this: Koa.Context) {
        const holder = holderUnder(this, property)
        if (!holder) onMissed(this)
        return holder?.session
      },
      set(this: Koa.Context, data: unknown) {
        const holder = holderUnder(this, property) ?? noSessionHere(property)
        ;(holder as RequestSession).replace(data)
      },
    })
    return missed
  }

  /** Two middlewares in one request need two properties and two cookies. */
  #refuseTwin(outer: Identity | undefined): void {
    const { property, cookie } = this.#identity
    if (outer?.property === property)
      throw checks.refusal(
        `two session middlewares handle this request, and both are ctx.${property}. Give the second one a name of its own, ` +
          "session({ property: 'admin', cookie: { name: 'admin' } }), or leave its requests out of the first one (skip).",
      )
    const shared = outer && sharedName(cookie, outer.cookie)
    if (shared !== undefined)
      throw checks.refusal(
        `two session middlewares handle this request, and both have the cookie '${shared}', so each would sign out ` +
          "the other's visitors. Give the second one a cookie of its own: cookie: { name: 'admin' }.",
      )
  }

  #warnOfSharedCookie({ cookie: other }: Identity): void {
    const { cookie } = this.#identity
    const shared = sharedName(cookie, other)
    if (shared === undefined || !areBothSent(cookie, other)) return
    this.#diagnostics.warn(
      'SESSION_COOKIE_SHARED',
      `Two session middlewares of one application have the cookie '${shared}', and a browser sends it to both, so they ` +
        'may sign out each other’s visitors. Make it one middleware, or give each a cookie.name or a cookie.path of its own.',
    )
  }

  /** A proxy that takes a part of the path away makes every request look as if it were outside. */
  #warnOfPath(ctx: Koa.Context): void {
    this.#diagnostics.warn(
      'SESSION_OUTSIDE_COOKIE_PATH',
      `ctx.${this.#identity.property} was read in a request for another path than cookie.path, where there is no session, ` +
        'and no request has been inside of cookie.path so far. If a proxy takes a part of the path away, have it send ' +
        `X-Forwarded-Prefix${ctx.app.proxy ? '' : ' (and set app.proxy = true)'}, or leave cookie.path out and let the proxy ` +
        'change the cookie (nginx: proxy_cookie_path).',
    )
  }

  #warnOfEarlyRead(): void {
    const property = `ctx.${this.#identity.property}`
    this.#diagnostics.warn(
      'SESSION_READ_TOO_EARLY',
      `${property} was read above the session middleware, where it is undefined. Anything that takes that for "no session" ` +
        'does nothing: koa-csrf, for one, lets every form through. Put app.use(session(…)) above whatever uses sessions, ' +
        'routers included.',
    )
  }
}

/** A name that the cookies of both have on some connection. */
function sharedName(one: Identity['cookie'], other: Identity['cookie']): string | undefined {
  const others = namesOf(other)
  return namesOf(one).findLast((name) => others.includes(name))
}

function namesOf({ name, isAuto }: Identity['cookie']): readonly string[] {
  return cookieNames(name, isAuto).all
}

/** Whether there are addresses to which a browser certainly sends the cookies of both. */
function areBothSent({ fixed: one }: Identity['cookie'], { fixed: other }: Identity['cookie']): boolean {
  if (!one || !other) return false
  const [path, otherPath] = [one, other].map(({ path }) => (path.endsWith('/') ? path : `${path}/`)) as [string, string]
  if (!path.startsWith(otherPath) && !otherPath.startsWith(path)) return false
  const [domain, otherDomain] = [one, other].map(
    ({ domain }) => domain && `.${domain.replace(/^\./, '').toLowerCase()}`,
  )
  return !domain || !otherDomain || domain.endsWith(otherDomain) || otherDomain.endsWith(domain)
}

function takenByAnother(property: string, place: object): Error {
  const whose = 'sessionOptions' in place && property === DEFAULT_PROPERTY ? 'koa-session' : 'other code'
  return checks.refusal(
    `ctx.${property} is taken by ${whose} on this application. Remove that, or give this session a name of its own: ` +
      "session({ property: 'visitor' }) is ctx.visitor.",
  )
}
