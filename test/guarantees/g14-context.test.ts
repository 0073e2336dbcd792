import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import Koa from 'koa'
import Koa2 from 'koa2'
import mountAt from 'koa-mount'
import {
  bindSession,
  getSession,
  memoryStore,
  runWithSession,
  session,
  tryGetSession,
  type Session,
} from '../../src/index.ts'
import {
  Agent,
  currentSession,
  KEY,
  OLD_KEY,
  serve,
  sessionOf,
  siteWith,
  type AnySession,
} from '../support/sites/http.ts'
import { KINDS, placesSite, type PlacesOptions, type PlacesSite } from '../support/sites/places-site.ts'

/** Each time anew, because an application can be used once. */
const SETUPS: Record<string, () => PlacesOptions> = {
  'as the first middleware': () => ({}),
  'after one that awaited': () => ({
    before: async (_ctx, next) => {
      await after(1)
      await next()
    },
  }),
  'after one that called back': () => ({
    before: (_ctx, next) => new Promise<void>((resolve, reject) => setImmediate(() => next().then(resolve, reject))),
  }),
  'beside the AsyncLocalStorage of Koa': () => ({ app: new Koa({ asyncLocalStorage: true }) }),
  'mounted with koa-mount': () => ({
    mount(app, middlewares) {
      const inner = new Koa()
      for (const middleware of middlewares) inner.use(middleware)
      app.use(mountAt('/', inner))
    },
  }),
  'on Koa 2': () => ({ app: new Koa2() }),
}

/** What the older Koa has no word for; and it leaves a response open for ever whose stream broke. */
const WITHOUT: Record<string, string[]> = { 'on Koa 2': ['web', 'response', 'broken'] }

/** Checks that each place saw `who`, and that there were places enough to say so. */
function assertOnly({ seen }: PlacesSite, n: string | number, who: string | undefined, atLeast = 8): void {
  const places = seen.get(`${n}`) ?? []
  assert.ok(places.length >= atLeast, `${places.length} places`)
  for (const { place, who: found } of places) assert.equal(found, who, `${place} (request ${n})`)
}

const EXTRA: Record<string, string[]> = {
  generator: ['generator: start', 'generator: after an await'],
  read: ['_read', '_destroy'],
  web: ['web stream: pull', 'web stream: after an await'],
  response: ['Response: pull'],
  transform: ['transform'],
  file: ['file: open', 'file: end'],
  big: ['big: piece 0', 'big: piece 29'],
  throw: [],
  fail: ["the application's 'error'"],
  broken: ['broken: start', "the application's 'error'"],
}
const EVERYWHERE = [
  'the handler',
  'a synchronous listener',
  'queueMicrotask',
  'nextTick',
  'setImmediate',
  'setTimeout',
  'a callback of fs',
  'after awaits',
  'upstream, after next()',
  "the response's 'close'",
]

describe('G14: getSession() finds the session of its own request', () => {
  for (const [name, optionsFor] of Object.entries(SETUPS)) {
    const kinds = KINDS.filter((kind) => !WITHOUT[name]?.includes(kind))

    it(`at every place, and none in skipped requests between on the same socket: ${name}`, async (test) => {
      const site = await placesSite(test, optionsFor())
      const visitors = await site.visitors(2)
      let n = 0
      for (const kind of kinds) {
        for (const { who, browser } of visitors) {
          const own = ++n
          const skipped = ++n
          // The broken one ends the connection, and is told so.
          await browser.get(`/${kind}?n=${own}`).catch((error) => assert.equal(kind, 'broken', error.message))
          await browser.get(`/skip/${kind}?n=${skipped}`).catch((error) => assert.equal(kind, 'broken', error.message))
          await site.ended(n)
          assertOnly(site, own, who)
          assertOnly(site, skipped, undefined)
          const places = new Set(site.seen.get(`${own}`)?.map(({ place }) => place))
          for (const place of [...EVERYWHERE, ...(EXTRA[kind] ?? [])])
            assert.ok(places.has(place), `${kind} reaches: ${place}`)
        }
      }
    })

    it(`in 200 requests at once: ${name}`, async (test) => {
      const site = await placesSite(test, optionsFor())
      const visitors = await site.visitors(10)
      const quick = kinds.filter((kind) => kind !== 'big')
      const whoOf = new Map<number, string | undefined>()
      await Promise.all(
        Array.from({ length: 200 }, async (_, n) => {
          const { who, browser } = visitors[n % 10] as (typeof visitors)[0]
          const isSkipped = n % 3 === 0
          whoOf.set(n, isSkipped ? undefined : who)
          await browser.get(`${isSkipped ? '/skip' : ''}/${quick[n % quick.length]}?n=${n}`).catch(() => {})
        }),
      )
      await site.ended(200)
      for (const [n, who] of whoOf) assertOnly(site, n, who)
    })

    it(`in pipelined requests of different visitors: ${name}`, async (test) => {
      const site = await placesSite(test, optionsFor())
      const visitors = await site.visitors(3)
      const whoOf = new Map<number, string | undefined>()
      let text = ''
      let n = 0
      for (const kind of kinds.filter((kind) => kind !== 'broken')) {
        for (const { who, browser } of visitors) {
          const isSkipped = n % 2 === 0
          whoOf.set(n, isSkipped ? undefined : who)
          text += `GET ${isSkipped ? '/skip' : ''}/${kind}?n=${n++} HTTP/1.1\r\nHost: a\r\nCookie: ${browser.cookieHeader}\r\n\r\n`
        }
      }
      const socket = connect(site.port, '127.0.0.1')
      socket.write(text)
      socket.resume()
      await site.ended(n)
      socket.destroy()
      for (const [number, who] of whoOf) assertOnly(site, number, who)
    })

    it(`when the visitor goes away in the middle of the body: ${name}`, async (test) => {
      const site = await placesSite(test, optionsFor())
      const visitors = await site.visitors(4)
      for (const [n, { browser }] of visitors.entries()) {
        const asked = request({
          host: '127.0.0.1',
          port: site.port,
          path: `/${n % 2 ? 'generator' : 'big'}?n=${n}`,
          headers: { cookie: browser.cookieHeader },
        })
        asked.on('error', () => {})
        asked.end()
        const [response] = (await once(asked, 'response')) as [IncomingMessage]
        response.on('error', () => {})
        asked.destroy()
      }
      await site.ended(visitors.length)
      for (const [n, { who }] of visitors.entries()) {
        assertOnly(site, n, who)
        assert.ok(site.seen.get(`${n}`)?.some(({ place }) => place === "the response's 'close'"))
      }
    })
  }
})

describe('G14: the first request of an application', () => {
  /** Of each application only the very first request counts: it was under way before there was a context to run it in. */
  async function firstRequest(test: TestContext, answer: Koa.Middleware): Promise<Record<string, boolean>> {
    const found: Record<string, boolean> = {}
    let id: string | undefined
    const app = new Koa()
    // By its id, because what a failed request has set is dropped.
    const note = (place: string): void => void (found[place] = id !== undefined && tryGetSession()?.id === id)
    app.on('error', () => note('error'))
    app.use(session({ keys: [KEY], store: memoryStore() }))
    app.use(async (ctx, next) => {
      sessionOf(ctx)['who'] = 'alice'
      id = ctx.session.id
      ctx.state['note'] = note
      ctx.res.on('finish', () => note('finish'))
      await next()
    })
    app.use(answer)
    const { port } = await serve(test, app)
    await new Agent(port).get('/')
    return found
  }

  it('finds its session also in the body and in finish', async (test) => {
    const found = await firstRequest(test, (ctx) => {
      const note = ctx.state['note'] as (place: string) => void
      ctx.body = Readable.from(
        (async function* () {
          yield 'a'
          note('body')
        })(),
      )
    })
    assert.deepEqual(found, { body: true, finish: true })
  })

  it("finds its session in the application's error", async (test) => {
    const found = await firstRequest(test, () => {
      throw new Error('as it happens')
    })
    assert.deepEqual(found, { error: true, finish: true })
  })
})

describe('G14: around the session middleware', () => {
  it('a middleware finds the session after next(), and none before it or in a skipped request', async (test) => {
    const whoOf = (): unknown => (tryGetSession() as AnySession | undefined)?.['who']
    const seen: unknown[] = []
    const { agent } = await siteWith(
      test,
      { skip: (ctx) => ctx.path === '/skip' },
      (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['who'] = 'alice'
        ctx.body = ''
      },
      (app) => {
        app.use(async (_ctx, next) => {
          const before = whoOf()
          await after(1)
          await next()
          seen.push([before, whoOf()])
        })
      },
    )
    const browser = agent()
    await browser.get('/in')
    seen.length = 0 // the application's first request was under way before there was a context to run it in
    for (const path of ['/', '/skip', '/']) await browser.get(path)
    assert.deepEqual(seen, [
      [undefined, 'alice'],
      [undefined, undefined],
      [undefined, 'alice'],
    ])
  })
})

describe('G14: outside of a request', () => {
  it('getSession() throws what to do, tryGetSession() is undefined', async (test) => {
    const { agent } = await siteWith(test, { skip: (ctx) => ctx.path === '/skip' }, (ctx) => {
      ctx.body = `${tryGetSession() === undefined} ${ctx.session === undefined}`
    })
    assert.throws(() => getSession(), { code: 'ERR_SESSION_NO_CONTEXT', message: /runWithSession.*bindSession/s })
    assert.equal(tryGetSession(), undefined)
    assert.equal((await agent().get('/skip')).text, 'true true')
    assert.equal(tryGetSession(), undefined, 'a request leaves nothing behind')
  })

  it('bindSession carries it into what was made elsewhere: listeners of ctx.req, a pool', async (test) => {
    const pool = new EventEmitter()
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['who'] = 'alice'
      else {
        const answered = new Promise((resolve) =>
          pool.once(
            'answer',
            bindSession((text: string) => resolve(`${text} ${currentSession()['who']}`)),
          ),
        )
        const ended = new Promise((resolve) =>
          ctx.req
            .on(
              'end',
              bindSession(() => resolve(currentSession()['who'])),
            )
            .resume(),
        )
        setImmediate(() => runWithSession({} as Session, () => pool.emit('answer', 'for')))
        ctx.body = `${await answered} ${await ended}`
      }
      ctx.body ??= ''
    })
    const browser = agent()
    await browser.get('/in')
    assert.equal((await browser.get('/', { method: 'POST' })).text, 'for alice alice')
  })

  it('runWithSession gives jobs and tests a session', async () => {
    const own = { who: 'job' } as unknown as Session
    const found = await runWithSession(own, async () => {
      await after(1)
      return getSession()
    })
    assert.equal(found, own)
    assert.equal(tryGetSession(), undefined)
  })
})

describe('G14: several session middlewares in one application', () => {
  it('each have their own property, and getSession() is that of ctx.session, also below koa-mount', async (test) => {
    const app = new Koa()
    const shop = session<Record<string, unknown>>({ keys: [KEY], store: memoryStore(), cookie: { name: 'shop' } })
    const admin = session<Record<string, unknown>>({
      keys: [OLD_KEY],
      store: memoryStore(),
      property: 'admin',
      cookie: { name: 'admin' },
    })
    app.use(shop)
    const inner = new Koa()
    inner.use(admin).use((ctx) => {
      shop.get()['n'] = 'shop'
      admin.get()['n'] = 'admin'
      const byName = (ctx as unknown as { admin: Record<string, unknown> }).admin
      ctx.body = [currentSession()['n'], sessionOf(ctx)['n'], shop.get()['n'], admin.get()['n'], byName['n']]
    })
    app.use(mountAt('/admin', inner))
    app.use((ctx) => {
      assert.throws(() => admin.get(), { code: 'ERR_SESSION_NO_CONTEXT' })
      ctx.body = [currentSession()['n'], sessionOf(ctx)['n'], shop.get()['n']]
    })
    const { port } = await serve(test, app)
    const browser = new Agent(port)
    assert.deepEqual((await browser.get('/admin')).json(), ['shop', 'shop', 'shop', 'admin', 'admin'])
    assert.deepEqual((await browser.get('/')).json(), ['shop', 'shop', 'shop'])
    assert.deepEqual([...browser.cookies.keys()].toSorted(), ['admin', 'shop'])
  })

  it('the same middleware twice is one session, and is saved once', async (test) => {
    const app = new Koa()
    const sessions = session({ keys: [KEY], store: memoryStore() })
    app.use(sessions).use(sessions)
    app.use((ctx) => {
      const views = Number(sessionOf(ctx)['views'] ?? 0) + 1
      sessionOf(ctx)['views'] = views
      ctx.body = `${views}`
    })
    const { port } = await serve(test, app)
    const browser = new Agent(port)
    for (const views of ['1', '2', '3']) assert.equal((await browser.get('/')).text, views)
    assert.equal(sessions.stats().saves, 3)
  })

  it('regenerate swaps the session for everybody in the request', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      const before = getSession()
      sessionOf(ctx)['who'] = 'guest'
      await ctx.session.regenerate()
      assert.notEqual(getSession(), before)
      assert.equal(getSession(), ctx.session)
      currentSession()['who'] = 'alice'
      ctx.body = await after(1).then(() => currentSession()['who'])
    })
    assert.equal((await agent().get('/')).text, 'alice')
  })
})
