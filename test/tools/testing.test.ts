import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import {
  getSession,
  isSessionError,
  memoryStore,
  runWithSession,
  session,
  type SessionErrorCode,
} from '../../src/index.ts'
import { fakeSession, readSession, signIn } from '../../src/tools/testing.ts'
import { currentSession, KEY, serve, siteWith, sessionOf, type AnySession } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

interface Data {
  userId?: string
  views?: number
  basket?: { items: string[] }
}

const refusal =
  (code: SessionErrorCode, words: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isSessionError(error, code), String(error))
    assert.match(error.message, words)
    return true
  }

/** A site whose page says who asks, and one that signs out. */
function shop(test: TestContext, options: Parameters<typeof siteWith>[1] = {}): ReturnType<typeof siteWith> {
  return siteWith(test, options, async (ctx) => {
    const visitor = sessionOf(ctx)
    if (ctx.path === '/view') visitor['views'] = Number(visitor['views'] ?? 0) + 1
    if (ctx.path === '/sign-out') await visitor.destroy()
    if (ctx.path === '/renew') await visitor.regenerate({ keep: true })
    ctx.body = String(visitor['userId'] ?? 'nobody')
  })
}

describe('signIn(sessions, data)', () => {
  it('gives the cookie of a session with this data, as a header and as headers', async (test) => {
    const { sessions, agent, address } = await shop(test)
    const ada = await signIn<Data>(sessions, { userId: 'ada' })
    assert.match(ada.cookie, /^sid=[\w-]{43}\.[\w-]{43}; __Host-sid=[\w-]{43}\.[\w-]{43}$/)
    assert.equal((await agent().get('/', { cookie: ada.cookie })).text, 'ada')
    assert.equal(await (await fetch(address, { headers: ada.headers })).text(), 'ada')
  })

  it('lets a function prepare the session: whose it is, for how long, and what it was left', async (test) => {
    const { sessions } = await shop(test)
    const ada = await signIn<Data>(sessions, (visitor) => {
      visitor.userId = 'ada'
      visitor.identify('ada', 'Firefox on Linux')
      visitor.remember(86_400_000)
    })
    assert.deepEqual(
      (await sessions.list('ada')).map(({ id, label }) => [id, label]),
      [[ada.id, 'Firefox on Linux']],
    )
    assert.match(ada.setCookie, /; Max-Age=8(?:6400|6399); /)
    assert.ok(ada.cookieFor('http://localhost').expires > Date.now() / 1000)
  })

  it('makes a session of a visitor who has proved who they are, if it is to', async (test) => {
    const { sessions } = await shop(test)
    const ada = await signIn<Data>(sessions, (visitor) => visitor.identify('ada'), { proved: ['password', 'otp'] })
    const visitor = await readSession(sessions, ada)
    assert.deepEqual(
      ['password', 'otp', 'passkey'].map((kind) => visitor?.provedWithin(kind, 60_000)),
      [true, true, false],
    )
    await assert.rejects(
      signIn(sessions, {}, { proved: 7 as never }),
      refusal('ERR_SESSION_OPTION', /^signIn: the kind of a proof must be a string, not a number/),
    )
    await assert.rejects(
      signIn(sessions, {}, 'password' as never),
      refusal('ERR_SESSION_OPTION', /write \{ proved: 'password' \}/),
    )
  })

  it('makes a session of a visitor without data too', async (test) => {
    const { sessions } = await shop(test)
    const stranger = await signIn(sessions)
    assert.equal((await readSession(sessions, stranger))?.id, stranger.id)
  })

  it('gives the attributes of the cookie to jars and to browsers', async (test) => {
    const { sessions } = await shop(test)
    const ada = await signIn<Data>(sessions, { userId: 'ada' })
    const [plain = '', prefixed = ''] = ada.cookie.split('; ')
    const value = plain.slice('sid='.length)
    assert.equal(ada.setCookie, `${plain}; Path=/; HttpOnly; SameSite=Lax`)
    assert.deepEqual(ada.cookieFor('http://localhost:3000/page'), {
      name: 'sid',
      value,
      domain: 'localhost',
      path: '/',
      httpOnly: true,
      secure: false,
      sameSite: 'Lax',
      expires: -1,
    })
    const overHttps = ada.cookieFor('https://shop.test')
    assert.deepEqual([`${overHttps.name}=${overHttps.value}`, overHttps.secure], [prefixed, true])
    const always = session({ keys: [KEY], store: 'memory:', cookie: { secure: true } })
    assert.match((await signIn(always)).setCookie, /^__Host-sid=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    const own = session({
      keys: [KEY],
      store: 'memory:',
      cookie: { domain: 'shop.test', path: '/a', secure: true, sameSite: 'none' },
    })
    const { domain, path, secure, sameSite } = (await signIn(own)).cookieFor('https://www.shop.test')
    assert.deepEqual(
      { domain, path, secure, sameSite },
      { domain: '.shop.test', path: '/a', secure: true, sameSite: 'None' },
    )
  })

  it('works from another process, as far as keys, cookie name and store are the same', async (test) => {
    const store = `file:${temporaryDirectory('signed-in')}`
    const { agent } = await shop(test, { store })
    const here = session<Data>({ keys: [KEY], store })
    test.after(() => here.close())
    const ada = await signIn(here, { userId: 'ada' })
    assert.equal((await agent().get('/view', { cookie: ada.cookie })).text, 'ada')
    assert.equal((await readSession(here, ada))?.views, 1)
  })

  it('says what is wrong with what it was given', async () => {
    const sessions = session<Data>({ keys: [KEY], store: 'memory:' })
    const app = new Koa()
    await assert.rejects(
      signIn(app as never, {}),
      refusal('ERR_SESSION_OPTION', /signIn: it takes what session\(\) returned/),
    )
    await assert.rejects(signIn(sessions, 'ada' as never), refusal('ERR_SESSION_OPTION', /an object.*not a string/))
    await assert.rejects(
      signIn(sessions, async () => {}),
      refusal('ERR_SESSION_OPTION', /promise/),
    )
    await assert.rejects(signIn(sessions, { save: 1 } as never), refusal('ERR_SESSION_RESERVED_KEY', /save/))
    await assert.rejects(signIn(sessions, { userId: (() => {}) as never }), refusal('ERR_SESSION_VALUE', /userId/))
    await assert.rejects(
      signIn(session({ store: 'memory:' })),
      refusal('ERR_SESSION_OPTION', /signIn has no keys yet.*session\(\{ keys \}\)/),
    )
  })
})

describe('readSession(sessions, cookie)', () => {
  it('shows the session as it is stored now, by any form of its cookie', async (test) => {
    const { sessions, agent, address } = await shop(test)
    const ada = await signIn<Data>(sessions, { userId: 'ada' })
    await agent().get('/view', { cookie: ada.cookie })
    for (const form of [ada, ada.cookie, `theme=dark; ${ada.cookie}`, ada.setCookie, [ada.setCookie], ada.headers]) {
      const found = await readSession<Data>(sessions, form)
      assert.deepEqual({ ...found }, { userId: 'ada', views: 1 })
      assert.equal(found?.id, ada.id)
    }
    const renewed = await fetch(`${address}/renew`, { headers: ada.headers })
    await renewed.text()
    assert.equal((await readSession<Data>(sessions, renewed.headers.getSetCookie()))?.userId, 'ada')
  })

  it('may be compared and printed like the data alone', async (test) => {
    const { sessions } = await shop(test)
    const found = await readSession<Data>(sessions, await signIn<Data>(sessions, { basket: { items: ['tea'] } }))
    assert.deepEqual(found, { basket: { items: ['tea'] } })
    assert.equal(inspect(found), "{ basket: { items: [ 'tea' ] } }")
  })

  it('is undefined for a session that has ended, and for what names none', async (test) => {
    const { sessions, agent } = await shop(test)
    const ada = await signIn<Data>(sessions, { userId: 'ada' })
    const { cookies } = await agent().get('/sign-out', { cookie: ada.cookie })
    for (const form of [ada, cookies, 'sid=forged', '', undefined, []])
      assert.equal(await readSession(sessions, form), undefined)
  })

  it('extends nothing, and changes what it is told to', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { sessions, agent } = await shop(test, { store, idleTimeout: 1000_000 })
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const ada = await signIn<Data>(sessions, { userId: 'ada' })
    const end = (await store.load(ada.id))?.expiresAt
    test.mock.timers.tick(500_000)
    const found = await readSession<Data>(sessions, ada)
    assert.ok(found)
    assert.equal((await store.load(ada.id))?.expiresAt, end)
    await found.update((visitor) => (visitor.userId = 'bob'))
    assert.equal((await agent().get('/', { cookie: ada.cookie })).text, 'bob')
  })

  it('says what is wrong with what it was given', async () => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    await assert.rejects(
      readSession({} as never, ''),
      refusal('ERR_SESSION_OPTION', /readSession: it takes what session/),
    )
    await assert.rejects(readSession(sessions, 42 as never), refusal('ERR_SESSION_OPTION', /not a number/))
    await assert.rejects(readSession(sessions, [42] as never), refusal('ERR_SESSION_OPTION', /not a list/))
  })
})

describe('fakeSession(data)', () => {
  /** A service that knows no ctx. */
  async function signInAs(userId: string): Promise<void> {
    await getSession().regenerate({ keep: ['basket'] as never })
    currentSession()['userId'] = userId
  }

  it('is a session for services that find theirs by getSession()', () => {
    const visitor = fakeSession<Data>({ userId: 'ada', basket: { items: [] } })
    runWithSession(visitor, () => (currentSession() as Data).basket?.items.push('tea'))
    assert.deepEqual(visitor, { userId: 'ada', basket: { items: ['tea'] } })
  })

  it('is that of a visitor who comes back, or of a new one', () => {
    const known = fakeSession<Data>({ userId: 'ada' })
    assert.equal(known.isNew, false)
    assert.match(known.id, /^[0-9a-f]{64}$/)
    assert.ok(known.expiresAt > known.createdAt)
    assert.equal(fakeSession().isNew, true)
  })

  it('has the data that all sessions of the application may have, beside what it was given', () => {
    const visitor = fakeSession({ userId: 'ada' })
    visitor.visits = 1 // of the example's SessionData: without a type for it, this would not compile
    assert.deepEqual({ ...visitor }, { userId: 'ada', visits: 1 })
  })

  it('has members that work without a store', async () => {
    const visitor = fakeSession<Data>({ views: 1 })
    assert.equal(await visitor.update((current) => (current.views = (current.views ?? 0) + 1)), 2)
    visitor.views = 3
    await visitor.save()
    visitor.views = 4
    await visitor.reload()
    assert.equal(visitor.views, 3)
    visitor.identify('ada', 'Firefox on Linux')
    visitor.remember(1000_000)
    await visitor.save()
    const { signal } = visitor
    await visitor.destroy()
    assert.ok(signal.aborted)
    assert.throws(() => (visitor.views = 1), refusal('ERR_SESSION_ENDED', /destroyed/))
  })

  it('has the notices that it was given, and shows those that were left as the next request would see them', async () => {
    const visitor = fakeSession((session) => session.flash('error', 'The name is missing'))
    assert.deepEqual(visitor.flashes('error'), ['The name is missing'])
    for (const text of ['Saved', 'Sent']) visitor.flash('notice', text)
    assert.deepEqual(visitor.flashes('notice'), [])
    await visitor.save()
    await visitor.reload()
    assert.deepEqual([visitor.flashes('error'), visitor.flashes('notice')], [[], ['Saved', 'Sent']])
  })

  it('is the old session after regenerate, and the new one is found where it was', async () => {
    const visitor = fakeSession<Data>({ basket: { items: ['tea'] }, views: 1 })
    await runWithSession(visitor, () => signInAs('ada'))
    const after = runWithSession(visitor, getSession) as AnySession
    assert.notEqual(after.id, visitor.id)
    assert.deepEqual({ ...after }, { basket: { items: ['tea'] }, userId: 'ada' })
    assert.throws(() => (visitor.views = 2), refusal('ERR_SESSION_ENDED', /regenerated/))
  })

  it('may have proved who they are, and proves it anew', async () => {
    const visitor = fakeSession<Data>({ views: 1 }, { proved: 'password' })
    assert.equal(visitor.provedWithin('password', 60_000), true)
    assert.equal(fakeSession(undefined, { proved: 'password' }).provedWithin('password', 60_000), true)
    assert.equal(visitor.provedWithin('passkey', 60_000), false)
    await visitor.prove('passkey')
    assert.equal(runWithSession(visitor, getSession).provedWithin(['passkey'], 60_000), true)
  })

  it('refuses what production would refuse', async () => {
    assert.throws(() => fakeSession({ at: () => {} }), refusal('ERR_SESSION_VALUE', /at/))
    assert.throws(() => fakeSession({ id: 1 }), refusal('ERR_SESSION_RESERVED_KEY', /id/))
    assert.throws(() => fakeSession(42 as never), refusal('ERR_SESSION_OPTION', /fakeSession: the data must be/))
    const visitor = fakeSession<Data>({})
    await assert.rejects(
      visitor.update(async () => {}),
      refusal('ERR_SESSION_OPTION', /promise/),
    )
  })

  it('shares nothing with another one', async () => {
    const [one, other] = [fakeSession<Data>({ views: 1 }), fakeSession<Data>({ views: 1 })]
    await one.destroy()
    await other.save()
    assert.equal(other.views, 1)
  })
})

describe('a test', () => {
  it('may serve an application whose keys are its own, once a request has shown them', async (test) => {
    const app = new Koa()
    app.keys = [KEY]
    const sessions = session<Data>({ store: 'memory:' })
    app.use(sessions).use((ctx) => void (ctx.body = String((ctx.session as Data).userId)))
    const { agent } = await serve(test, app)
    await agent().get('/')
    const ada = await signIn(sessions, { userId: 'ada' })
    assert.equal((await agent().get('/', { cookie: ada.cookie })).text, 'ada')
  })
})
