import { AsyncLocalStorage } from 'node:async_hooks'
import type Koa from 'koa'
import { SessionError } from '../errors.ts'
import { ownerOf } from '../session/object.ts'
import type { Session } from '../session/types.ts'
import type { Key } from '../units.ts'

/** Where the session of one request is found; `regenerate` swaps the session inside. */
export interface Holder {
  readonly session: Session
  /** The public id of the session, if it has one yet. To ask for it is no use of the session. */
  readonly id?: Key | undefined
  /** Whose it is, where several session middlewares serve one request. */
  readonly owner?: object | undefined
  /** The holder of the middleware around this one. */
  readonly outer?: Holder | undefined
  /** Called right before the head of the response leaves, whoever sends it. */
  completeHead?(): void
}

const HOLDER = Symbol('koa-server-session.holder')

// Holds the Koa context of the request, or a stand-in for it outside of one; the holder hangs on it.
export const storage: AsyncLocalStorage<object> = new AsyncLocalStorage()

/**
 * The session of the request in which this is called, wherever in its call tree: in services, timers, body streams,
 * listeners of the response. With several session middlewares, the innermost one's.
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

/** Throws what `getSession` throws where there is none. */
export function noSessionHere(): never {
  throw new SessionError(
    'ERR_SESSION_NO_CONTEXT',
    'There is no session here. Either this runs outside of a request (a job, a script: use runWithSession), or before ' +
      'the session middleware or in a request that it skips, or in a callback of something that was made outside of the ' +
      'request, such as a connection pool (wrap that callback with bindSession).',
  )
}

/**
 * The same as `getSession`, but `undefined` if there is no session. Throws `ERR_SESSION_STORE_UNAVAILABLE` if the session
 * could not be loaded.
 */
export function tryGetSession(): Session | undefined {
  return currentHolder()?.session
}

/**
 * The public id of the session of the request in which this is called, for logs and traces. Unlike `getSession().id` it
 * never throws, not even while the store is down. It does not count as using the session, so logging it adds no
 * `Vary: Cookie`. With several session middlewares, the innermost one's.
 *
 * `undefined` if there is no session, or a new one that nobody has used so far.
 */
export function tryGetSessionId(): Key | undefined {
  return currentHolder()?.id
}

/**
 * Binds a function to the session of the place where `bindSession` is called. The bound function takes the same `this` and
 * arguments, and `getSession()` in it finds that session whoever calls it. Call `bindSession` in the visitor's request:
 *
 * ```ts
 * app.on('news', bindSession((text) => console.log(getSession().userId, 'hears', text)))
 * ```
 */
export function bindSession<This, Arguments extends unknown[], Result>(
  fn: (this: This, ...args: Arguments) => Result,
): (this: This, ...args: Arguments) => Result {
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
 */
export function runWithSession<Result>(session: Session, fn: () => Result): Result {
  return storage.run({ [HOLDER]: { session, id: session.id, owner: ownerOf(session) } }, fn)
}

/** Makes `holder` the one that `getSession()` and `ctx.session` find in this request from here on. */
export function enter(ctx: Koa.Context, holder: Holder): void {
  ;(ctx as { [HOLDER]?: Holder })[HOLDER] = holder
}

/** The innermost holder of this request, or the one of this owner; `undefined` if that middleware has not seen it. */
export function holderOf(ctx: object | undefined, owner?: object): Holder | undefined {
  const place: { [HOLDER]?: Holder } | undefined = ctx
  let holder = place?.[HOLDER]
  while (owner && holder && holder.owner !== owner) holder = holder.outer
  return holder
}

/** The holder of the place where this is called. */
export function currentHolder(owner?: object): Holder | undefined {
  return holderOf(storage.getStore(), owner)
}
