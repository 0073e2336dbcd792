import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import mount from 'koa-mount'
import { getSession, memoryStore, session, type SessionOptions, type Sessions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { KEY, sessionOf, type AnySession } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

/** A shop, and in it an application of its own for those who run it: with its own session middleware, cookie and store. */
async function shopWithAdmin(
  test: TestContext,
  adminOptions: SessionOptions = {},
): Promise<CompanionSite & { admin: Sessions }> {
  const admin = session({
    keys: [KEY],
    store: 'memory:',
    property: 'admin',
    cookie: { name: 'admin' },
    ...adminOptions,
  })
  test.after(() => admin.close())
  const site = await companionSite(test, {}, (app, shop) => {
    const inner = new Koa()
    inner.use(admin)
    inner.use((ctx) => {
      const [customer, clerk] = [shop.get() as AnySession, admin.get() as AnySession]
      assert.equal((ctx as unknown as { admin: AnySession }).admin, clerk)
      assert.equal(ctx.session, customer)
      assert.equal(getSession(), customer)
      clerk['visits'] = Number(clerk['visits'] ?? 0) + 1
      customer['was watched'] = true
      ctx.body = { path: ctx.path, clerk, customer }
    })
    app.use(shop)
    app.use(mount('/admin', inner))
    app.use((ctx) => {
      sessionOf(ctx)['visits'] = Number(sessionOf(ctx)['visits'] ?? 0) + 1
      ctx.body = { ...ctx.session }
    })
  })
  return { ...site, admin }
}

describe('koa-mount', () => {
  it('an inner application with a session middleware of its own has both sessions, each with its cookie', async (test) => {
    const { visitor } = await shopWithAdmin(test)
    const ada = visitor()
    await ada.visit('/')
    assert.deepEqual([...ada.cookies.keys()], ['sid'])
    await ada.visit('/admin/orders')
    assert.deepEqual([...ada.cookies.keys()], ['sid', 'admin'])
    assert.deepEqual(JSON.parse((await ada.visit('/admin/orders')).text), {
      path: '/orders',
      clerk: { visits: 2 },
      customer: { visits: 1, 'was watched': true },
    })
    assert.deepEqual(JSON.parse((await ada.visit('/')).text), { visits: 2, 'was watched': true })
  })

  it('sends both cookies with one answer', async (test) => {
    const { visitor } = await shopWithAdmin(test)
    const page = await visitor().visit('/admin')
    assert.deepEqual(page.cookies.map((cookie) => cookie.split('=')[0]).toSorted(), ['admin', 'sid'])
    assert.equal(page.headers.vary, 'Cookie')
  })

  it('a logout inside leaves the session outside alone', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor, admin } = await shopWithAdmin(test, { store })
    const ada = visitor()
    await ada.visit('/')
    await ada.visit('/admin')
    const [key = ''] = await keysOf(store)
    assert.equal(await admin.revoke(key), true)
    assert.deepEqual(JSON.parse((await ada.visit('/admin')).text).clerk, { visits: 1 })
    assert.equal(JSON.parse((await ada.visit('/')).text).visits, 2)
  })

  it('the inner cookie may be bound to the path at which the application is mounted', async (test) => {
    const { visitor } = await shopWithAdmin(test, { cookie: { name: 'admin', path: '/admin' } })
    const page = await visitor().visit('/admin')
    assert.match(page.cookies.find((cookie) => cookie.startsWith('admin=')) ?? '', /; Path=\/admin;/)
  })

  it('an inner application that is written to stand alone has its own ctx.session, if the outer session skips it', async (test) => {
    const options = { keys: [KEY], store: 'memory:' }
    const [shop, admin] = [
      session({ ...options, skip: (ctx) => ctx.path.startsWith('/admin') }),
      session({ ...options, cookie: { name: 'admin', path: '/admin' } }),
    ]
    test.after(() => Promise.all([shop.close(), admin.close()]))
    const count: Koa.Middleware = (ctx) => {
      sessionOf(ctx)['visits'] = Number(sessionOf(ctx)['visits'] ?? 0) + 1
      ctx.body = `${ctx.path} ${String(sessionOf(ctx)['visits'])}`
    }
    const { visitor } = await companionSite(test, {}, (app) => {
      app
        .use(shop)
        .use(mount('/admin', new Koa().use(admin).use(count)))
        .use(count)
    })
    const ada = visitor()
    const pages = []
    for (const path of ['/', '/admin/x', '/', '/admin/x']) pages.push((await ada.visit(path)).text)
    assert.deepEqual(pages, ['/ 1', '/x 1', '/ 2', '/x 2'])
    assert.deepEqual([...ada.cookies.keys()], ['sid', 'admin'])
  })

  it('an inner application without a session middleware has the outer session, in its body streams too', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      const inner = new Koa()
      inner.use((ctx) => {
        sessionOf(ctx)['seen'] = ctx.path
        ctx.body = new Response(
          new ReadableStream({
            pull(controller) {
              controller.enqueue(Buffer.from(String((getSession() as AnySession)['seen'])))
              controller.close()
            },
          }),
        )
      })
      app.use(sessions).use(mount('/inner', inner))
    })
    assert.equal((await visitor().visit('/inner/page')).text, '/page')
  })

  it('an inner application may be the only one with sessions, although its own handleRequest never runs', async (test) => {
    const inner = new Koa()
    let isRun = false
    ;(inner as unknown as { handleRequest: () => void }).handleRequest = () => {
      isRun = true
    }
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      inner.use(sessions)
      inner.use((ctx) => {
        sessionOf(ctx)['visits'] = Number(sessionOf(ctx)['visits'] ?? 0) + 1
        ctx.body = String(sessionOf(ctx)['visits'])
      })
      app.use(mount('/inner', inner))
      app.use((ctx) => {
        ctx.body = String(ctx.session)
      })
    })
    const ada = visitor()
    assert.equal((await ada.visit('/')).text, 'undefined')
    await ada.visit('/inner')
    assert.equal((await ada.visit('/inner')).text, '2')
    assert.equal((await ada.visit('/')).text, 'undefined')
    assert.equal(isRun, false)
  })

  it('has no use for the keys of the inner application, and says where to put them', async (test) => {
    const { visitor, errors } = await companionSite(test, {}, (app) => {
      const inner = new Koa({ keys: [KEY] })
      inner.use(session({ store: 'memory:' })).use((ctx) => {
        ctx.body = ''
      })
      app.use(mount('/inner', inner))
    })
    assert.equal((await visitor().visit('/inner')).status, 500)
    assert.equal(errors[0]?.code, 'ERR_SESSION_OPTION')
    assert.match(errors[0]?.message ?? '', /Pass session\(\{ keys.*outermost application/)
  })
})
