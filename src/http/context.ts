import { AsyncLocalStorage } from 'node:async_hooks'
import { Checks } from '../checks.ts'
import { SessionError } from '../errors.ts'
import { shared, versionsLoaded } from '../session/copies.ts'
import { described } from '../session/described.ts'
import { currentSessionOf, ownerOf } from '../session/object.ts'
import type { Session } from '../session/types.ts'
import type { Key } from '../units.ts'

/** The property of `ctx` that is a middleware's session if its options name no other. `getSession` finds this one. */
export const DEFAULT_PROPERTY = 'session'

/** Where the session of one request is found; `regenerate` swaps the session inside. */
export interface Holder {
  readonly session: Session
  /** The public id of the session, if it has one yet. Asking for it does not count as using the session. */
  readonly id?: Key | undefined
  /** The middleware whose session it is. */
  readonly owner?: object | undefined
  /** The property of `ctx` that gives it. Default: `DEFAULT_PROPERTY`. */
  readonly property?: string | undefined
  /** The holder of the middleware around this one. */
  readonly outer?: Holder | undefined
  /** Called right before the head of the response leaves, whoever sends it. */
  completeHead?(): void
  /** Called when the response has left, or its visitor has. */
  close?(): void
}

const HOLDER: unique symbol = shared('holder', () => Symbol('koa-server-session.holder')) as never

/** What carries a holder: the Koa context of a request. `null`: the middleware left this request without a session. */
interface Carrier {
  [HOLDER]?: Holder | null
}

/** Holds the Koa context of the request, or a stand-in outside of a request. The holder hangs on it. */
export const storage: AsyncLocalStorage<object> = shared('storage', () => new AsyncLocalStorage())

/**
 * The session of the request in which this is called, wherever in its call tree: in services, timers, body streams,
 * listeners of the response. It is `ctx.session`; the session of a middleware with another `property` is found by that
 * middleware's `get()`.
 *
 * **The session follows the call.** In a listener of an emitter that all requests share, in a job of a shared queue and
 * in the batch of a shared loader, it is another visitor's: wrap the function in `bindSession`.
 *
 * Throws `ERR_SESSION_NO_CONTEXT` outside of a request, and `ERR_SESSION_STORE_UNAVAILABLE` if the session could not be
 * loaded.
 */
export function getSession(): Session {
  return tryGetSession() ?? noSessionHere()
}

/** Throws `ERR_SESSION_NO_CONTEXT`. `property`: the property of `ctx` for whose session was asked. */
export function noSessionHere(property: string = DEFAULT_PROPERTY): never {
  const other = holderOf(storage.getStore())?.property
  throw new SessionError(
    'ERR_SESSION_NO_CONTEXT',
    other === undefined || other === property
      ? `There is no session here${property === DEFAULT_PROPERTY ? '' : ` (ctx.${property})`}. ${WHY_NONE}${otherVersions()}`
      : `There is no ctx.${property} here. This request has ctx.${other}: take it from there, or from sessions.get() of ` +
          'its own middleware.',
  )
}

/** What to say if another version of this package is loaded too: each version knows its own sessions only. */
function otherVersions(): string {
  const versions = versionsLoaded()
  return versions.length === 1
    ? ''
    : ` Or the session belongs to another version of this package: ${versions.join(' and ')} are loaded in this process, ` +
        `and this is ${versions[0]} (see npm ls koa-server-session).`
}

const WHY_NONE =
  'Either this runs outside of a request (a job, a script: use runWithSession), or before the session middleware, or in ' +
  'a request that it skips (also one outside of cookie.path), or in a callback of something that was made outside ' +
  'of the request, such as a connection pool (wrap that callback with bindSession).'

/**
 * The same as `getSession`, but `undefined` if there is no session. Throws `ERR_SESSION_STORE_UNAVAILABLE` if the session
 * could not be loaded.
 */
export function tryGetSession(): Session | undefined {
  return holderUnder(storage.getStore(), DEFAULT_PROPERTY)?.session
}

/**
 * The public id of the session of the request in which this is called, for logs and traces. Unlike `getSession().id` it
 * never throws, not even while the store is down. It does not count as using the session, so logging it adds no
 * `Vary: Cookie`.
 *
 * `undefined` if there is no session, or a new one that nobody has used so far.
 */
export function tryGetSessionId(): Key | undefined {
  return holderUnder(storage.getStore(), DEFAULT_PROPERTY)?.id
}

/**
 * Binds a function to the session of the place where `bindSession` is called. The bound function takes the same `this` and
 * arguments, and `getSession()` in it finds that session whoever calls it. Call `bindSession` in the visitor's request:
 *
 * ```ts
 * app.on('news', bindSession((text) => console.log(getSession().userId, 'hears', text)))
 * ```
 *
 * Throws `ERR_SESSION_OPTION` if it is given no function.
 */
export function bindSession<This, Arguments extends unknown[], Result>(
  fn: (this: This, ...args: Arguments) => Result,
): (this: This, ...args: Arguments) => Result {
  checkFunction('bindSession', fn)
  const place = storage.getStore()
  return function (this: This, ...args: Arguments): Result {
    return storage.run(place as object, () => fn.apply(this, args))
  }
}

/**
 * Runs `fn` so that `getSession()` in it finds this session, and so does the `get()` of the session's own middleware. For
 * message handlers, jobs and tests. Returns what `fn` returns, and throws what it throws:
 *
 * ```ts
 * const session = await sessions.open(ctx.req)
 * if (session) await runWithSession(session, async () => console.log(getSession().userId))
 * ```
 *
 * Throws `ERR_SESSION_OPTION` if it is given no session or no function.
 */
export function runWithSession<Result>(session: Session, fn: () => Result): Result {
  checkFunction('runWithSession', fn)
  if (typeof session !== 'object' || session === null) {
    throw new Checks('runWithSession').refusal(
      `the session must be one that sessions.open or a request gave, or a test's object, not ${described(session)}. ` +
        'sessions.open resolves to undefined if the visitor has no session.',
    )
  }
  const holder: Holder = {
    get session() {
      return currentSessionOf(session)
    },
    get id() {
      return currentSessionOf(session).id
    },
    owner: ownerOf(session),
  }
  return storage.run({ [HOLDER]: holder }, fn)
}

function checkFunction(name: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new Checks(name).refusal(`it needs a function, not ${described(fn)}.`)
}

/** Makes `holder` the innermost one of this request from here on. */
export function enter(ctx: object, holder: Holder): void {
  ;(ctx as Carrier)[HOLDER] = holder
}

/** Notes that a session middleware has seen this request and left it without a session. */
export function leaveOut(ctx: object): void {
  ;(ctx as Carrier)[HOLDER] ??= null
}

/** Whether any session middleware has seen this request. */
export function isSeen(ctx: object): boolean {
  return (ctx as Carrier)[HOLDER] !== undefined
}

/** The innermost holder of this request, or the one of this owner; `undefined` if that middleware has not seen it. */
export function holderOf(ctx: object | undefined, owner?: object): Holder | undefined {
  const carrier: Carrier | undefined = ctx
  let holder: Holder | undefined = carrier?.[HOLDER] ?? undefined
  while (owner && holder && holder.owner !== owner) holder = holder.outer
  return holder
}

/** The innermost holder that this property of `ctx` gives. */
export function holderUnder(ctx: object | undefined, property: string): Holder | undefined {
  let holder = holderOf(ctx)
  while (holder && (holder.property ?? DEFAULT_PROPERTY) !== property) holder = holder.outer
  return holder
}

/** The holder of this owner in the place where this is called. */
export function currentHolder(owner?: object): Holder | undefined {
  return holderOf(storage.getStore(), owner)
}
