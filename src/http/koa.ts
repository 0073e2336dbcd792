import type { EventEmitter } from 'node:events'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type Koa from 'koa'
import { holderOf, storage } from './context.ts'
import { isSessionError } from '../errors.ts'
import { shared } from '../session/copies.ts'

/*
 * The methods of Koa's and Node's objects that are replaced, so that whatever runs after the last middleware runs in the
 * request's context too. Everything else only calls their methods; the property `ctx.session` is defined in property.ts.
 */

const INSTALLED: unique symbol = shared('installed', () => Symbol('koa-server-session.installed')) as never

/** Runs the rest of the request so that `getSession()` finds its session: in handlers, streams, events and errors. */
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
  answerAllTheSame(app)
  app.handleRequest = function (this: Koa, ctx: Koa.Context, handler: unknown): unknown {
    bindEvents(ctx)
    return storage.run(ctx, () => handleRequest.call(this, ctx, handler))
  }
}

/**
 * An error handler of the application's own may use the session. If the session refuses (nothing can be set any more once
 * it was saved for this request), Koa's own handler answers, so that the visitor does not wait for ever.
 */
function answerAllTheSame(app: Koa): void {
  const { context } = app
  if (!Object.hasOwn(context, 'onerror')) return
  const { onerror } = context
  const { onerror: ofKoa } = Object.getPrototypeOf(context) as Koa.Context
  const answer = async (ctx: Koa.Context, error: Error): Promise<void> => {
    try {
      // Koa's types know no handler that promises something; many applications have one.
      await (onerror.call(ctx, error) as unknown)
    } catch (failure) {
      if (!isSessionError(failure) || ctx.headerSent) throw failure
      ofKoa.call(ctx, failure)
    }
  }
  context.onerror = function (this: Koa.Context, error: Error): void {
    return answer(this, error) as unknown as void
  }
}

type HandleRequest = (this: Koa, ctx: Koa.Context, handler: unknown) => unknown

/** What Node emits of this request, it emits in the context of the socket or of another request. */
function bindEvents(ctx: Koa.Context): void {
  const { req, res } = ctx
  // A pipelined response is flushed inside the context of the response before it.
  bindEmit(ctx, res, isOfResponse)
  completeHead(ctx)
  if (req.httpVersionMajor === 1) setTimersOutside(req.socket)
  // Parsers of bodies that call back go on from these: multer, Express's, all that koa-connect brings.
  if (req.method !== 'GET' && req.method !== 'HEAD') bindEmit(ctx, req, always)
}

/**
 * A connection outlives its requests. Node sets the timer of an idle connection while a response ends, so in the context
 * of that request, and the timer would keep the request, with all that hangs on it, for as long as the connection is
 * open. Once per connection.
 */
function setTimersOutside(socket: Socket & { [INSTALLED]?: true }): void {
  if (socket[INSTALLED]) return
  socket[INSTALLED] = true
  const { setTimeout } = socket
  const outside: typeof setTimeout = function (this: Socket, length, listener) {
    // A listener of the handler's belongs to the request.
    return listener ? setTimeout.call(this, length, listener) : storage.exit(() => setTimeout.call(this, length))
  }
  socket.setTimeout = outside
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
    const isHeard = isElsewhere
      ? storage.run(ctx, () => emit.call(this, event, ...args))
      : emit.call(this, event, ...args)
    if ((event === 'finish' || event === 'close') && emitter === ctx.res) close(ctx)
    return isHeard
  }
  emitter.emit = bound
}

/** Tells the sessions of this request that its response has left, or will not. */
function close(ctx: Koa.Context): void {
  for (let holder = holderOf(ctx); holder; holder = holder.outer) holder.close?.()
}

/**
 * Every response passes through `writeHead`, also those that Koa sends for errors (after it removed all headers) and
 * those that handlers send by themselves. So that is where sessions say what they have to say in the head of a response,
 * and no other code's order matters.
 */
function completeHead(ctx: Koa.Context): void {
  const { res } = ctx
  const { writeHead } = res
  // Not written where it is assigned, as in bindEmit.
  const completing = function (this: typeof res, ...args: unknown[]): typeof res {
    let holder = this.headersSent ? undefined : holderOf(ctx)
    if (holder) setHeaders(this, args)
    for (; holder; holder = holder.outer) holder.completeHead?.()
    return Reflect.apply(writeHead, this, args) as typeof res
  }
  res.writeHead = completing
}

/** As `writeHead` itself does: what it is given replaces what was set. Node takes an object, a flat list, and pairs. */
function setHeaders(res: Koa.Context['res'], args: unknown[]): void {
  const headers = args.at(-1)
  if (typeof headers !== 'object' || headers === null) return
  args.pop()
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value as string)
    return
  }
  const flat = (Array.isArray(headers[0]) ? headers.flat() : headers) as unknown[]
  for (let index = 0; index < flat.length; index += 2) res.removeHeader(String(flat[index]))
  for (let index = 0; index < flat.length; index += 2) res.appendHeader(String(flat[index]), flat[index + 1] as string)
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
    // A copy of the context must not call the getter.
    enumerable: false,
    get() {
      // Only in Koa's own promise job, where the context leaks into nothing else; and only once, for the same reason.
      if (isSettled) {
        storage.enterWith(ctx)
        isSettled = false
      }
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

/** The status that Koa will answer this error with. Whatever is thrown and is no error is a 500, whatever status it has. */
export function statusOf(error: unknown): number {
  if (!(error instanceof Error) && Object.prototype.toString.call(error) !== '[object Error]') return 500
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown }
  const chosen = status || statusCode
  return typeof chosen === 'number' && chosen >= 400 && chosen in STATUS_CODES ? chosen : 500
}
