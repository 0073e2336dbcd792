import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { memoryStore, session, type DiagnosticMessage, type SessionOptions } from '../../src/index.ts'
import { readSession, signIn } from '../../src/tools/testing.ts'
import { KEY, OLD_KEY, serve, sessionOf, siteWith, type Agent, type Reply } from '../support/sites/http.ts'

const HTTPS = { 'x-forwarded-proto': 'https' }

/** The names of the cookies that a response sets (`+`) and removes (`-`). */
function changes({ cookies }: Reply): string[] {
  return cookies.map((header) => {
    const [name = ''] = header.split('=', 1)
    return `${header.startsWith(`${name}=;`) ? '-' : '+'}${name}`
  })
}

/** One store, and two sites over it: as it was with `name: 'sid'`, and as it is with `name: 'auto'`. */
async function changeOver(test: TestContext, options: SessionOptions = {}) {
  const store = memoryStore({ pruneInterval: 0 })
  const site = (more: SessionOptions) =>
    siteWith(
      test,
      { store, ...options, ...more },
      async (ctx) => {
        const visitor = sessionOf(ctx)
        if (ctx.path === '/in') {
          visitor['user'] = ctx.query['as'] ?? 'ada'
          visitor.identify(String(visitor['user']))
        }
        if (ctx.path === '/renew') await visitor.regenerate({ keep: true })
        if (ctx.path === '/out') await visitor.destroy()
        if (ctx.path === '/revoked') await auto.sessions.revoke(visitor.id)
        ctx.body = String(visitor['user'] ?? 'nobody')
      },
      (app) => (app.proxy = true),
    )
  const auto = await site({ cookie: { name: 'auto' } })
  const before = await site({ cookie: { name: 'sid' } })
  return {
    ...auto,
    before,
    /** Whose session it is, over https, by these cookies. */
    async whoIs(cookie: string): Promise<string> {
      return (await auto.agent().get('/', { headers: HTTPS, cookie })).text
    },
    /** A browser with the cookie that the site gave out under `name: 'sid'`. */
    async browserFromBefore(as = 'ada'): Promise<Agent> {
      const browser = before.agent()
      await browser.get(`/in?as=${as}`, { headers: HTTPS })
      assert.deepEqual([...browser.cookies.keys()], ['sid'])
      return browser.at(auto.port)
    },
  }
}

function heardBy(test: TestContext): string[] {
  const heard: string[] = []
  const listen = (message: unknown): void => void heard.push(String((message as DiagnosticMessage).reason))
  subscribe('koa-server-session:suspicious', listen)
  test.after(() => unsubscribe('koa-server-session:suspicious', listen))
  return heard
}

describe("a cookie with the name 'auto'", () => {
  it('is __Host-sid over https and sid over http, and each connection knows its own', async (test) => {
    const { agent } = await changeOver(test)
    const browser = agent()
    const secure = await browser.get('/in?as=ada', { headers: HTTPS })
    assert.match(secure.cookies[0] ?? '', /^__Host-sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    const secureCookie = browser.cookieHeader
    const visitor = agent()
    const plain = await visitor.get('/in?as=bob')
    assert.match(plain.cookies[0] ?? '', /^sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)
    assert.equal((await browser.get('/', { headers: HTTPS })).text, 'ada')
    assert.equal((await visitor.get('/')).text, 'bob')
    assert.equal((await visitor.get('/', { cookie: secureCookie })).text, 'nobody')
  })

  it('is the plain one on every connection if the attributes leave no prefix', async (test) => {
    for (const cookie of [{ path: '/in' }, { domain: 'shop.test' }, { secure: false }]) {
      const { agent } = await siteWith(
        test,
        { cookie },
        (ctx) => void (sessionOf(ctx)['user'] = 'ada'),
        (app) => (app.proxy = true),
      )
      assert.deepEqual(changes(await agent().get('/in', { headers: HTTPS })), ['+sid'])
    }
  })

  it('is the one of each request if the attributes are', async (test) => {
    const heard = heardBy(test)
    const { agent } = await siteWith(
      test,
      { cookie: (ctx) => (ctx.query['domain'] ? { domain: String(ctx.query['domain']) } : {}) },
      (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
        ctx.body = String(sessionOf(ctx)['user'] ?? 'nobody')
      },
      (app) => (app.proxy = true),
    )
    const own = agent()
    assert.deepEqual(changes(await own.get('/in', { headers: HTTPS })), ['+__Host-sid'])
    const shared = agent()
    assert.deepEqual(changes(await shared.get('/in?domain=shop.test', { headers: HTTPS })), ['+sid'])
    assert.equal((await shared.get('/?domain=shop.test', { headers: HTTPS })).text, 'ada')
    assert.deepEqual(heard, [])
    assert.equal((await shared.get('/', { headers: HTTPS })).text, 'nobody', 'another host could have planted it')
    assert.deepEqual(heard, ['planted'])
  })

  it('stays two names apart from the cookie of a second middleware', async (test) => {
    const app = new Koa()
    app.proxy = true
    const visitors = session({ keys: [KEY], store: 'memory:' })
    const admins = session({ keys: [KEY], store: 'memory:', property: 'admin', cookie: { name: { auto: 'admin' } } })
    test.after(() => Promise.all([visitors.close(), admins.close()]))
    app.use(visitors).use(admins)
    app.use(async (ctx) => {
      const admin = admins.get() as unknown as Record<string, unknown> & { destroy(): Promise<void> }
      if (ctx.path === '/in') sessionOf(ctx)['user'] = admin['user'] = 'ada'
      if (ctx.path === '/out') await admin.destroy()
      ctx.body = `${String(sessionOf(ctx)['user'])} ${String(admin['user'])}`
    })
    const { agent } = await serve(test, app)
    const browser = agent()
    assert.deepEqual(changes(await browser.get('/in', { headers: HTTPS })).toSorted(), ['+__Host-admin', '+__Host-sid'])
    assert.equal((await browser.get('/', { headers: HTTPS })).text, 'ada ada')
    assert.deepEqual(changes(await browser.get('/out', { headers: HTTPS })), ['-__Host-admin'])
    assert.equal((await browser.get('/', { headers: HTTPS })).text, 'ada undefined')
  })

  it('is refused beside a middleware that has one of its names', async (test) => {
    for (const name of ['sid', '__Host-sid']) {
      const app = new Koa()
      const cookie = { name, secure: true }
      app.use(session({ keys: [KEY], store: 'memory:' }))
      app.use(session({ keys: [KEY], store: 'memory:', property: 'admin', cookie }))
      const errors: Error[] = []
      app.on('error', (error: Error) => errors.push(error))
      const { agent } = await serve(test, app)
      await agent().get('/')
      assert.match(errors[0]?.message ?? '', new RegExp(`both have the cookie '${name}'`))
    }
  })
})

describe("a visitor with a cookie from before 'auto'", () => {
  it('gets the new name over https, stays signed in, and the old name is removed', async (test) => {
    const { browserFromBefore, sessions } = await changeOver(test)
    const browser = await browserFromBefore()
    const [old] = browser.cookies.values()
    const reply = await browser.get('/', { headers: HTTPS })
    assert.equal(reply.text, 'ada')
    assert.deepEqual(changes(reply), ['+__Host-sid', '-sid'])
    assert.deepEqual([...browser.cookies.keys()], ['__Host-sid'])
    assert.equal(browser.cookies.get('__Host-sid')?.split('.')[0], old?.split('.')[0], 'the same session')
    const again = await browser.get('/', { headers: HTTPS })
    assert.deepEqual([again.text, changes(again)], ['ada', []])
    assert.equal(sessions.stats().suspicious, 0)
  })

  it('keeps the old name over http, where it is the right one', async (test) => {
    const { browserFromBefore } = await changeOver(test)
    const reply = await (await browserFromBefore()).get('/')
    assert.deepEqual([reply.text, changes(reply)], ['ada', []])
  })

  it('gets the new name with the new token of a sign-in', async (test) => {
    const { browserFromBefore } = await changeOver(test)
    const browser = await browserFromBefore()
    const { cookieHeader } = browser
    assert.deepEqual(changes(await browser.get('/renew', { headers: HTTPS })), ['+__Host-sid', '-sid'])
    assert.equal((await browser.get('/', { headers: HTTPS })).text, 'ada')
    assert.equal((await browser.get('/', { headers: HTTPS, cookie: cookieHeader })).text, 'nobody')
  })

  it('has one session with two requests at once', async (test) => {
    const { browserFromBefore, sessions, whoIs } = await changeOver(test)
    const browser = await browserFromBefore()
    const { cookieHeader } = browser
    const both = await Promise.all([1, 2].map(() => browser.get('/', { headers: HTTPS, cookie: cookieHeader })))
    const given = both.map(({ cookies }) => cookies[0]?.split(';')[0] ?? '')
    for (const cookie of given) assert.equal(await whoIs(cookie), 'ada')
    assert.equal((await sessions.list('ada')).length, 1)
  })

  it('gets the new name also if an older key has signed the old one', async (test) => {
    const { browserFromBefore, sessions } = await changeOver(test, { keys: [OLD_KEY] })
    const browser = await browserFromBefore()
    sessions.rotate([KEY, OLD_KEY])
    const reply = await browser.get('/', { headers: HTTPS })
    assert.deepEqual([reply.text, changes(reply)], ['ada', ['+__Host-sid', '-sid']])
    assert.deepEqual(sessions.stats().resigned, [0, 1])
  })

  it('loses both names by signing out', async (test) => {
    const { browserFromBefore, whoIs } = await changeOver(test)
    const browser = await browserFromBefore()
    const { cookieHeader } = browser
    assert.deepEqual(changes(await browser.get('/out', { headers: HTTPS })), ['-__Host-sid', '-sid'])
    assert.equal(await whoIs(cookieHeader), 'nobody')
  })

  it('gets no new name for a session that was ended meanwhile', async (test) => {
    const { browserFromBefore } = await changeOver(test)
    assert.deepEqual(changes(await (await browserFromBefore()).get('/revoked', { headers: HTTPS })), [])
  })

  it('is listed and revoked with those who have the new name', async (test) => {
    const { agent, browserFromBefore, before, sessions, whoIs } = await changeOver(test)
    const old = await browserFromBefore()
    await agent().get('/in', { headers: HTTPS })
    assert.equal((await sessions.list('ada')).length, 2)
    assert.equal((await before.sessions.list('ada')).length, 2)
    assert.equal(await sessions.revokeAll('ada'), 2)
    assert.equal(await whoIs(old.cookieHeader), 'nobody')
  })
})

describe("a cookie without the prefix that somebody planted, with the name 'auto'", () => {
  it('is not accepted over https if http gave it out', async (test) => {
    const heard = heardBy(test)
    const { agent, whoIs, sessions } = await changeOver(test)
    const attacker = agent()
    await attacker.get('/in?as=mallory')
    assert.equal(await whoIs(attacker.cookieHeader), 'nobody')
    assert.equal(await whoIs(attacker.cookieHeader), 'nobody')
    assert.deepEqual([heard, sessions.stats().suspicious], [['planted', 'planted'], 2])
    assert.equal((await attacker.get('/')).text, 'mallory', 'over http, it is as good as before')
  })

  it('cannot take the place of the visitor’s own, even if it is one from before', async (test) => {
    const { agent, browserFromBefore, whoIs } = await changeOver(test)
    const victim = agent()
    await victim.get('/in?as=ada', { headers: HTTPS })
    const planted = (await browserFromBefore('mallory')).cookieHeader
    const own = victim.cookieHeader
    assert.equal(await whoIs(`${planted}; ${own}`), 'ada')
    await victim.get('/out', { headers: HTTPS })
    assert.equal(await whoIs(`${planted}; ${own}`), 'nobody', 'nor after the visitor has signed out')
  })

  it('cannot be made any more: no connection gives out what https accepts without the prefix', async (test) => {
    const { browserFromBefore, whoIs, sessions } = await changeOver(test, { keys: [OLD_KEY] })
    const attacker = await browserFromBefore('mallory')
    sessions.rotate([KEY, OLD_KEY])
    await attacker.get('/') // signed anew
    sessions.rotate([KEY])
    assert.equal((await attacker.get('/')).text, 'mallory')
    assert.equal(await whoIs(attacker.cookieHeader), 'nobody')
  })

  it('is removed with the first cookie of the visitor, and one of other software stays', async (test) => {
    const { agent } = await changeOver(test)
    const visitor = agent()
    await visitor.get('/in')
    const left = await visitor.get('/in', { headers: HTTPS })
    assert.deepEqual(changes(left), ['+__Host-sid', '-sid'])
    const reply = await agent().get('/in', { headers: HTTPS, cookie: 'sid=s%3Aother-software' })
    assert.deepEqual(changes(reply), ['+__Host-sid'])
  })

  it('opens no socket over https', async (test) => {
    const { agent, sessions } = await changeOver(test)
    const attacker = agent()
    const victim = agent()
    await victim.get('/in?as=ada', { headers: HTTPS })
    await attacker.get('/in?as=mallory')
    const open = async (cookie: string, headers: object = {}): Promise<unknown> => {
      const request = new IncomingMessage(new Socket())
      Object.assign(request.headers, { cookie, ...headers })
      return ((await sessions.open(request)) as { user?: string } | undefined)?.user
    }
    assert.equal(await open(attacker.cookieHeader), 'mallory')
    assert.equal(await open(attacker.cookieHeader, HTTPS), undefined)
    assert.equal(await open(victim.cookieHeader, HTTPS), 'ada')
  })
})

describe("a socket that is opened before any request, with the name 'auto'", () => {
  it('takes the name with the prefix first, and the other one if that is all there is', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    const [ada, bob] = [
      await signIn(sessions, { user: 'ada' } as never),
      await signIn(sessions, { user: 'bob' } as never),
    ]
    const prefixed = ada.cookieFor('https://shop.test')
    const plain = bob.cookieFor('http://shop.test')
    assert.deepEqual([prefixed.name, plain.name], ['__Host-sid', 'sid'])
    const request = new IncomingMessage(new Socket())
    request.headers.cookie = `sid=${plain.value}; __Host-sid=${prefixed.value}`
    assert.equal((await sessions.open(request))?.id, ada.id)
    request.headers.cookie = `sid=${plain.value}`
    assert.equal((await sessions.open(request))?.id, bob.id)
    assert.equal((await readSession(sessions, `sid=${plain.value}`))?.id, bob.id)
  })
})
