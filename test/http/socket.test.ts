import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import {
  getSession,
  memoryStore,
  runWithSession,
  session,
  type DiagnosticMessage,
  type SessionOptions,
} from '../../src/index.ts'
import { KEY, OLD_KEY, serve, sessionOf, siteWith, type AnySession, type Site } from '../support/sites/http.ts'
import { discreet } from '../support/secrecy.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'

const MINUTE = 60_000

/** A request as Node hands it to a listener of 'upgrade'. */
function upgrade(cookie?: string): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  if (cookie !== undefined) request.headers.cookie = cookie
  return request
}

/** A site, and somebody who is signed in there. */
async function site(test: TestContext, options: SessionOptions = {}) {
  const store = options.store === undefined ? memoryStore({ pruneInterval: 0 }) : options.store
  const made = await siteWith(test, { store, ...options }, async (ctx) => {
    const data = sessionOf(ctx)
    if (ctx.path === '/in') data['user'] = 'ada'
    if (ctx.path === '/in') data['cart'] = { items: ['tea'] }
    if (ctx.path === '/set') data['theme'] = ctx.query['theme']
    if (ctx.path === '/note') data.flash('note', 'for the next page')
    if (ctx.path === '/out') await data.destroy()
    ctx.body = { ...data, note: data.flash('note') }
  })
  const browser = made.agent()
  const reply = await browser.get('/in')
  assert.equal(reply.status, 200)
  const cookie = browser.cookieHeader
  return {
    ...made,
    store,
    browser,
    cookie,
    open: async (header = cookie) => (await made.sessions.open(upgrade(header))) as AnySession | undefined,
    opened: async () => {
      const session = await made.sessions.open(upgrade(cookie))
      assert.ok(session)
      return session as AnySession
    },
    page: async () => (await browser.get('/')).json(),
  }
}

describe('what sessions.open cannot read a cookie of', () => {
  it('is refused, because everybody would be a stranger', async (test) => {
    const { sessions, cookie } = await site(test)
    const refused: [unknown, RegExp][] = [
      [undefined, /must be Node's/],
      [{ req: upgrade(cookie) }, /or ctx\.req/],
      [new Request('http://localhost/', { headers: { cookie } }), /a Request of fetch/],
    ]
    for (const [request, message] of refused)
      await assert.rejects(sessions.open(request as IncomingMessage), { code: 'ERR_SESSION_OPTION', message })
  })
})

describe('sessions.open(request)', () => {
  it('takes what has headers and no connection, such as a handshake of socket.io, before and after the first page', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { cookie, sessions } = await site(test, { store })
    const fresh = session({ keys: [KEY], store })
    for (const opener of [fresh, sessions]) {
      const opened = (await opener.open({ headers: { cookie } } as IncomingMessage)) as AnySession | undefined
      assert.equal(opened?.['user'], 'ada')
    }
  })

  it('is the session that the request’s cookie names', async (test) => {
    const { opened, browser } = await site(test)
    const session = await opened()
    assert.deepEqual({ ...session }, { user: 'ada', cart: { items: ['tea'] } })
    assert.equal(session.isNew, false)
    await browser.get('/set?theme=dark')
    assert.equal((await opened())['theme'], 'dark')
  })

  it('is undefined without a cookie, with a forged one, and with one whose session has ended', async (test) => {
    const { sessions, open, browser, cookie } = await site(test)
    assert.equal(await sessions.open(upgrade()), undefined)
    assert.equal(await open('sid=nonsense; other=1'), undefined)
    assert.equal(await open(cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))), undefined)
    await browser.get('/out')
    assert.equal(await open(), undefined)
  })

  it('is undefined once the session has expired', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { open } = await site(test, { idleTimeout: 5 * MINUTE, absoluteTimeout: 7 * MINUTE })
    test.mock.timers.tick(4 * MINUTE)
    assert.ok(await open())
    test.mock.timers.tick(3 * MINUTE)
    assert.equal(await open(), undefined)
  })

  it('takes the first with a live session of several cookies of its name', async (test) => {
    const { opened, open, agent, cookie } = await site(test)
    const other = agent()
    await other.get('/in')
    const dead = other.cookieHeader
    await other.get('/out')
    const session = await open(`sid=tossed; ${dead}; ${cookie}`)
    assert.equal(session?.id, (await opened()).id)
  })

  it('accepts what an older key signed, and asks the newest keys', async (test) => {
    const { sessions, open } = await site(test, { keys: [OLD_KEY] })
    sessions.rotate([KEY, OLD_KEY])
    assert.ok(await open())
    sessions.rotate([KEY])
    assert.equal(await open(), undefined)
  })

  it('reports forged cookies and unknown ids as a request does', async (test) => {
    const { sessions, open, browser, cookie } = await site(test)
    const heard: DiagnosticMessage[] = []
    const listen = (message: unknown): void => void heard.push(message as DiagnosticMessage)
    subscribe('koa-server-session:suspicious', listen)
    test.after(() => unsubscribe('koa-server-session:suspicious', listen))
    await open(cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))
    await browser.get('/out')
    await open()
    assert.deepEqual(
      heard.map(({ reason }) => reason),
      ['signature', 'unknown id'],
    )
    assert.equal(sessions.stats().suspicious, 2)
  })

  it('rejects when the store fails, whatever onStoreError says', async (test) => {
    const store = recordingStore()
    const { open } = await site(test, { store, cache: false, onStoreError: 'anonymous' })
    store.failAll('load')
    await assert.rejects(open(), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    store.mend()
    assert.equal((await open())?.['user'], 'ada')
  })

  it('counts as a use, and writes no more often than requests do', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { sessions, opened } = await site(test, { idleTimeout: 10 * MINUTE })
    await opened()
    assert.equal(sessions.stats().touches, 0)
    for (let minute = 0; minute < 20; minute++) {
      test.mock.timers.tick(MINUTE)
      await opened()
    }
    assert.equal(sessions.stats().touches, 20)
    assert.equal(sessions.stats().saves, 1)
  })

  describe('for an upgrade', () => {
    /** A store that answers a load only when it is told to. */
    async function gated(test: TestContext) {
      const store = memoryStore({ pruneInterval: 0 })
      const gates: (() => void)[] = []
      let isClosed = false
      const made = await site(test, {
        cache: false,
        store: {
          ...store,
          load: async (key) => {
            if (isClosed) await new Promise<void>((resolve) => gates.push(resolve))
            return store.load(key)
          },
        },
      })
      isClosed = true
      const request = Object.assign(upgrade(made.cookie), { upgrade: true })
      const pass = (): void => {
        for (const open of gates) open()
      }
      return { ...made, request, pass }
    }

    it('listens to the socket’s errors while it is under way, and no longer', async (test) => {
      const { sessions, request, pass } = await gated(test)
      const { socket } = request
      const opening = sessions.open(request)
      assert.equal(socket.listenerCount('error'), 1)
      pass()
      assert.ok(await opening)
      assert.equal(socket.listenerCount('error'), 0)
    })

    it('is undefined if the socket was destroyed meanwhile, whose error ends nothing', async (test) => {
      const { sessions, request, pass } = await gated(test)
      const opening = sessions.open(request)
      request.socket.destroy(new Error('reset'))
      pass()
      assert.equal(await opening, undefined)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(request.socket.closed, true)
    })

    it('leaves no listener when it rejects', async (test) => {
      const store = recordingStore()
      const { sessions, cookie } = await site(test, { store, cache: false })
      const request = Object.assign(upgrade(cookie), { upgrade: true })
      store.failAll('load')
      await assert.rejects(sessions.open(request), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
      assert.equal(request.socket.listenerCount('error'), 0)
    })

    it('is the session all the same if an ordinary request was hung up, because its job may go on', async (test) => {
      const { sessions, request, pass } = await gated(test)
      request.upgrade = false
      const opening = sessions.open(request)
      request.socket.destroy()
      pass()
      assert.ok(await opening)
    })
  })

  it('needs the application’s keys to have been seen, where there is no option `keys`', async (test) => {
    const app = new Koa()
    app.keys = [KEY]
    const sessions = session({ store: 'memory:' })
    test.after(() => sessions.close())
    app.use(sessions).use((ctx) => {
      sessionOf(ctx)['user'] = 'ada'
      ctx.body = ''
    })
    await assert.rejects(
      sessions.open(upgrade()),
      (error: Error) => discreet('ERR_SESSION_OPTION', KEY)(error) && /Pass session\(\{ keys \}\)/.test(error.message),
    )
    const site: Site = await serve(test, app)
    const browser = site.agent()
    await browser.get('/')
    assert.equal(((await sessions.open(upgrade(browser.cookieHeader))) as AnySession)['user'], 'ada')
  })
})

describe('a session from sessions.open', () => {
  it('keeps nothing by itself, and all that was changed after save(), as often as that is called', async (test) => {
    const { opened, page, sessions } = await site(test)
    const session = await opened()
    session['draft'] = 'lost'
    assert.equal((await page())['draft'], undefined)
    for (const message of ['first', 'second', 'third']) {
      session['last'] = message
      session['cart'].items.push(message)
      await session.save()
      assert.deepEqual((await page())['last'], message)
    }
    assert.deepEqual((await page())['cart'], { items: ['tea', 'first', 'second', 'third'] })
    const { saves } = sessions.stats()
    await session.save()
    assert.equal(sessions.stats().saves, saves)
  })

  it('shows what it loaded until reload(), which counts as a use', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { opened, browser, sessions } = await site(test, { idleTimeout: 10 * MINUTE, absoluteTimeout: 90 * MINUTE })
    const session = await opened()
    await browser.get('/set?theme=dark')
    assert.equal(session['theme'], undefined)
    session['draft'] = 'dropped'
    await session.reload()
    assert.deepEqual({ ...session }, { user: 'ada', cart: { items: ['tea'] }, theme: 'dark' })
    const { saves } = sessions.stats()
    for (let minute = 0; minute < 80; minute += 8) {
      test.mock.timers.tick(8 * MINUTE)
      await session.reload()
    }
    assert.equal(sessions.stats().saves, saves)
    test.mock.timers.tick(10 * MINUTE)
    await assert.rejects(session.reload(), discreet('ERR_SESSION_GONE'))
  })

  it('does not go back behind a save of its own that was faster than the answer to a reload', async (test) => {
    const store = recordingStore()
    const { opened } = await site(test, { store, cache: false })
    const session = await opened()
    // The answer as it was before the save, on its way for as long as the save takes.
    const answer = store.hold('load', 'after')
    const reloading = session.reload()
    await answer.arrived
    await session.update((fresh) => (fresh['count'] = 1))
    answer.release()
    await reloading
    assert.equal(session['count'], 1)
  })

  it('counts exactly with update(), whoever else does', async (test) => {
    const { opened, page } = await site(test)
    const session = await opened()
    const other = await opened()
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        (n % 2 ? session : other).update((fresh) => (fresh['count'] = Number(fresh['count'] ?? 0) + 1)),
      ),
    )
    assert.equal((await page())['count'], 100)
    assert.equal(session['count'], 100)
  })

  it('ends for all by destroy(), and rejects with ERR_SESSION_GONE once it was ended elsewhere', async (test) => {
    const { opened, open, browser, store } = await site(test)
    const [one, two] = [await opened(), await opened()]
    await one.destroy()
    assert.equal(await open(), undefined)
    assert.deepEqual(await keysOf(store as ReturnType<typeof memoryStore>), [])
    two['late'] = true
    await assert.rejects(two.save(), discreet('ERR_SESSION_GONE'))
    await assert.rejects(
      two.update(() => {}),
      discreet('ERR_SESSION_ENDED'),
    )
    assert.throws(() => (two['later'] = true), discreet('ERR_SESSION_ENDED'))
    assert.equal((await browser.get('/')).text, '{}')
  })

  it('cannot be regenerated, and says where that can be done', async (test) => {
    const { opened } = await site(test)
    const session = await opened()
    await assert.rejects(
      session.regenerate({ keep: true }),
      (error: Error) => discreet('ERR_SESSION_HEADERS_SENT')(error) && /over HTTP/.test(error.message),
    )
    session['user'] = 'still usable'
    await session.save()
  })

  it('leaves a flash for the next page, and takes none away that it has not read', async (test) => {
    const { opened, browser, page } = await site(test)
    await browser.get('/note')
    const session = await opened()
    session['seen'] = 1
    await session.save()
    await session.update((fresh) => (fresh['seen'] = 2))
    assert.equal((await page())['note'], 'for the next page')
    session.flash('note', 'from the socket')
    await session.save()
    assert.equal((await page())['note'], 'from the socket')

    await browser.get('/note')
    await session.reload()
    assert.equal(session.flash('note'), 'for the next page')
    await session.save()
    assert.equal((await page())['note'], undefined)
  })

  it('keeps what identify() and remember() say with the next save', async (test) => {
    const { opened, sessions } = await site(test, { absoluteTimeout: 600 * MINUTE })
    const session = await opened()
    const { expiresAt } = session
    session.identify('ada', 'a socket')
    session.remember({ idleTimeout: 300 * MINUTE })
    await session.save()
    const [listed] = await sessions.list('ada')
    assert.deepEqual([listed?.id, listed?.label], [session.id, 'a socket'])
    assert.ok(session.expiresAt > expiresAt + 200 * MINUTE)
  })
})

describe('runWithSession(session, fn) with a session from sessions.open', () => {
  it('gives it to getSession(), and to the get() of its own middleware only', async (test) => {
    const { opened, sessions } = await site(test)
    const { sessions: others } = await site(test, { cookie: { name: 'other' } })
    const session = await opened()
    await runWithSession(session, async () => {
      await new Promise(setImmediate)
      assert.equal(getSession(), session)
      assert.equal(sessions.get(), session)
      assert.throws(() => others.get(), discreet('ERR_SESSION_NO_CONTEXT'))
    })
    assert.throws(() => sessions.get(), discreet('ERR_SESSION_NO_CONTEXT'))
  })

  it('marks it as the current one in sessions.list', async (test) => {
    const { opened, sessions } = await site(test)
    const session = await opened()
    session.identify('ada')
    await session.save()
    const [listed] = await runWithSession(session, () => sessions.list('ada'))
    assert.equal(listed?.isCurrent, true)
  })
})
