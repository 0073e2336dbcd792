import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import { cached } from './cache.ts'
import { SessionCookie } from './cookie.ts'
import { Diagnostics, type SessionStats } from './diagnostics.ts'
import { encrypted } from './encryption.ts'
import { SessionError } from './errors.ts'
import { guarded } from './guard.ts'
import { isKey } from './id.ts'
import { keyringOf, keysNotSeenYet, noKeys, type Keys } from './keys.ts'
import { Lifecycle } from './lifecycle.ts'
import { openSession } from './open.ts'
import { checkOptions, type SessionOptions } from './options.ts'
import { RequestSession, type Services } from './request.ts'
import { currentHolder, enter, holderOf, noSessionHere, runInContext } from './scope.ts'
import { Signals } from './signals.ts'
import { Subjects, type SessionSummary } from './subjects.ts'
import type { Session, SessionData } from './types.ts'
import type { Key, Milliseconds } from './units.ts'
import { Codec } from './value.ts'

/** A Koa middleware, and the operations that belong to no single request. */
export interface Sessions<Data extends object = SessionData> {
  /** The middleware, for `app.use`. */
  (ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void>
  /** This very middleware's session of the request in which it is called; throws like `getSession`. */
  get(): Session<Data>
  /**
   * The session of a request that passes no middleware: a WebSocket's upgrade, the handshake of socket.io. Reads and
   * verifies the cookie, sets none, and counts as a use. Resolves to `undefined` if there is no live session (no cookie,
   * a forged one, an expired session); rejects with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails, and with
   * `ERR_SESSION_OPTION` if the keys are the application's and no request has shown them yet.
   *
   * It may stay open for as long as the socket. Nothing commits by itself: `update` commits at once, all other changes
   * need `save()`. It shows what it loaded: `reload()` reads the newest state, and counts as a use. `regenerate` rejects,
   * because there is no response to carry the new cookie. `runWithSession(session, fn)` hands it to `getSession()`.
   */
  open(request: IncomingMessage): Promise<Session<Data> | undefined>
  /**
   * Replaces the signing keys while running, newest first. Cookies signed by a key that is still in the list are
   * accepted and signed anew, once; all others are no longer accepted.
   */
  rotate(keys: Keys): void
  /**
   * Whether the store can tell which sessions are a subject's: files, memory and Redis can, memcached and stores of
   * express-session cannot. Where it is `false`, `identify` fails at the commit, and `list` and `revokeAll` reject.
   */
  readonly canList: boolean
  /**
   * The live sessions of this subject (see `session.identify`), the one that was seen last first. Rejects with
   * `ERR_SESSION_OPTION` where the store cannot list them.
   */
  list(subject: string): Promise<SessionSummary[]>
  /** Ends the session of this public id, on every node; `false` if there was none. */
  revoke(id: Key): Promise<boolean>
  /** Ends all sessions of this subject, but those of the excepted ids; resolves to how many. */
  revokeAll(
    subject: string,
    options?: {
      /** The public id that stays, or several: usually that of the request that asks. */
      except?: Key | readonly Key[]
    },
  ): Promise<number>
  /** Removes expired sessions now; resolves to how many, or to 0 where the store expires them by itself. */
  prune(): Promise<number>
  /** Counters since the start, and the size of the cache. */
  stats(): SessionStats
  /** Waits for what is under way and lets go of the cache; closes the store if it was made from a URL. */
  close(): Promise<void>
}

/** What a store may take before it counts as failed. */
const DEADLINE: Milliseconds = 2000

/**
 * Sessions for a Koa application:
 *
 * ```ts
 * app.use(session({ keys: [process.env.SESSION_KEY] }))
 * ```
 *
 * Throws `ERR_SESSION_OPTION` if an option is wrong.
 */
export function session<Data extends object = SessionData>(options: SessionOptions = {}): Sessions<Data> {
  const checked = checkOptions(options)
  const { cookie: cookieOptions, skip, store, ownsStore } = checked
  const diagnostics = new Diagnostics(cookieOptions.name)
  const safe = guarded(store, DEADLINE, diagnostics)
  const vault = checked.encrypt ? encrypted(safe) : undefined
  const source = vault ?? safe
  const cache = checked.cache && cached(source, checked.cache, diagnostics)
  const signals = new Signals(source, diagnostics)
  const front = signals.over(cache ?? source)
  const subjects = new Subjects(front)
  const lifecycle = new Lifecycle(
    front,
    { ...checked, persistent: cookieOptions.persistent ?? false, codec: new Codec(checked.serializer) },
    diagnostics,
    signals,
    signals.over(source),
  )
  let { keyring } = checked
  if (keyring) vault?.use(keyring.derive('encryption'))
  let services: Services | undefined

  /** Without an application, as far as the keys are known without it. */
  function servicesFor(app?: Koa): Services {
    if (services) return services
    if (!keyring) {
      if (!app) throw keysNotSeenYet()
      if (!app.keys) throw noKeys()
      keyring = keyringOf(app.keys)
      vault?.use(keyring.derive('encryption'))
    }
    services = {
      lifecycle,
      cookie: new SessionCookie(cookieOptions, keyring, diagnostics, checked.cache?.max),
      diagnostics,
      secure: cookieOptions.secure,
      onStoreError: checked.onStoreError,
    }
    return services
  }

  async function middleware(ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void> {
    if (skip?.(ctx) || holderOf(ctx, middleware)) return next()
    exposeSession(ctx.app)
    if (MISSED.has(ctx)) diagnostics.warn('SESSION_READ_TOO_EARLY', READ_TOO_EARLY)
    const request = new RequestSession(servicesFor(ctx.app), ctx, middleware, holderOf(ctx))
    enter(ctx, request)
    const loading = request.load()
    if (loading) await loading
    try {
      await runInContext(ctx, next)
      const finishing = request.finish()
      if (finishing) await finishing
    } catch (error) {
      await request.fail(error)
      throw error
    }
  }

  const operations: Omit<Sessions<Data>, never> = {
    get: () => (currentHolder(middleware)?.session ?? noSessionHere()) as Session<Data>,
    canList: front.subjects !== undefined,
    open: async (request) =>
      (await openSession(servicesFor(), request.headers.cookie, middleware)) as Session<Data> | undefined,
    list: async (subject) => subjects.list(subject, currentHolder(middleware)?.session.id),
    revoke: async (id) => {
      if (!isKey(id))
        throw new SessionError('ERR_SESSION_OPTION', 'sessions.revoke takes the public id of a session: session.id.')
      return subjects.revoke(id)
    },
    revokeAll: (subject, { except = [] } = {}) =>
      subjects.revokeAll(subject, typeof except === 'string' ? [except] : except),
    rotate(keys) {
      const newest = keyringOf(keys)
      vault?.use(newest.derive('encryption'))
      services?.cookie.rotate(newest)
      keyring = newest
    },
    prune: async () => (await store.prune?.()) ?? 0,
    stats: () => ({ ...diagnostics.stats, resigned: Array.from(diagnostics.stats.resigned, (count) => count ?? 0) }),
    async close() {
      await lifecycle.settled()
      await signals.close()
      await cache?.close?.()
      if (ownsStore) await store.close?.()
    },
  }
  return Object.assign(middleware, operations)
}

const EXPOSED = Symbol('koa-server-session.exposed')
/** Contexts of which `ctx.session` was read where there was none. */
const MISSED = new WeakSet<object>()
const READ_TOO_EARLY =
  'ctx.session was read above the session middleware, where it is undefined. What takes that for "no session" does ' +
  'nothing: koa-csrf, for one, lets every form through. Put app.use(session(…)) above whatever uses sessions.'

/** `ctx.session`, on the application's context, once. */
function exposeSession(app: Koa & { [EXPOSED]?: true }): void {
  if (app[EXPOSED]) return
  app[EXPOSED] = true
  Object.defineProperty(app.context, 'session', {
    configurable: true,
    get(this: Koa.Context) {
      const holder = holderOf(this)
      if (!holder) MISSED.add(this)
      return holder?.session
    },
    set(this: Koa.Context, data: unknown) {
      const holder = holderOf(this)
      if (!holder) noSessionHere()
      ;(holder as RequestSession).replace(data)
    },
  })
}
