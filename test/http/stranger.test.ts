import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, ServerResponse, type IncomingMessage, type RequestOptions, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import { memoryStore, type Store } from '../../src/index.ts'
import { sessionOf, siteWith, type Site } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'
import { collectWarnings } from '../support/warnings.ts'

/** What a visitor without a session can make a handler do that stores a session. */
const WAYS: Record<string, (ctx: Koa.Context) => unknown> = {
  '/write': (ctx) => (sessionOf(ctx)['cart'] = 1),
  '/save': async (ctx) => {
    sessionOf(ctx)['cart'] = 1
    await ctx.session.save()
  },
  '/update': (ctx) => sessionOf(ctx).update((fresh) => (fresh['cart'] = 1)),
  '/regenerate': (ctx) => ctx.session.regenerate(),
  '/throw': (ctx) => {
    sessionOf(ctx)['cart'] = 1
    ctx.throw(401)
  },
}

interface Place extends Site {
  readonly store: Store
  /** Resolves when a request has come to its handler. */
  readonly arrived: Promise<void>
  /** Lets the handler go on. */
  go(): void
  /** Resolves when the middlewares of a request are done. */
  readonly done: Promise<void>
}

/** A site whose handler waits before or after it uses the session. */
async function place(test: TestContext, waits: 'before' | 'after'): Promise<Place> {
  const [arrived, gone, done] = [deferred(), deferred(), deferred()]
  const store = memoryStore()
  const site = await siteWith(
    test,
    { store },
    async (ctx) => {
      const use = WAYS[ctx.path]
      if (waits === 'after') await use?.(ctx)
      arrived.resolve()
      await gone.promise
      if (waits === 'before') await use?.(ctx)
      ctx.body = 'done'
    },
    (app) =>
      app.use(async (_, next) => {
        try {
          await next()
        } finally {
          done.resolve()
        }
      }),
  )
  return { ...site, store, arrived: arrived.promise, go: gone.resolve, done: done.promise }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((go) => (resolve = go))
  return { promise, resolve }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
}

describe('a stranger who hangs up before the answer', () => {
  for (const waits of ['before', 'after'] as const) {
    for (const path of Object.keys(WAYS)) {
      if (waits === 'after' && path === '/throw') continue
      it(`leaves no record: the handler waits ${waits} it uses the session, by ${path}`, async (test) => {
        const { port, store, arrived, go, done, server } = await place(test, waits)
        await hangUp(server, { port, path }, arrived)
        go()
        await done
        await turns()
        assert.deepEqual(await keysOf(store), [])
      })
    }
  }

  it('and one who waits for it has a session', async (test) => {
    const { agent, store, go } = await place(test, 'before')
    go()
    const browser = agent()
    assert.equal((await browser.get('/write')).cookies.length, 1)
    await turns()
    assert.equal((await keysOf(store)).length, 1)
  })

  it('and a visitor who has a session keeps it, with what the request changed', async (test) => {
    const arrived = deferred()
    const gone = deferred()
    const done = deferred()
    const { agent, server } = await siteWith(
      test,
      {},
      async (ctx) => {
        if (ctx.path === '/slow') {
          arrived.resolve()
          await gone.promise
        }
        if (ctx.path !== '/') sessionOf(ctx)['path'] = ctx.path
        ctx.body = { ...ctx.session }
      },
      (app) =>
        app.use(async (ctx, next) => {
          await next()
          if (ctx.path === '/slow') done.resolve()
        }),
    )
    const browser = agent()
    await browser.get('/in')
    await hangUp(
      server,
      { port: browser.port, path: '/slow', headers: { cookie: browser.cookieHeader } },
      arrived.promise,
    )
    gone.resolve()
    await done.promise
    await turns()
    assert.deepEqual((await browser.get('/')).json(), { path: '/slow' })
  })
})

/** Asks, hangs up once the handler has been reached, and waits until the server has noticed. */
async function hangUp(server: Server, options: RequestOptions, arrived: Promise<void>): Promise<void> {
  const connected = once(server, 'connection')
  const asked = request({ ...options, agent: false }).end()
  asked.on('error', () => {})
  const [socket] = (await connected) as [Socket]
  await arrived
  asked.destroy()
  if (!socket.destroyed) await once(socket, 'close')
}

describe('an upgrade that goes through Koa', () => {
  /** As packages do that bring sockets to Koa: the application handles the upgrade, and a handler takes the socket. */
  async function upgrading(test: TestContext, handler: Koa.Middleware): Promise<Site & { store: Store }> {
    const store = memoryStore()
    const site = await siteWith(test, { store }, async (ctx, next) => {
      await handler(ctx, next)
      if (!isUpgrade(ctx.req)) return
      ctx.respond = false
      ctx.req.socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
    })
    const handle = site.app.callback()
    site.server.on('upgrade', (req: IncomingMessage) => void handle(req, new ServerResponse(req)))
    return { ...site, store }
  }

  const isUpgrade = (req: IncomingMessage): boolean => (req as { upgrade?: boolean }).upgrade === true

  async function upgrade(port: number, cookie = ''): Promise<string> {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1')
    socket.write(`GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\nCookie: ${cookie}\r\n\r\n`)
    let text = ''
    for await (const piece of socket) text += piece as string
    return text
  }

  it('stores no session for a stranger, and warns once of what was written', async (test) => {
    const warnings = await collectWarnings(test)
    const { port, store } = await upgrading(test, async (ctx) => {
      const session = sessionOf(ctx)
      session['count'] = (session['count'] ?? 0) + 1
      await session.save()
      assert.equal(session['count'], 1, 'and can be used all the same')
    })
    for (let turn = 0; turn < 3; turn++) assert.match(await upgrade(port), /^HTTP\/1.1 101/)
    assert.deepEqual(await keysOf(store), [])
    const told = (await warnings()).filter(({ code }) => code === 'SESSION_UPGRADE')
    assert.equal(told.length, 1)
  })

  it('changes the session of a visitor who has one, and refuses to move it to a token that cannot be sent', async (test) => {
    let refusal: unknown
    const { agent } = await upgrading(test, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      if (ctx.path === '/socket') {
        sessionOf(ctx)['sockets'] = 1
        await ctx.session.regenerate({ keep: true }).catch((error: unknown) => (refusal = error))
      }
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/in')
    assert.match(await upgrade(browser.port, browser.cookieHeader), /^HTTP\/1.1 101/)
    await turns()
    assert.equal((refusal as { code?: string }).code, 'ERR_SESSION_HEADERS_SENT')
    assert.deepEqual((await browser.get('/')).json(), { user: 'ada', sockets: 1 })
  })
})
