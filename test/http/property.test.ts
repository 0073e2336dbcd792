import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import mount from 'koa-mount'
import { getSession, session, type SessionOptions, type Sessions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { KEY, type AnySession } from '../support/sites/http.ts'
import { collectWarnings } from '../support/warnings.ts'

const EMPTY: Koa.Middleware = (ctx) => {
  ctx.body = ''
}

/** Counts the visits in this property of `ctx`. */
function count(property: string): Koa.Middleware {
  return (ctx) => {
    const visitor = (ctx as unknown as Record<string, AnySession>)[property] as AnySession
    visitor['visits'] = Number(visitor['visits'] ?? 0) + 1
    ctx.body = String(visitor['visits'])
  }
}

function another(test: TestContext, options: SessionOptions): Sessions {
  const sessions = session({ keys: [KEY], store: 'memory:', ...options })
  test.after(() => sessions.close())
  return sessions
}

/** What visits to these paths gave, each by the same visitor. */
async function pagesOf({ visitor }: CompanionSite, ...paths: string[]): Promise<string[]> {
  const ada = visitor()
  const pages: string[] = []
  for (const path of paths) pages.push((await ada.visit(path)).text)
  return pages
}

describe('session({ property })', () => {
  it('is that property of ctx, and leaves ctx.session and getSession() to others', async (test) => {
    const site = await companionSite(test, { property: 'visitor' }, (app, sessions) =>
      app.use(sessions).use(count('visitor')),
    )
    assert.deepEqual(await pagesOf(site, '/', '/'), ['1', '2'])
    const seen: unknown[] = []
    const other = await companionSite(test, { property: 'visitor' }, (app, sessions) =>
      app.use(sessions).use((ctx) => {
        seen.push(ctx.session, 'visitor' in ctx)
        assert.throws(() => getSession(), {
          code: 'ERR_SESSION_NO_CONTEXT',
          message: /no ctx\.session here.*ctx\.visitor.*sessions\.get\(\)/,
        })
        ctx.body = ''
      }),
    )
    await pagesOf(other, '/')
    assert.deepEqual([seen, other.errors], [[undefined, true], []])
  })

  it('set to null ends that session, and set to an object replaces its data', async (test) => {
    const site = await companionSite(test, { property: 'visitor' }, (app, sessions) => {
      app.use(sessions)
      app.use((ctx) => {
        const own = ctx as unknown as { visitor: AnySession | object | null }
        if (ctx.path === '/set') own.visitor = { name: 'ada' }
        if (ctx.path === '/end') own.visitor = null
        ctx.body = JSON.stringify(sessions.get())
      })
    })
    assert.deepEqual(await pagesOf(site, '/set', '/', '/end', '/'), ['{"name":"ada"}', '{"name":"ada"}', '{}', '{}'])
  })

  it('outside of a request names itself in the error of get()', async (test) => {
    const admin = another(test, { property: 'admin' })
    assert.throws(() => admin.get(), {
      code: 'ERR_SESSION_NO_CONTEXT',
      message: /^There is no session here \(ctx\.admin\)\./,
    })
  })
})

describe('two session middlewares in one request', () => {
  const twins: [title: string, options: SessionOptions, said: RegExp][] = [
    [
      'with one property',
      { cookie: { name: 'admin' } },
      /both are ctx\.session\. Give the second one a name of its own, session\(\{ property: 'admin'.*skip/,
    ],
    ['with one cookie', { property: 'admin' }, /both have the cookie 'sid'.*cookie: \{ name: 'admin' \}/],
  ]
  for (const [title, options, said] of twins) {
    it(`${title} are refused, with what to write`, async (test) => {
      const { visitor, errors } = await companionSite(test, {}, (app, sessions) => {
        app
          .use(sessions)
          .use(mount('/admin', new Koa().use(another(test, options)).use(EMPTY)))
          .use(count('session'))
      })
      assert.equal((await visitor().visit('/admin')).status, 500)
      assert.equal(errors[0]?.code, 'ERR_SESSION_OPTION')
      assert.match(errors[0]?.message ?? '', said)
      assert.equal((await visitor().visit('/')).text, '1')
    })
  }
})

describe('two session middlewares on two parts of an application', () => {
  const cases: [title: string, one: SessionOptions['cookie'], other: SessionOptions['cookie'], isTold: boolean][] = [
    ['with one cookie', {}, {}, true],
    ['with one cookie on paths inside each other', { path: '/shop' }, { path: '/shop/admin' }, true],
    ['with one cookie on a domain and its subdomain', { domain: 'example.com' }, { domain: 'shop.example.com' }, true],
    ['with one cookie on two paths', { path: '/shop' }, { path: '/shopping' }, false],
    ['with one cookie on two domains', { domain: 'example.com' }, { domain: 'notexample.com' }, false],
    ['with two cookies', { name: 'shop' }, { name: 'admin' }, false],
  ]
  for (const [title, one, other, isTold] of cases) {
    it(`${title} ${isTold ? 'are told, once' : 'are fine'}`, async (test) => {
      const warnings = await collectWarnings(test)
      const [first, second] = [another(test, { cookie: { ...one } }), another(test, { cookie: { ...other } })]
      const site = await companionSite(test, { skip: () => true }, (app) => {
        const part = (sessions: Sessions): Koa => new Koa().use(sessions).use(EMPTY)
        app
          .use(mount('/shop/admin', part(second)))
          .use(mount('/shopping', part(second)))
          .use(mount('/', part(first)))
      })
      await pagesOf(site, '/shop', '/shop/admin', '/shopping', '/shop', '/shop/admin')
      assert.deepEqual(
        (await warnings()).map(({ code }) => code),
        isTold ? ['SESSION_COOKIE_SHARED'] : [],
      )
      assert.deepEqual(site.errors, [])
    })
  }
})

describe('a property that other code has defined', () => {
  it('by koa-session, on another part of the site, keeps working there, and ours says what to do', async (test) => {
    const { visitor, errors } = await companionSite(test, {}, (app, sessions) => {
      // As koa-session's createSession(app) does.
      Object.defineProperties(app.context, {
        session: { get: () => ({ of: 'koa-session' }), configurable: true },
        sessionOptions: { get: () => ({}) },
      })
      const old = new Koa().use((ctx) => void (ctx.body = ctx.session))
      app.use(mount('/old', old)).use(sessions).use(EMPTY)
    })
    for (let round = 0; round < 2; round++) {
      assert.equal((await visitor().visit('/')).status, 500)
      assert.equal((await visitor().visit('/old')).text, '{"of":"koa-session"}')
    }
    assert.equal(errors.length, 2)
    for (const { code, message } of errors) {
      assert.equal(code, 'ERR_SESSION_OPTION')
      assert.match(message, /ctx\.session is taken by koa-session on this application\..*property: 'visitor'/)
    }
  })

  it('on the context of the request, or on that of the application, is refused', async (test) => {
    const { visitor, errors } = await companionSite(test, { property: 'user' }, (app, sessions) => {
      app.use(async (ctx, next) => {
        if (ctx.path === '/own') Object.assign(ctx, { user: 'ada' })
        if (ctx.path === '/all') Object.assign(app.context, { user: 'ada' })
        await next()
      })
      app.use(sessions).use(EMPTY)
    })
    assert.equal((await visitor().visit('/own')).status, 500)
    assert.equal((await visitor().visit('/')).status, 200)
    const elsewhere = await companionSite(test, { property: 'user' }, (app, sessions) => {
      Object.assign(app.context, { user: 'ada' })
      app.use(sessions).use(EMPTY)
    })
    assert.equal((await elsewhere.visitor().visit('/')).status, 500)
    for (const error of [...errors, ...elsewhere.errors])
      assert.match(error.message, /ctx\.user is taken by other code/)
    assert.deepEqual([errors.length, elsewhere.errors.length], [1, 1])
  })
})

describe('ctx.session above the session middleware', () => {
  it('is undefined, and a warning says once that something looked for a session too early', async (test) => {
    const warnings = await collectWarnings(test)
    const seen: unknown[] = []
    const site = await companionSite(test, { skip: (ctx) => ctx.path === '/skipped' }, (app, sessions) => {
      app.use(async (ctx, next) => {
        if (ctx.path === '/early') seen.push(ctx.session)
        await next()
        seen.push(typeof ctx.session)
      })
      app.use(sessions).use(EMPTY)
    })
    await pagesOf(site, '/', '/skipped', '/')
    assert.deepEqual([seen.splice(0), await warnings()], [['object', 'undefined', 'object'], []])
    await pagesOf(site, '/early', '/early')
    assert.deepEqual(seen, [undefined, 'object', undefined, 'object'])
    assert.deepEqual(
      (await warnings()).map(({ code }) => code),
      ['SESSION_READ_TOO_EARLY'],
    )
    assert.match((await warnings())[0]?.message ?? '', /ctx\.session was read.*app\.use\(session\(…\)\) above/)
  })

  it('is told of, too, if a router answers there and the session middleware is never reached', async (test) => {
    const warnings = await collectWarnings(test)
    const closed: Promise<unknown>[] = []
    const site = await companionSite(test, { property: 'visitor' }, (app, sessions) => {
      app.use(async (ctx, next) => {
        closed.push(once(ctx.res, 'close'))
        if (ctx.path !== '/me') return next()
        ctx.body = String((ctx as unknown as { visitor?: AnySession }).visitor?.['user'])
      })
      app.use(sessions).use(EMPTY)
    })
    assert.deepEqual(await pagesOf(site, '/me', '/'), ['undefined', ''])
    await Promise.all(closed)
    assert.deepEqual(await warnings(), [], 'before a first request has come through, the property is not defined')
    assert.deepEqual(await pagesOf(site, '/me', '/me'), ['undefined', 'undefined'])
    await Promise.all(closed)
    const [warning, ...more] = await warnings()
    assert.equal(warning?.code, 'SESSION_READ_TOO_EARLY')
    assert.match(warning?.message ?? '', /ctx\.visitor was read above.*routers included/)
    assert.deepEqual(more, [])
  })
})
