import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import KoaRouter from '@koa/router'
import OlderRouter from 'koa-router'
import { getSession, session, type Session } from '../../src/index.ts'
import { companionSite } from '../support/sites/companion-site.ts'
import { currentSession, KEY } from '../support/sites/http.ts'

interface Shelf {
  shelf?: string
  last?: string
}

// Both have the same words for it, and types of their own.
const ROUTERS: Record<string, () => InstanceType<typeof KoaRouter>> = {
  '@koa/router': () => new KoaRouter(),
  'koa-router': () => new OlderRouter() as never,
}

for (const [name, create] of Object.entries(ROUTERS)) {
  describe(name, () => {
    it('has the session in nested routers, with their params, and in router.use()', async (test) => {
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        const books = create()
        books.post('/:book', (ctx) => {
          const session: Session = ctx.session
          Object.assign(session, { last: `${ctx.params['shelf']}/${ctx.params['book']}` })
          ctx.status = 201
        })
        const shelves = create()
        shelves.use((_ctx, next) => {
          currentSession()['requests'] = Number(currentSession()['requests'] ?? 0) + 1
          return next()
        })
        shelves.use('/shelves/:shelf/books', books.routes())
        shelves.get('/', (ctx) => {
          ctx.body = { ...getSession() }
        })
        app.use(sessions).use(shelves.routes()).use(shelves.allowedMethods())
      })
      const ada = visitor()
      assert.equal((await ada.post('/shelves/poems/books/sonnets', {})).status, 201)
      assert.deepEqual(JSON.parse((await ada.visit('/')).text), { requests: 2, last: 'poems/sonnets' })
    })

    it('has the session in router.param()', async (test) => {
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        const router = create()
        router.param('id', async (id, _ctx, next) => {
          await Promise.resolve()
          currentSession()['id seen'] = id
          return next()
        })
        router.get('/:id', (ctx) => {
          ctx.body = { ...ctx.session }
        })
        app.use(sessions).use(router.routes())
      })
      assert.deepEqual(JSON.parse((await visitor().visit('/7')).text), { 'id seen': '7' })
    })

    it('may have a session middleware for some routes alone, with types of its own', async (test) => {
      const admin = session<Shelf>({ keys: [KEY], store: 'memory:', cookie: { name: 'admin' } })
      test.after(() => admin.close())
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        const router = create()
        router.get('/admin', admin, (ctx) => {
          admin.get().shelf = 'poems'
          ctx.body = { ...ctx.session }
        })
        router.get('/', sessions, (ctx) => {
          ctx.body = { ...ctx.session }
        })
        router.get('/none', (ctx) => {
          ctx.body = String(ctx.session)
        })
        app.use(router.routes())
      })
      const ada = visitor()
      assert.equal((await ada.visit('/none')).text, 'undefined')
      assert.deepEqual(JSON.parse((await ada.visit('/admin')).text), { shelf: 'poems' })
      assert.deepEqual([...ada.cookies.keys()], ['admin'])
      assert.deepEqual(JSON.parse((await ada.visit('/')).text), {})
      assert.equal((await ada.visit('/none')).text, 'undefined')
    })

    it('answers a route that does not exist with 404, and a method that is not allowed with 405, and no cookie', async (test) => {
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        const router = create()
        router.get('/', (ctx) => {
          ctx.body = ''
        })
        app.use(sessions).use(router.routes()).use(router.allowedMethods())
      })
      const stranger = visitor()
      assert.equal((await stranger.visit('/nowhere')).status, 404)
      assert.equal((await stranger.post('/', {})).status, 405)
      assert.equal(stranger.cookies.size, 0)
    })
  })
}
