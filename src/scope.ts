import { AsyncLocalStorage } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import type Koa from 'koa'
import { SessionError } from './errors.ts'
import { ownerOf } from './session.ts'
import type { Session } from './types.ts'
import type { Key } from './units.ts'

/** Where the session of one request is found; `regenerate` swaps the session inside. */
export interface Holder {
  readonly session: Session
  /** The public id of the session, if it has one yet. To ask for it is no use of the session. */
  readonly id?: Key | undefined
  /** Whose it is, where several session middlewares serve one request. */
  readonly owner?: object | undefined
  /** The holder of the middleware around this one. */
  readonly outer?: Holder | undefined
}

const HOLDER = Symbol('koa-server-session.holder')
const INSTALLED = Symbol('koa-server-session.installed')

// Holds the Koa context of the request, or a stand-in for it outside of one; the holder hangs on it.
const storage = new AsyncLocalStorage<object>()

/**
 * The session of the request in which this is called, wherever in its call tree: in services, timers, body streams,
 * listeners of the response. With several session middlewares, the innermost one's.
 *
 * Throws `ERR_SESSION_NO_CONTEXT` outside of a request, and `ERR_SESSION_STORE_UNAVAILABLE` if it could not be loaded.
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

/** The same, but `undefined` where `getSession` throws `ERR_SESSION_NO_CONTEXT`. */
export function tryGetSession(): Session | undefined {
  return currentHolder()?.session
}

/**
 * The public id of the session of the request in which this is called, for logs and traces. Unlike `getSession().id` it
 * never throws, not even while the store is down, and it is no use of the session: who only logs it leaves a response
 * that caches may share. With several session middlewares, the innermost one's.
 *
 * `undefined` where there is no session, or a new one that nobody has used so far.
 */
export function tryGetSessionId(): Key | undefined {
  return currentHolder()?.id
}

/** The function, bound to the session of the place where it is bound: for callbacks that are called from elsewhere. */
export function bindSession<This, Arguments extends unknown[], Result>(
  fn: (this: This, ...args: Arguments) => Result,
): (this: This, ...args: Arguments) => Result {
  const place = storage.getStore()
  return function (this: This, ...args: Arguments): Result {
    return storage.run(place as object, () => fn.apply(this, args))
  }
}

/**
 * Runs `fn` so that `getSession()` finds this session in it, and so does the `get()` of its own middleware: for jobs,
 * message handlers and tests.
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

/** Runs the rest of the request inside its context. */
export function runInContext(ctx: Koa.Context, next: () => Promise<unknown>): Promise<unknown> {
  install(ctx.app)
  return storage.getStore() === ctx ? next() : runLate(ctx, next)
}

/**
 * From now on the application handles its requests inside their context. Koa writes the body, emits errors and ends the
 * response after the last middleware, so a context that only surrounds `next()` would miss body streams, 'finish' and
 * the application's errors. Once per application.
 */
function install(app: Koa & { [INSTALLED]?: true; handleRequest?: HandleRequest }): void {
  if (app[INSTALLED] || typeof app.handleRequest !== 'function') return
  app[INSTALLED] = true
  const { handleRequest } = app
  app.handleRequest = function (this: Koa, ctx: Koa.Context, handler: unknown): unknown {
    bindEvents(ctx)
    return storage.run(ctx, () => handleRequest.call(this, ctx, handler))
  }
}

type HandleRequest = (this: Koa, ctx: Koa.Context, handler: unknown) => unknown

/** What Node emits of this request, it emits in the context of the socket or of another request. */
function bindEvents(ctx: Koa.Context): void {
  const { req, res } = ctx
  // A pipelined response is flushed inside the context of the response before it.
  bindEmit(ctx, res, isOfResponse)
  // Parsers of bodies that call back go on from these: multer, Express's, all that koa-connect brings.
  if (req.method !== 'GET' && req.method !== 'HEAD') bindEmit(ctx, req, always)
}

const isOfResponse = (event: string): boolean =>
  event === 'finish' || event === 'close' || event === 'drain' || event === 'error'
const always = (): boolean => true

function bindEmit(ctx: Koa.Context, emitter: EventEmitter, isBound: (event: string) => boolean): void {
  const { emit } = emitter
  // Not written where it is assigned to the property: V8 allocates such a function as old, and from there it keeps the
  // whole request alive until a full collection.
  const bound = function (this: EventEmitter, event: string, ...args: unknown[]): boolean {
    // Most are emitted in place already.
    const isElsewhere = isBound(event) && storage.getStore() !== ctx
    return isElsewhere ? storage.run(ctx, () => emit.call(this, event, ...args)) : emit.call(this, event, ...args)
  }
  emitter.emit = bound
}

/**
 * For the requests that were on their way when `install` ran, the application's first one at least. Koa reads
 * `ctx.respond` just before it writes the body, and calls `ctx.onerror` for what went wrong: the context is entered there.
 */
function runLate(ctx: Koa.Context, next: () => Promise<unknown>): Promise<unknown> {
  bindEvents(ctx)
  const { onerror } = ctx
  let { respond } = ctx
  let isSettled = false
  ctx.onerror = (error: Error): void => storage.run(ctx, () => onerror.call(ctx, error))
  Object.defineProperty(ctx, 'respond', {
    configurable: true,
    enumerable: true,
    get() {
      // Only in Koa's own promise job, where it leaks into nothing else.
      if (isSettled) storage.enterWith(ctx)
      return respond
    },
    set(value: boolean) {
      respond = value
    },
  })
  return storage.run(ctx, next).finally(() => {
    isSettled = true
    bindBody(ctx)
  })
}

/** A middleware above may read the body before Koa does, as koa-compress: its stream is read inside the context all the same. */
function bindBody(ctx: Koa.Context): void {
  const body = ctx.body as (EventEmitter & { _read?: (size: number) => void }) | null | undefined
  const read = body?._read
  if (!body || typeof read !== 'function') return
  body._read = (size) => storage.run(ctx, () => read.call(body, size))
  bindEmit(ctx, body, always)
}
