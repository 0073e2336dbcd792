import { EventEmitter, once } from 'node:events'
import { createReadStream, readFile } from 'node:fs'
import { Readable, Transform } from 'node:stream'
import { setTimeout as after } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import Koa from 'koa'
import { session, tryGetSession } from '../../../src/index.ts'
import { Agent, KEY, serve, sessionOf, type AnySession } from './http.ts'

/** Whose session was found at each place of one request; `undefined` where there was none. */
export type Seen = { place: string; who: string | undefined }[]

export interface PlacesSite {
  readonly port: number
  /** By the request's own number, `?n=`. */
  readonly seen: Map<string, Seen>
  /** Resolves when so many requests have come to their end. */
  ended(count: number): Promise<void>
  /** Visitors who have signed in, each under a name of his own. */
  visitors(count: number): Promise<{ who: string; browser: Agent }[]>
}

export interface PlacesOptions {
  /** The application, if it is not a plain one. */
  readonly app?: Koa
  /** What stands before the session middleware. */
  readonly before?: Koa.Middleware
  /** Puts the middlewares somewhere else than directly into the application. */
  readonly mount?: (app: Koa, middlewares: Koa.Middleware[]) => void
}

/** How a handler answers; each notes the places that only it has. */
const BODIES: Record<string, (ctx: Koa.Context, note: (place: string) => void) => unknown> = {
  text: () => 'text',
  generator: (_, note) =>
    Readable.from(
      (async function* () {
        note('generator: start')
        yield 'one'
        await after(1)
        note('generator: after an await')
        yield 'two'
      })(),
    ),
  read: (_, note) => {
    let count = 0
    return new Readable({
      read() {
        note('_read')
        this.push(count++ < 3 ? 'piece' : null)
      },
      destroy(error, callback) {
        note('_destroy')
        callback(error)
      },
    })
  },
  web: (_, note) => {
    let count = 0
    return new ReadableStream({
      async pull(controller) {
        note('web stream: pull')
        await after(1)
        note('web stream: after an await')
        if (count++ < 2) controller.enqueue(Buffer.from('piece'))
        else controller.close()
      },
    })
  },
  response: (_, note) =>
    new Response(
      new ReadableStream({
        pull(controller) {
          note('Response: pull')
          controller.enqueue(Buffer.from('all'))
          controller.close()
        },
      }),
    ),
  transform: (_, note) =>
    Readable.from(['a', 'b']).pipe(
      new Transform({
        transform(piece, _encoding, callback) {
          note('transform')
          callback(null, piece)
        },
      }),
    ),
  file: (_, note) =>
    createReadStream(import.meta.filename)
      .on('open', () => note('file: open'))
      .on('end', () => note('file: end')),
  big: (_, note) =>
    Readable.from(
      (function* () {
        for (let index = 0; index < 30; index++) {
          note(`big: piece ${index}`)
          yield Buffer.alloc(65_536, 'x')
        }
      })(),
    ),
  throw: (ctx) => ctx.throw(418),
  fail: () => {
    throw new Error('as it happens')
  },
  broken: (_, note) =>
    Readable.from(
      (async function* () {
        note('broken: start')
        yield 'one'
        await after(1)
        throw new Error('the stream broke')
      })(),
    ),
}

export const KINDS: string[] = Object.keys(BODIES)

/**
 * A site whose handler looks for its session at every place that there is in one request. Paths: `/in?who=` signs in,
 * `/<kind>?n=` is a request with a session, `/skip/<kind>?n=` one that the session middleware skips.
 */
export async function placesSite(
  test: TestContext,
  { app = new Koa(), before, mount }: PlacesOptions = {},
): Promise<PlacesSite> {
  const seen = new Map<string, Seen>()
  const ends = new EventEmitter()
  let endCount = 0

  function noteOf(ctx: Koa.Context): (place: string) => void {
    const number = String(ctx.query['n'])
    const notes: Seen = seen.get(number) ?? []
    seen.set(number, notes)
    return (place) =>
      notes.push({ place, who: (tryGetSession() as AnySession | undefined)?.['who'] as string | undefined })
  }

  app.on('error', (_error, ctx) => ctx && noteOf(ctx)("the application's 'error'"))
  if (before) app.use(before)
  const sessions = session({ keys: [KEY], store: 'memory:', skip: (ctx) => ctx.path.startsWith('/skip') })
  test.after(() => sessions.close())
  const middlewares: Koa.Middleware[] = [
    sessions,
    async (ctx, next) => {
      if (ctx.path !== '/in') return next()
      sessionOf(ctx)['who'] = ctx.query['who']
      ctx.body = ''
    },
    async (ctx, next) => {
      const note = noteOf(ctx)
      ctx.res.on('finish', () => note("the response's 'finish'"))
      ctx.res.on('close', () => {
        note("the response's 'close'")
        endCount++
        ends.emit('end')
      })
      try {
        await next()
      } finally {
        note('upstream, after next()')
      }
    },
    async (ctx) => {
      const note = noteOf(ctx)
      note('the handler')
      const emitter = new EventEmitter().on('event', () => note('a synchronous listener'))
      emitter.emit('event')
      queueMicrotask(() => note('queueMicrotask'))
      process.nextTick(() => note('nextTick'))
      setImmediate(() => note('setImmediate'))
      setTimeout(() => note('setTimeout'), 0)
      await new Promise<void>((resolve) =>
        readFile(import.meta.filename, () => {
          note('a callback of fs')
          resolve()
        }),
      )
      await after(1)
      note('after awaits')
      const kind = ctx.path.split('/').at(-1) as string
      ctx.body = await BODIES[kind]?.(ctx, note)
    },
  ]
  if (mount) mount(app, middlewares)
  else for (const middleware of middlewares) app.use(middleware)
  const { port } = await serve(test, app)

  return {
    port,
    seen,
    async ended(count) {
      while (endCount < count) await once(ends, 'end')
    },
    visitors: (count) =>
      Promise.all(
        Array.from({ length: count }, async (_, index) => {
          const browser = new Agent(port)
          await browser.get(`/in?who=visitor${index}`)
          return { who: `visitor${index}`, browser }
        }),
      ),
  }
}
