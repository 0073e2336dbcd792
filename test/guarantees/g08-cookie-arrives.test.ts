import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import Keygrip from 'keygrip'
import Koa from 'koa'
import { memoryStore, session, type SessionOptions } from '../../src/index.ts'
import { clocksOf } from '../support/clocks.ts'
import { Agent, KEY, OLD_KEY, serve, sessionOf, siteWith, type Site } from '../support/sites/http.ts'

/** A site that does what the path names with its session, and then answers as the query says. */
async function site(test: TestContext, options: SessionOptions = {}, prepare?: (app: Koa) => void): Promise<Site> {
  return siteWith(
    test,
    options,
    async (ctx) => {
      const session = sessionOf(ctx)
      const { status, text } = ctx.query as Record<string, string>
      if (ctx.path === '/write') session['user'] = 'alice'
      if (ctx.path === '/save') {
        session['user'] = 'alice'
        await session.save()
        session['later'] = 'dropped'
      }
      if (ctx.path === '/regenerate') {
        await session.regenerate()
        sessionOf(ctx)['fresh'] = true
      }
      if (ctx.path === '/destroy') await session.destroy()
      if (ctx.path === '/null') ctx.session = null
      if (text !== undefined) throw text
      if (status !== undefined) ctx.throw(Number(status))
      ctx.body = { ...ctx.session }
    },
    prepare,
  )
}

describe('G8: the cookie of an answer to an error', () => {
  for (const status of [400, 401, 403, 404, 409, 422, 429]) {
    it(`arrives with ctx.throw(${status}), and its session is saved`, async (test) => {
      const agent = (await site(test)).agent()
      const reply = await agent.get(`/write?status=${status}`)
      assert.equal(reply.status, status)
      assert.equal(reply.cookies.length, 1)
      assert.equal(reply.headers['cache-control'], 'no-store')
      assert.equal(reply.headers.vary, 'Cookie')
      assert.equal((await agent.get('/')).text, '{"user":"alice"}')
    })
  }

  it('arrives with a 401 after regenerate, and the new session holds what was put into it', async (test) => {
    const agent = (await site(test)).agent()
    await agent.get('/write')
    const old = agent.cookieHeader
    assert.equal((await agent.get('/regenerate?status=401')).cookies.length, 1)
    assert.notEqual(agent.cookieHeader, old)
    assert.equal((await agent.get('/')).text, '{"fresh":true}')
    assert.equal((await agent.get('/', { cookie: old })).text, '{}')
  })

  it('does not come with a 5xx if nothing was saved by then, and the changes are dropped', async (test) => {
    const agent = (await site(test)).agent()
    for (const query of ['status=500', 'status=503', 'text=no-error-at-all']) {
      assert.deepEqual((await agent.get(`/write?${query}`)).cookies, [], query)
    }
    assert.equal((await agent.get('/')).text, '{}')
  })

  for (const query of ['status=500', 'status=503', 'text=no-error-at-all']) {
    it(`comes with a failure (${query}) for what was done explicitly, and only that is kept`, async (test) => {
      const agent = (await site(test)).agent()
      const saved = await agent.get(`/save?${query}`)
      assert.ok(saved.status >= 500)
      assert.equal(saved.cookies.length, 1)
      assert.equal((await agent.get('/')).text, '{"user":"alice"}')

      const regenerated = await agent.get(`/regenerate?${query}`)
      assert.equal(regenerated.cookies.length, 1)
      assert.equal((await agent.get('/')).text, '{}', 'what was set after regenerate() was not saved')

      const destroyed = await agent.get(`/destroy?${query}`)
      assert.match(destroyed.cookies[0] ?? '', /^sid=;/)
      assert.equal(agent.cookies.size, 0)
    })
  }

  it('never reaches another visitor, also when every request throws the same error object', async (test) => {
    const unauthorized = Object.assign(new Error('unauthorized'), {
      status: 401,
      headers: { 'WWW-Authenticate': 'Basic' },
    })
    const { agent } = await siteWith(test, {}, (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = 'alice'
      throw unauthorized
    })
    assert.equal((await agent().get('/write')).cookies.length, 1)
    const other = await agent().get('/')
    assert.deepEqual(other.cookies, [])
    assert.equal(other.headers['www-authenticate'], 'Basic')
    assert.deepEqual(Object.keys(unauthorized.headers), ['WWW-Authenticate'])
  })

  it('keeps the headers and cookies that the error brings', async (test) => {
    const { agent } = await siteWith(test, {}, (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      ctx.throw(401, 'no', { headers: { 'set-cookie': 'theirs=1', 'Cache-Control': 'private', Vary: 'Accept' } })
    })
    const { cookies, headers } = await agent().get('/')
    assert.deepEqual(cookies.map(nameOf), ['theirs', 'sid'])
    assert.equal(headers['cache-control'], 'private')
    assert.equal(headers.vary, 'Accept, Cookie')
  })

  it('tells caches that an error depends on the cookie if the session was used', async (test) => {
    const agent = (await site(test)).agent()
    assert.equal((await agent.get('/?status=404')).headers.vary, 'Cookie')
  })

  it('arrives when an outer middleware answers the error in its own way', async (test) => {
    const { agent } = await site(test, {}, (app) => {
      app.use(async (ctx, next) => {
        await next().catch((error: { status: number }) => {
          ctx.status = error.status
          ctx.set('Set-Cookie', 'theirs=1')
          ctx.body = 'sorry'
        })
      })
    })
    const { cookies, text } = await agent().get('/write?status=418')
    assert.equal(text, 'sorry')
    assert.deepEqual(cookies.map(nameOf), ['theirs', 'sid'])
  })
})

describe('G8: after a key rotation', () => {
  it('the cookie is signed anew once, with the same id and every attribute', async (test) => {
    clocksOf(test) // so that the cookie lasts for exactly as long as the session
    const store = memoryStore()
    const options: SessionOptions = {
      store,
      absoluteTimeout: 3_600_000,
      cookie: {
        name: 'app.sid',
        path: '/',
        domain: 'example.test',
        secure: true,
        sameSite: 'none',
        partitioned: true,
        priority: 'high',
        persistent: true,
      },
    }
    const before = await site(test, { ...options, keys: [OLD_KEY] })
    const agent = before.agent()
    const [first = ''] = (await agent.get('/write')).cookies
    const expected =
      /^app\.sid=[\w-]{43}\.[\w-]{43}; Max-Age=3600; Expires=[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT; Path=\/; Domain=example\.test; HttpOnly; Secure; SameSite=None; Partitioned; Priority=High$/
    assert.match(first, expected)

    const next = await siteWith(test, { ...options, keys: [KEY, OLD_KEY] }, (ctx) => {
      if (ctx.path !== '/unused') ctx.body = { ...ctx.session }
      ctx.body ??= ''
    })
    for (const path of ['/', '/unused']) {
      const browser = new Agent(next.port, new Map(agent.cookies))
      const old = browser.cookies.get('app.sid') as string
      const { cookies } = await browser.get(path)
      assert.equal(cookies.length, 1)
      assert.match(cookies[0] as string, expected)
      const renewed = browser.cookies.get('app.sid') as string
      assert.equal(renewed.split('.')[0], old.split('.')[0])
      assert.notEqual(renewed, old)
      assert.deepEqual((await browser.get(path)).cookies, [], 'once')
      assert.equal((await browser.get('/')).text, '{"user":"alice"}')
    }
    assert.deepEqual(next.sessions.stats().resigned, [0, 2])
  })

  it('with sessions.rotate the old cookie is good while its key is in the list', async (test) => {
    const { agent, sessions } = await siteWith(test, { keys: [OLD_KEY] }, (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = 'alice'
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/write')
    const old = browser.cookieHeader
    sessions.rotate([KEY, OLD_KEY])
    assert.equal((await browser.get('/')).cookies.length, 1)
    assert.equal((await browser.get('/')).cookies.length, 0)
    sessions.rotate([KEY])
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
    assert.equal((await browser.get('/', { cookie: old })).text, '{}')
  })
})

describe('G8: the attributes', () => {
  const cases: [SessionOptions, RegExp][] = [
    [{}, /^sid=[\w.-]{87}; Path=\/; HttpOnly; SameSite=Lax$/],
    [{ cookie: { sameSite: 'strict', path: '/write' } }, /^sid=[\w.-]{87}; Path=\/write; HttpOnly; SameSite=Strict$/],
    [
      { cookie: { name: '__Host-sid', secure: true } },
      /^__Host-sid=[\w.-]{87}; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    ],
    [{ cookie: { priority: 'low' } }, /; SameSite=Lax; Priority=Low$/],
    [{ cookie: { persistent: true } }, /; Max-Age=28800; Expires=.*GMT; Path=\//],
  ]
  for (const [options, expected] of cases) {
    it(`follow ${JSON.stringify(options)}`, async (test) => {
      clocksOf(test)
      const agent = (await site(test, options)).agent()
      assert.match((await agent.get('/write')).cookies[0] ?? '', expected)
      assert.deepEqual((await agent.get('/write')).cookies, [], 'once')
    })
  }

  it('stay persistent through regenerate', async (test) => {
    clocksOf(test)
    const agent = (await site(test, { cookie: { persistent: true } })).agent()
    await agent.get('/write')
    assert.match((await agent.get('/regenerate')).cookies[0] ?? '', /; Max-Age=28800; /)
  })

  it('become persistent with remember(), on a session that had none', async (test) => {
    clocksOf(test)
    const { agent } = await siteWith(test, {}, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/remember') ctx.session.remember({ idleTimeout: 86_400_000, absoluteTimeout: 10 * 86_400_000 })
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    assert.doesNotMatch((await browser.get('/in')).cookies[0] ?? 'Max-Age', /Max-Age/)
    assert.match((await browser.get('/remember')).cookies[0] ?? '', /; Max-Age=864000; Expires=/)
    assert.deepEqual((await browser.get('/')).cookies, [])
  })

  it('become persistent with remember(), also if update() is what stores it', async (test) => {
    clocksOf(test)
    const terms = { idleTimeout: 86_400_000, absoluteTimeout: 10 * 86_400_000 }
    const { agent } = await siteWith(test, {}, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/in') session['cart'] = ['tea']
      if (ctx.path === '/regenerate') await session.regenerate({ keep: true })
      if (ctx.path === '/inside') await session.update((fresh) => fresh.remember(terms))
      else if (ctx.path !== '/in') sessionOf(ctx).remember(terms)
      if (ctx.path !== '/in') await sessionOf(ctx).update((fresh) => (fresh['logins'] = 1))
      ctx.body = ''
    })
    for (const path of ['/before', '/inside', '/regenerate']) {
      const browser = agent()
      await browser.get('/in')
      assert.match((await browser.get(path)).cookies[0] ?? '', /; Max-Age=864000; Expires=/, path)
    }
  })

  it('are signed as Keygrip does it', async (test) => {
    const agent = (await site(test, { cookie: { name: 'sid' } })).agent()
    await agent.get('/write')
    const [id, signature] = (agent.cookies.get('sid') ?? '').split('.')
    assert.equal(signature, new Keygrip([KEY], 'sha256').sign(`sid=${id}`))
  })

  it('secure "auto" follows ctx.secure, through a trusted proxy', async (test) => {
    const agent = (await site(test, {}, (app) => (app.proxy = true))).agent()
    const { cookies } = await agent.get('/write', { headers: { 'x-forwarded-proto': 'https' } })
    assert.match(cookies[0] ?? '', /^__Host-sid=.*; Secure/)
  })

  for (const secure of ['auto', true] as const) {
    it(`secure: ${secure} behind a proxy that is not trusted is no failure, and one warning`, async (test) => {
      const warnings: string[] = []
      const listen = (warning: Error & { code?: string }): void =>
        void warnings.push(`${warning.code}: ${warning.message}`)
      process.on('warning', listen)
      test.after(() => process.off('warning', listen))
      const { agent } = await site(test, { cookie: { secure } })
      for (let index = 0; index < 3; index++) {
        const { status, cookies } = await agent().get('/write', { headers: { 'x-forwarded-proto': 'https' } })
        assert.equal(status, 200)
        assert.equal(/; Secure/.test(cookies[0] ?? ''), secure === true)
      }
      await after(1)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] ?? '', /^SESSION_PROXY_NOT_TRUSTED: .*app\.proxy = true/)
    })
  }
})

describe('G8: other code and its headers', () => {
  /** What handlers do with cookies of their own, around ours. */
  const handlers: Record<string, Koa.Middleware> = {
    'ctx.cookies.set': (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      ctx.cookies.set('theirs', '1')
      ctx.body = ''
    },
    "ctx.set('Set-Cookie', …) after save": async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      await ctx.session.save()
      ctx.set('Set-Cookie', 'theirs=1')
      ctx.body = ''
    },
    'a list of cookies, among them a stale one of ours': async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      ctx.set('Set-Cookie', ['sid=forged', 'theirs=1'])
      ctx.body = ''
    },
    'ctx.remove after save, and one of their own': async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      await ctx.session.save()
      ctx.remove('Set-Cookie')
      ctx.append('Set-Cookie', 'theirs=1')
      ctx.body = ''
    },
    'writeHead with an object': byHand({ 'set-cookie': 'theirs=1' }),
    'writeHead with an object and a list': byHand({ 'Set-Cookie': ['theirs=1'] }),
    'writeHead with a flat list': byHand(['Set-Cookie', 'theirs=1', 'X-Other', 'kept']),
    'writeHead with pairs': byHand([
      ['Set-Cookie', 'theirs=1'],
      ['X-Other', 'kept'],
    ]),
    'writeHead with a reason and an object': async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      await ctx.session.save()
      ctx.respond = false
      ctx.res.writeHead(200, 'Fine', { 'Set-Cookie': 'theirs=1' })
      ctx.res.end()
    },
    'res.setHeader by hand, after save': async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      await ctx.session.save()
      ctx.respond = false
      ctx.res.statusCode = 200
      ctx.res.setHeader('Set-Cookie', 'theirs=1')
      ctx.res.end()
    },
  }
  for (const [what, handler] of Object.entries(handlers)) {
    it(`both cookies arrive with ${what}`, async (test) => {
      const { agent } = await siteWith(test, {}, handler)
      const { cookies, headers, status } = await agent().get('/')
      assert.equal(status, 200)
      assert.deepEqual(cookies.map(nameOf).toSorted(), ['sid', 'theirs'])
      assert.match(cookies.find((cookie) => cookie.startsWith('sid=')) ?? '', /^sid=[\w.-]{87};/)
      assert.equal(headers['cache-control'], 'no-store')
    })
  }

  for (const form of [{ 'X-Other': 'kept' }, ['X-Other', 'kept'], [['X-Other', 'kept']]]) {
    it(`writeHead without a Set-Cookie keeps ours: ${JSON.stringify(form)}`, async (test) => {
      const { agent } = await siteWith(test, {}, byHand(form))
      const { cookies, headers } = await agent().get('/')
      assert.deepEqual(cookies.map(nameOf), ['sid'])
      assert.equal(headers['x-other'], 'kept')
    })
  }

  it('a middleware outside of ours may set its own afterwards', async (test) => {
    const { agent } = await site(test, {}, (app) => {
      app.use(async (ctx, next) => {
        await next()
        ctx.set('Set-Cookie', 'theirs=1')
      })
    })
    assert.deepEqual((await agent().get('/write')).cookies.map(nameOf), ['theirs', 'sid'])
  })

  it('two session middlewares each set their cookie, also on an error and with writeHead', async (test) => {
    const app = new Koa()
    const outer = session<Record<string, unknown>>({ keys: [KEY], store: memoryStore(), cookie: { name: 'outer' } })
    const inner = session<Record<string, unknown>>({
      keys: [KEY],
      store: memoryStore(),
      property: 'inner',
      cookie: { name: 'inner' },
    })
    app.use(outer).use(inner)
    app.use(async (ctx) => {
      outer.get()['n'] = 1
      inner.get()['n'] = 2
      if (ctx.path === '/throw') ctx.throw(400)
      if (ctx.path === '/head') {
        await outer.get().save()
        await inner.get().save()
        ctx.respond = false
        ctx.res.writeHead(200, { 'Set-Cookie': 'theirs=1' }).end()
      }
      ctx.body = ''
    })
    const { port } = await serve(test, app)
    assert.deepEqual((await new Agent(port).get('/')).cookies.map(nameOf).toSorted(), ['inner', 'outer'])
    assert.deepEqual((await new Agent(port).get('/throw')).cookies.map(nameOf).toSorted(), ['inner', 'outer'])
    assert.deepEqual((await new Agent(port).get('/head')).cookies.map(nameOf).toSorted(), ['inner', 'outer', 'theirs'])
  })
})

describe('G8: cookies that come in', () => {
  it('of several with our name, the first that has a session counts, whatever stands around them', async (test) => {
    const browser = (await site(test)).agent()
    await browser.get('/write')
    const good = browser.cookieHeader
    const forged = `sid=${'A'.repeat(43)}.${'B'.repeat(43)}`
    const dead = `sid=${'A'.repeat(43)}.${new Keygrip([KEY], 'sha256').sign(`sid=${'A'.repeat(43)}`)}`
    for (const cookie of [
      `${forged}; ${good}`,
      `${dead}; ${good}`,
      `sid=; sid=x; ${good}`,
      `${dead}; ${forged}; sid=short; ${good}`,
      `xsid=1; other="sid=2"; ${good}; ${forged}`,
      `a=b;${good};c=d`,
    ]) {
      const reply = await browser.get('/', { cookie })
      assert.equal(reply.text, '{"user":"alice"}', cookie.replace(good, 'sid=GOOD'))
      assert.deepEqual(reply.cookies, [])
    }
    const behindMany = await browser.get('/', { cookie: `${Array(100).fill(forged).join('; ')}; ${good}` })
    assert.equal(behindMany.text, '{"user":"alice"}', 'no number of forgeries hides the real one')
  })

  it('that are stale, forged or nonsense send nothing back', async (test) => {
    const browser = (await site(test)).agent()
    await browser.get('/write')
    const good = browser.cookieHeader
    await browser.get('/destroy')
    for (const cookie of [
      good,
      `${good.slice(0, -1)}!`,
      'sid=',
      'sid=%',
      `sid=${'A'.repeat(87)}`,
      good.replace('sid', 'SID'),
      ';;;=;sid',
    ]) {
      const { cookies, status, text } = await browser.get('/', { cookie })
      assert.deepEqual([status, text, cookies], [200, '{}', []])
    }
  })

  for (const path of ['/destroy', '/null']) {
    it(`${path} clears the cookie with the attributes it was set with, and only if the browser has one`, async (test) => {
      const { agent } = await site(test, {
        cookie: { path: '/', domain: 'example.test', secure: true, sameSite: 'none', partitioned: true },
      })
      assert.deepEqual((await agent().get(path)).cookies, [])
      const browser = agent()
      await browser.get('/write')
      const { cookies } = await browser.get(path)
      assert.deepEqual(cookies, [
        'sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Domain=example.test; HttpOnly; Secure; SameSite=None; Partitioned',
      ])
    })
  }
})

function byHand(headers: object): Koa.Middleware {
  return async (ctx) => {
    sessionOf(ctx)['user'] = 'alice'
    await ctx.session.save()
    ctx.respond = false
    ctx.res.writeHead(200, headers as never)
    ctx.res.end()
  }
}

function nameOf(cookie: string): string {
  return cookie.slice(0, cookie.indexOf('='))
}
