import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import serveStatic from 'koa-static'
import type { SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { sessionOf } from '../support/sites/http.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const STYLE = 'body { color: black }\n'

const COUNT: Koa.Middleware = (ctx) => {
  sessionOf(ctx)['visits'] = Number(sessionOf(ctx)['visits'] ?? 0) + 1
  ctx.body = String(sessionOf(ctx)['visits'])
}

/** What koa-conditional-get does. */
const conditional: Koa.Middleware = async (ctx, next) => {
  await next()
  if (!ctx.fresh) return
  ctx.status = 304
  ctx.body = null
}

type Compose = (app: Koa, sessions: Koa.Middleware, assets: Koa.Middleware) => unknown

const SETUPS: Record<string, { options: SessionOptions; compose: Compose }> = {
  'above the session middleware': {
    options: {},
    compose: (app, sessions, assets) => app.use(assets).use(sessions).use(COUNT),
  },
  'below the session middleware, which skips assets': {
    options: { skip: (ctx) => ctx.path.startsWith('/assets/') },
    compose: (app, sessions, assets) => app.use(sessions).use(assets).use(COUNT),
  },
}

async function siteWithAssets(
  test: TestContext,
  options: SessionOptions,
  compose: Compose,
): Promise<CompanionSite & { store: RecordingStore }> {
  const folder = temporaryDirectory()
  await mkdir(join(folder, 'assets'))
  await writeFile(join(folder, 'assets', 'style.css'), STYLE)
  const store = recordingStore()
  const site = await companionSite(test, { store, cache: false, ...options }, (app, sessions) =>
    compose(app.use(conditional), sessions, serveStatic(folder, { maxage: 60_000 })),
  )
  return { ...site, store }
}

for (const [where, { options, compose }] of Object.entries(SETUPS)) {
  describe(`koa-static ${where}`, () => {
    it('serves assets without session, cookie and a word to the store', async (test) => {
      const { agent, store } = await siteWithAssets(test, options, compose)
      const ada = agent()
      await ada.get('/')
      store.calls.length = 0
      const { status, text, cookies, headers } = await ada.get('/assets/style.css')
      assert.deepEqual([status, text, cookies], [200, STYLE, []])
      assert.deepEqual([headers['vary'], headers['cache-control']], [undefined, 'max-age=60'])
      assert.deepEqual(store.calls, [])
      assert.equal((await ada.get('/')).text, '2')
    })

    it('answers 304 to a browser that has the asset', async (test) => {
      const { agent, store } = await siteWithAssets(test, options, compose)
      const ada = agent()
      await ada.get('/')
      const since = (await ada.get('/assets/style.css')).headers['last-modified']
      store.calls.length = 0
      const { status, text, cookies } = await ada.get('/assets/style.css', { headers: { 'if-modified-since': since } })
      assert.deepEqual([status, text, cookies, store.calls], [304, '', [], []])
    })

    it('serves assets while the store is down', async (test) => {
      const { agent, store } = await siteWithAssets(test, options, compose)
      const ada = agent()
      await ada.get('/')
      store.fail('load', new Error('down'))
      assert.equal((await ada.get('/assets/style.css')).status, 200)
    })
  })
}

describe('koa-static below the session middleware that skips nothing', () => {
  it('costs a load for each asset, and says of each that it may depend on the session, since it is a stream', async (test) => {
    const { agent, store } = await siteWithAssets(test, {}, (app, sessions, assets) =>
      app.use(sessions).use(assets).use(COUNT),
    )
    const ada = agent()
    await ada.get('/')
    store.calls.length = 0
    const { cookies, headers } = await ada.get('/assets/style.css')
    assert.deepEqual([cookies, headers['vary'], headers['cache-control']], [[], 'Cookie', 'max-age=60'])
    assert.deepEqual(store.calls, ['load'])
  })
})

describe('koa-static for members alone, below the session middleware and a check', () => {
  it('says that the answer varies by the cookie, with 200 and with 304', async (test) => {
    const { agent } = await siteWithAssets(test, {}, (app, sessions, assets) => {
      app.use(sessions)
      app.use(async (ctx, next) => {
        if (ctx.path === '/join') sessionOf(ctx)['isMember'] = true
        else if (sessionOf(ctx)['isMember'] !== true) ctx.throw(403)
        await next()
      })
      app.use(assets)
    })
    const ada = agent()
    assert.equal((await ada.get('/assets/style.css')).status, 403)
    await ada.get('/join')
    const { text, cookies, headers } = await ada.get('/assets/style.css')
    assert.deepEqual([text, cookies, headers['vary']], [STYLE, [], 'Cookie'])
    const again = await ada.get('/assets/style.css', { headers: { 'if-modified-since': headers['last-modified'] } })
    assert.deepEqual([again.status, again.headers['vary']], [304, 'Cookie'])
  })
})

describe('a page with an ETag', () => {
  it('is 304 while the session has not changed, and is saved and seen again once it has', async (test) => {
    const { agent } = await siteWithAssets(test, {}, (app, sessions) => {
      app.use(sessions)
      app.use((ctx) => {
        if (ctx.path === '/tea') sessionOf(ctx)['cart'] = 'tea'
        ctx.body = `Your cart: ${String(sessionOf(ctx)['cart'] ?? 'empty')}`
        ctx.etag = createHash('sha256').update(String(ctx.body)).digest('hex')
      })
    })
    const ada = agent()
    const etag = (await ada.get('/')).headers['etag']
    assert.equal((await ada.get('/', { headers: { 'if-none-match': etag } })).status, 304)
    assert.equal((await ada.get('/tea', { headers: { 'if-none-match': '*' } })).status, 304)
    const page = await ada.get('/', { headers: { 'if-none-match': etag } })
    assert.deepEqual([page.status, page.text], [200, 'Your cart: tea'])
  })
})
