import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Koa from 'koa'
import mount from 'koa-mount'
import {
  getSession,
  isSessionError,
  memoryStore,
  session,
  tryGetSession,
  tryGetSessionId,
  type SessionOptions,
  type Store,
} from '../src/index.ts'
import { KEY, OLD_KEY, serve, sessionOf, siteWith, type AnySession } from './support/sites/http.ts'
import { collectWarnings } from './support/warnings.ts'
import { keysOf } from './support/stores/stores.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const COUNT: Koa.Middleware = (ctx) => {
  const visitor = sessionOf(ctx)
  visitor['views'] = Number(visitor['views'] ?? 0) + 1
  ctx.body = String(visitor['views'])
}

describe('several session middlewares', () => {
  it('live side by side in one application, each with a property, a cookie and a store of its own', async (test) => {
    const [shopStore, adminStore] = [memoryStore(), memoryStore()]
    const shop = session({ keys: [KEY], store: shopStore })
    const admin = session({ keys: [KEY], store: adminStore, property: 'admin', cookie: { name: 'admin' } })
    const app = new Koa().use(shop).use(admin)
    app.use((ctx) => {
      const [outer, inner] = [sessionOf(ctx), (ctx as unknown as { admin: AnySession }).admin]
      assert.deepEqual(
        [shop.get(), admin.get()].map((one) => one === outer),
        [true, false],
      )
      assert.deepEqual(
        [shop.get(), admin.get()].map((one) => one === inner),
        [false, true],
      )
      assert.deepEqual(
        [getSession(), tryGetSession()].map((one) => one === outer),
        [true, true],
      )
      assert.equal(tryGetSessionId(), outer.id)
      outer['views'] = Number(outer['views'] ?? 0) + 1
      inner['views'] = Number(inner['views'] ?? 0) + 10
      ctx.body = `${String(outer['views'])} ${String(inner['views'])}`
    })
    const agent = (await serve(test, app)).agent()
    assert.equal((await agent.get('/')).text, '1 10')
    assert.equal((await agent.get('/')).text, '2 20')
    assert.deepEqual([(await keysOf(shopStore)).length, (await keysOf(adminStore)).length], [1, 1])
  })

  it('do not take each other’s cookies, even with the same keys and store', async (test) => {
    const store = memoryStore()
    const { port: one } = await siteWith(test, { store, cookie: { name: 'one' } }, COUNT)
    const { agent } = await siteWith(test, { store, cookie: { name: 'two' } }, COUNT)
    const visitor = agent()
    await visitor.get('/')
    const [, value] = visitor.cookieHeader.split('=')
    const reply = await fetch(`http://127.0.0.1:${one}/`, { headers: { cookie: `one=${value}` } })
    assert.equal(await reply.text(), '1')
  })

  it('used twice, and in a mounted application, is one', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    const inner = new Koa().use(sessions).use(COUNT)
    const app = new Koa().use(sessions).use(mount('/inner', inner)).use(COUNT)
    const agent = (await serve(test, app)).agent()
    assert.equal((await agent.get('/')).text, '1')
    assert.equal((await agent.get('/inner')).text, '2')
    assert.equal(sessions.stats().saves, 2)
  })
})

describe('sessions.get()', () => {
  it('outside of a request throws what getSession throws', async (test) => {
    const { sessions } = await siteWith(test, {}, COUNT)
    assert.throws(
      () => sessions.get(),
      (error) => isSessionError(error, 'ERR_SESSION_NO_CONTEXT'),
    )
  })
})

describe('sessions.canList', () => {
  it('says whether list, revokeAll and identify work with this store, whatever stands in front of it', async (test) => {
    const canList = (store: Store | string, options: SessionOptions = {}): boolean => {
      const sessions = session({ keys: [KEY], store, ...options })
      test.after(() => sessions.close())
      return sessions.canList
    }
    assert.equal(canList('memory:'), true)
    assert.equal(canList('memory:', { cache: false, encrypt: true }), true)
    assert.equal(canList(`file:${temporaryDirectory()}`), true)
    const { subjects, ...store } = memoryStore()
    assert.ok(subjects)
    assert.equal(canList(store), false)
    assert.equal(canList('memcached://127.0.0.1:1'), false)
  })
})

describe('sessions.rotate(keys)', () => {
  it('signs anew what an older key had signed, once, and counts it; forgets the keys that are gone', async (test) => {
    const { sessions, agent } = await siteWith(test, { keys: [OLD_KEY] }, COUNT)
    const visitor = agent()
    await visitor.get('/')
    sessions.rotate([KEY, OLD_KEY])
    assert.equal((await visitor.get('/')).headers['set-cookie']?.length, 1)
    assert.equal((await visitor.get('/')).headers['set-cookie'], undefined)
    assert.equal(sessions.stats().resigned[1], 1)
    sessions.rotate([KEY])
    assert.equal((await visitor.get('/')).text, '4')
    sessions.rotate(['another key altogether, and long'])
    assert.equal((await visitor.get('/')).text, '1')
  })

  it('refuses bad keys and goes on with the old ones', async (test) => {
    const { sessions, agent } = await siteWith(test, {}, COUNT)
    const visitor = agent()
    await visitor.get('/')
    assert.throws(
      () => sessions.rotate(['short']),
      (error) => isSessionError(error, 'ERR_SESSION_OPTION'),
    )
    assert.equal((await visitor.get('/')).text, '2')
  })
})

describe('encrypt', () => {
  it('keeps the data from the store, rotates with the keys, and needs the secrets themselves', async (test) => {
    const store = memoryStore()
    const { sessions, agent } = await siteWith(test, { store, encrypt: true, cache: false, keys: [OLD_KEY] }, (ctx) => {
      sessionOf(ctx)['name'] ??= 'Ada Lovelace'
      sessionOf(ctx)['views'] = Number(sessionOf(ctx)['views'] ?? 0) + 1
      ctx.body = `${String(sessionOf(ctx)['name'])} ${String(sessionOf(ctx)['views'])}`
    })
    const visitor = agent()
    assert.equal((await visitor.get('/')).text, 'Ada Lovelace 1')
    const [key] = await keysOf(store)
    assert.doesNotMatch((await store.load(key as string))?.text ?? '', /Lovelace|views/)
    sessions.rotate([KEY, OLD_KEY])
    assert.equal((await visitor.get('/')).text, 'Ada Lovelace 2')
    sessions.rotate([KEY])
    assert.equal((await visitor.get('/')).text, 'Ada Lovelace 3')
    const { default: Keygrip } = await import('keygrip')
    assert.throws(() => session({ keys: new Keygrip([KEY]), encrypt: true }), /pass keys as a list/)
  })
})

describe('sessions.prune()', () => {
  it('is the store’s, and 0 where the store needs none', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    await store.save('a'.repeat(64), '{}', Date.now() - 1, undefined)
    const { sessions } = await siteWith(test, { store }, COUNT)
    assert.equal(await sessions.prune(), 1)
    const { load, save, touch, delete: remove } = store
    const plain: Store = { load, save, touch, delete: remove }
    assert.equal(await (await siteWith(test, { store: plain }, COUNT)).sessions.prune(), 0)
  })
})

describe('sessions.close()', () => {
  it('leaves a store alone that it was given', async () => {
    let isClosed = false
    const store = { ...memoryStore({ pruneInterval: 0 }), close: async () => void (isClosed = true) }
    await session({ keys: [KEY], store }).close()
    assert.equal(isClosed, false)
  })
})

describe('sessions.stats()', () => {
  it('counts what happened, and is a copy', async (test) => {
    const { sessions, agent } = await siteWith(test, {}, COUNT)
    const visitor = agent()
    await visitor.get('/')
    await visitor.get('/')
    const { saves, hits, cacheSize } = sessions.stats()
    assert.deepEqual({ saves, hits, cacheSize }, { saves: 2, hits: 1, cacheSize: 1 })
    sessions.stats().resigned.push(5)
    assert.deepEqual(sessions.stats().resigned, [])
  })
})

describe('a request after sessions.close()', () => {
  it('is told of, once, with what to do', async (test) => {
    const warnings = await collectWarnings(test)
    const { sessions, agent } = await siteWith(test, { store: memoryStore() }, COUNT)
    await agent().get('/')
    await sessions.close()
    assert.deepEqual(await warnings(), [])
    for (let visit = 0; visit < 2; visit++) await agent().get('/')
    const [warning, ...more] = await warnings()
    assert.equal(warning?.code, 'SESSION_CLOSED')
    assert.match(warning?.message ?? '', /sessions\.close\(\) once server\.close\(\) has called back/)
    assert.deepEqual(more, [])
  })
})
