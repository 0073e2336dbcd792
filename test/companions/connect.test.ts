import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import type Koa from 'koa'
import connect from 'koa-connect'
import { bindSession, getSession, memoryStore, tryGetSession, type SessionCallback } from '../../src/index.ts'
import { companionSite } from '../support/sites/companion-site.ts'
import { currentSession, sessionOf } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

/** The request as code written for Express knows it. */
interface ConnectRequest extends IncomingMessage {
  session?: Record<string, unknown> & {
    save(callback: SessionCallback): void
    reload(callback: SessionCallback): void
    regenerate(callback: SessionCallback): void
    destroy(callback: SessionCallback): void
  }
}
type Next = (error?: unknown) => void

/**
 * How an application lends its session to such code: a property of the request that is always the session of now, also
 * after a regenerate, and that may be set to null.
 */
const bridge: Koa.Middleware = (ctx, next) => {
  Object.defineProperty(ctx.req, 'session', {
    get: () => ctx.session,
    set(data: object | null) {
      ctx.session = data
    },
  })
  return next()
}

function countViews(req: ConnectRequest, _res: ServerResponse, next: Next): void {
  const { session } = req
  if (!session) return next(new Error('no session'))
  session['views'] = Number(session['views'] ?? 0) + 1
  next()
}

function signIn(req: ConnectRequest, _res: ServerResponse, next: Next): void {
  req.session?.regenerate((error) => {
    if (error) return next(error)
    if (req.session) req.session['user'] = 'ada'
    req.session?.save(next)
  })
}

function signOut(req: ConnectRequest, _res: ServerResponse, next: Next): void {
  req.session?.destroy(next)
}

/** Answers by itself, as most code of Express does. */
function answerItself(req: ConnectRequest, res: ServerResponse, _next: Next): void {
  if (req.session) req.session['answered'] = true
  req.session?.save((error) => {
    res.statusCode = error ? 500 : 200
    res.end('from Express')
  })
}

const SHOW: Koa.Middleware = (ctx) => {
  ctx.body = { ...ctx.session }
}

function behindPath(path: string, middleware: Koa.Middleware): Koa.Middleware {
  return (ctx, next) => (ctx.path === path ? middleware(ctx, next) : next())
}

describe('koa-connect: code of Express that uses req.session', () => {
  it('counts views in the session of Koa', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) =>
      app.use(sessions).use(bridge).use(connect(countViews)).use(SHOW),
    )
    const ada = visitor()
    await ada.visit('/')
    assert.deepEqual(JSON.parse((await ada.visit('/')).text), { views: 2 })
  })

  it('signs in and out with callbacks; req.session is the new session after regenerate', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await companionSite(test, { store }, (app, sessions) => {
      app.use(sessions)
      app.use(bridge)
      app.use(behindPath('/in', connect(signIn)))
      app.use(behindPath('/out', connect(signOut)))
      app.use(SHOW)
    })
    const ada = visitor()
    assert.deepEqual(JSON.parse((await ada.visit('/in')).text), { user: 'ada' })
    assert.deepEqual(JSON.parse((await ada.visit('/')).text), { user: 'ada' })
    await ada.visit('/out')
    assert.deepEqual([ada.cookies.size, await keysOf(store)], [0, []])
  })

  it('ends the session with req.session = null, and begins another with an object', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions).use(bridge)
      app.use((ctx) => {
        const req = ctx.req as { session?: unknown }
        if (ctx.path === '/begin') req.session = { step: 1 }
        if (ctx.path === '/end') req.session = null
        ctx.body = { ...sessionOf(ctx) }
      })
    })
    const ada = visitor()
    assert.deepEqual(JSON.parse((await ada.visit('/begin')).text), { step: 1 })
    await ada.visit('/end')
    assert.deepEqual([JSON.parse((await ada.visit('/')).text), ada.cookies.size], [{}, 0])
  })

  it('may answer by itself, once it has saved', async (test) => {
    const { visitor, errors } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions).use(bridge)
      app.use(
        behindPath('/express', (ctx) => {
          ctx.respond = false
          answerItself(ctx.req, ctx.res, () => {})
        }),
      )
      app.use(SHOW)
    })
    const ada = visitor()
    assert.equal((await ada.visit('/express')).text, 'from Express')
    assert.deepEqual(JSON.parse((await ada.visit('/')).text), { answered: true })
    assert.deepEqual(errors, [])
  })

  it('finds getSession() in its callbacks and after them', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions).use(bridge)
      app.use(connect((_req, _res, next) => getSession().save(() => setImmediate(next))))
      app.use((ctx) => {
        currentSession()['found'] = true
        ctx.body = { ...ctx.session }
      })
    })
    assert.deepEqual(JSON.parse((await visitor().visit('/')).text), { found: true })
  })

  it('that goes on when the body has been read finds getSession() too', async (test) => {
    const readBody = (req: IncomingMessage, _res: ServerResponse, next: Next): void => {
      req.on('data', () => {}).on('end', () => next())
    }
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions).use(connect(readBody))
      app.use((ctx) => {
        ctx.body = String(tryGetSession() === ctx.session)
      })
    })
    assert.equal((await visitor().post('/', { any: 'field' })).text, 'true')
  })

  it('that calls on from a pool of its own is given a next() that is bound', async (test) => {
    const pool: Next[] = []
    // Made outside of any request, so what it calls has no session of its own.
    const worker = setInterval(() => {
      for (const next of pool.splice(0)) next()
    }, 1)
    test.after(() => clearInterval(worker))
    const pooled = connect((_req, _res, next) => void pool.push(next))
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions)
      app.use((ctx, next) => pooled(ctx, bindSession(next)))
      app.use((ctx) => {
        ctx.body = String(tryGetSession() === ctx.session)
      })
    })
    assert.equal((await visitor().visit('/')).text, 'true')
  })
})
