import type { TestContext } from 'node:test'
import Koa from 'koa'
import { session, type SessionOptions, type Sessions } from '../../../src/index.ts'
import { currentSession, KEY, serve, sessionOf } from './http.ts'

interface Gate {
  readonly arrived: PromiseWithResolvers<void>
  readonly opened: PromiseWithResolvers<void>
}

/**
 * A small site on which the guarantees are tried, the same in the test's process and in processes of their own. Slow
 * requests wait at a gate, so that a test decides what happens in which order without a sleep:
 * `/write?gate=a&…` waits there with its session loaded, `/arrived?gate=a` answers once it does, `/open?gate=a` lets it go.
 */
export function testSite(options: SessionOptions): { app: Koa; sessions: Sessions } {
  const app = new Koa()
  app.silent = true
  const sessions = session(options)
  const gates = new Map<string, Gate>()

  function gateOf(name: string): Gate {
    const gate = gates.get(name) ?? { arrived: deferred(), opened: deferred() }
    gates.set(name, gate)
    return gate
  }

  const routes: Record<string, (ctx: Koa.Context, query: Record<string, string>) => unknown> = {
    '/arrived': async (_, { gate = '' }) => gateOf(gate).arrived.promise,
    '/open': (_, { gate = '' }) => {
      gateOf(gate).opened.resolve()
      gates.delete(gate)
    },
    '/stats': () => sessions.stats(),
    '/plain': () => 'no session needed',
    '/read': (ctx) => ({ ...ctx.session }),
    '/write': (ctx, { key = '', value }) => {
      sessionOf(ctx)[key] = value
    },
    '/delete': (ctx, { key = '' }) => {
      delete sessionOf(ctx)[key]
    },
    '/increment': (_, { key = '' }) =>
      currentSession().update((fresh) => {
        const count = Number(fresh[key] ?? 0) + 1
        fresh[key] = count
        return count
      }),
    '/save': async (ctx, { key = '', value }) => {
      sessionOf(ctx)[key] = value
      await ctx.session.save()
    },
    '/login': async (ctx, { user, keep }) => {
      await sessionOf(ctx).regenerate(keep === undefined ? {} : { keep: [keep] })
      sessionOf(ctx)['user'] = user
    },
    '/sign-in': async (ctx, { user = '', max, over }) => {
      await ctx.session.regenerate()
      if (max === undefined) return ctx.session.identify(user)
      await ctx.session.identify(user, { max: Number(max), over: over as 'refuse' })
      sessionOf(ctx)['user'] = user
    },
    '/devices': async (_, { user = '' }) => (await sessions.list(user)).map(({ id }) => id),
    '/revoke-all': (_, { user = '' }) => sessions.revokeAll(user),
    '/is-new': (ctx) => ctx.session.isNew,
    '/rotate': (ctx) => ctx.session.regenerate({ keep: true }),
    '/remember': (ctx) => ctx.session.remember({ idleTimeout: 86_400_000 }),
    '/flash': (ctx, { value }) => ctx.session.flash('note', value),
    // What goes wrong, in each of the ways that the library has a word for.
    '/throw': (ctx) => ctx.throw(500),
    '/unstorable': (ctx, { value = '' }) => {
      sessionOf(ctx)['card'] = new Map([[value, { [value]: () => value }]])
    },
    '/too-large': (ctx, { value = '' }) => {
      sessionOf(ctx)['big'] = value.repeat(100_000)
    },
    '/reserved': (ctx, { value }) => {
      sessionOf(ctx)['save' as string] = value
    },
    '/ended': async (ctx, { value }) => {
      const session = sessionOf(ctx)
      await session.regenerate()
      session['user'] = value
    },
    '/after': (ctx, { value }) => {
      const session = sessionOf(ctx)
      ctx.res.once('finish', () => (session['late'] = value))
    },
    '/log': (ctx) => console.log(ctx.session, `${String(ctx.session)} ${ctx.session.id}`),
    '/logout': (ctx) => ctx.session.destroy(),
  }

  app.use(async (ctx, next) => {
    // Gates are opened by requests that have no business with a session.
    if (ctx.path === '/arrived' || ctx.path === '/open' || ctx.path === '/stats') return answer(ctx)
    return next()
  })
  app.use(sessions)
  app.use(async (ctx) => {
    const { gate } = ctx.query as Record<string, string>
    if (gate !== undefined) {
      const { arrived, opened } = gateOf(gate)
      arrived.resolve()
      await opened.promise
    }
    await answer(ctx)
  })

  async function answer(ctx: Koa.Context): Promise<void> {
    const route = routes[ctx.path]
    if (!route) ctx.throw(404)
    const result: unknown = await route(ctx, ctx.query as Record<string, string>)
    ctx.body = { result: result ?? null, pid: process.pid }
  }

  return { app, sessions }
}

/** The test site in this process; resolves to its port. */
export async function startHere(test: Pick<TestContext, 'after'>, options: SessionOptions): Promise<number> {
  const { app, sessions } = testSite({ keys: [KEY], ...options })
  const { port } = await serve(test, app)
  test.after(() => sessions.close())
  return port
}

function deferred(): PromiseWithResolvers<void> {
  let resolve!: () => void
  let reject!: () => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
