import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Koa from 'koa'
import mount from 'koa-mount'
import { getSession, session, tryGetSession } from '../../src/index.ts'
import { clocksOf } from '../support/clocks.ts'
import { KEY, serve, siteWith, type AnySession } from '../support/sites/http.ts'
import { collectWarnings } from '../support/warnings.ts'

/** Counts the visits of those who have a session. */
const COUNT: Koa.Middleware = (ctx) => {
  const visitor = ctx.session as AnySession | undefined
  if (visitor) visitor['visits'] = Number(visitor['visits'] ?? 0) + 1
  ctx.body = visitor ? String(visitor['visits']) : `no session: ${String(tryGetSession())}`
}

describe('cookie.path', () => {
  it('has sessions inside of it, and none outside, so that nothing there replaces the visitor’s cookie', async (test) => {
    const { agent, sessions } = await siteWith(test, { cookie: { path: '/admin' } }, COUNT)
    const visitor = agent()
    const answers = []
    for (const path of [
      '/admin/in',
      '/admin',
      '/admin?page=2',
      '/admin#top',
      '/favicon.ico',
      '/',
      '/administrator',
      '/ADMIN',
      '/admin/',
    ]) {
      // As a browser does, which sends the cookie with no other requests.
      const isInside = /^\/admin(?:[/?#]|$)/.test(path)
      const { text, cookies } = await visitor.get(path, isInside ? {} : { cookie: '' })
      answers.push(`${path} ${text}${cookies.length > 0 ? ', a cookie' : ''}`)
    }
    assert.deepEqual(answers, [
      '/admin/in 1, a cookie',
      '/admin 2',
      '/admin?page=2 3',
      '/admin#top 4',
      '/favicon.ico no session: undefined',
      '/ no session: undefined',
      '/administrator no session: undefined',
      '/ADMIN no session: undefined',
      '/admin/ 5',
    ])
    assert.equal(sessions.stats().saves, 5)
  })

  it('that ends with a slash is outside of itself without the slash, as in browsers', async (test) => {
    const { agent } = await siteWith(test, { cookie: { path: '/admin/' } }, COUNT)
    assert.equal((await agent().get('/admin')).text, 'no session: undefined')
    assert.equal((await agent().get('/admin/')).text, '1')
    assert.equal((await agent().get('/admin/a')).text, '1')
  })

  it('is the path that the browser sees: in a mounted application, and in a request line with the whole address', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:', cookie: { path: '/admin' } })
    test.after(() => sessions.close())
    const inner = new Koa().use(sessions).use(COUNT)
    const site = await serve(test, new Koa().use(mount('/admin', inner)).use(mount('/other', inner)))
    assert.equal((await site.agent().get('/admin/page')).text, '1')
    assert.equal((await site.agent().get('/other/admin')).text, 'no session: undefined')
    assert.equal((await site.agent().get(`${site.address}/admin/page`)).text, '1')
    assert.equal((await site.agent().get(`${site.address}/admin-page`)).text, 'Not Found')
  })

  it('is inside where the cookie came, whatever a proxy has made of the path', async (test) => {
    const { agent } = await siteWith(test, { cookie: { path: '/admin' } }, COUNT)
    const visitor = agent()
    await visitor.get('/admin')
    assert.equal((await visitor.get('/taken-away')).text, '2')
    assert.equal((await agent().get('/', { cookie: 'sid=forged' })).text, '1')
  })

  it('is known after a proxy that takes a part away, if the proxy says so and is trusted', async (test) => {
    const { agent, app } = await siteWith(test, { cookie: { path: '/admin' } }, COUNT)
    for (const prefix of ['/admin', '/admin/', '/admin, /more']) {
      app.proxy = true
      assert.equal((await agent().get('/', { headers: { 'x-forwarded-prefix': prefix } })).text, '1')
      app.proxy = false
      assert.equal(
        (await agent().get('/', { headers: { 'x-forwarded-prefix': prefix } })).text,
        'no session: undefined',
      )
    }
  })

  it('that no request is inside of is told, with what to do, once somebody looks for a session', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent } = await siteWith(test, { cookie: { path: '/app' } }, (ctx) => {
      ctx.body = ctx.path === '/plain' ? '' : String(ctx.session)
    })
    await agent().get('/plain')
    assert.deepEqual(await warnings(), [])
    for (let visit = 0; visit < 2; visit++) await agent().get('/page')
    const [warning, ...more] = await warnings()
    assert.equal(warning?.code, 'SESSION_OUTSIDE_COOKIE_PATH')
    assert.match(warning?.message ?? '', /X-Forwarded-Prefix \(and set app\.proxy = true\).*proxy_cookie_path/)
    assert.deepEqual(more, [])
  })

  it('that some requests are inside of is no reason for a warning about others', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent } = await siteWith(test, { cookie: { path: '/app' } }, COUNT)
    for (const path of ['/app', '/', '/favicon.ico']) await agent().get(path)
    assert.deepEqual(await warnings(), [])
  })

  it('is in the error of getSession() outside of it', async (test) => {
    const { agent, app } = await siteWith(test, { cookie: { path: '/app' } }, () => void getSession())
    const errors: Error[] = []
    app.on('error', (error: Error) => errors.push(error))
    await agent().get('/')
    assert.match(errors[0]?.message ?? '', /outside of cookie\.path/)
  })
})

describe('a cookie that is a function', () => {
  it('has the attributes of each request: a domain for each site, and a third party’s in a frame', async (test) => {
    clocksOf(test)
    const { agent, sessions } = await siteWith(
      test,
      {
        cookieName: 'wid',
        cookie: (ctx) =>
          ctx.query['embedded'] === undefined
            ? { domain: ctx.hostname.replace(/^www\./, ''), persistent: true }
            : { secure: true, sameSite: 'none', partitioned: true },
      },
      async (ctx) => {
        if (ctx.path === '/regenerate') await ctx.session.regenerate()
        if (ctx.path === '/out') await ctx.session.destroy()
        else COUNT(ctx, async () => {})
      },
    )
    const visitor = agent()
    const set = async (path: string, host: string): Promise<string> =>
      (await visitor.get(path, { headers: { host } })).cookies.join().replace(/^wid=[\w.-]*/, 'wid')
    assert.match(
      await set('/', 'www.one.example'),
      /^wid; Max-Age=28800; Expires=.* Domain=one\.example; HttpOnly; SameSite=Lax$/,
    )
    assert.match(
      await set('/regenerate', 'two.example'),
      /^wid; Max-Age=.* Domain=two\.example; HttpOnly; SameSite=Lax$/,
    )
    assert.equal(
      await set('/out?embedded', 'two.example'),
      'wid; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; Secure; SameSite=None; Partitioned',
    )
    assert.equal(await set('/?embedded', 'two.example'), 'wid; Path=/; HttpOnly; Secure; SameSite=None; Partitioned')
    assert.equal(sessions.stats().regenerates, 1)
  })

  it('may have a path for each request, outside of which there is no session', async (test) => {
    const { agent } = await siteWith(test, { cookie: (ctx) => ({ path: `/${ctx.hostname}` }) }, COUNT)
    const ask = async (path: string): Promise<string> => (await agent().get(path, { headers: { host: 'shop' } })).text
    assert.deepEqual([await ask('/shop'), await ask('/blog')], ['1', 'no session: undefined'])
  })

  it('with wrong attributes fails the request, and says what is wrong', async (test) => {
    const { agent, app } = await siteWith(test, { cookie: (ctx) => ({ domain: ctx.get('x-domain') }) }, COUNT)
    const errors: (Error & { code?: string })[] = []
    app.on('error', (error: Error) => errors.push(error))
    assert.equal((await agent().get('/', { headers: { 'x-domain': 'a;b' } })).status, 500)
    assert.equal((await agent().get('/', { headers: { 'x-domain': 'one.example' } })).status, 200)
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ERR_SESSION_OPTION'],
    )
    assert.match(errors[0]?.message ?? '', /cookie\.domain must be a host name/)
  })

  it('is not asked for requests that skip leaves out', async (test) => {
    const { agent } = await siteWith(test, { skip: () => true, cookie: () => assert.fail('asked') }, COUNT)
    assert.equal((await agent().get('/')).status, 200)
  })
})
