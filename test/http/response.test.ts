import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Readable } from 'node:stream'
import Koa from 'koa'
import { session, type SessionOptions } from '../../src/index.ts'
import { serve } from '../support/sites/http.ts'
import { assertHides } from '../support/secrecy.ts'
import type { AnySession } from '../support/visit.ts'

const KEYS = ['a secret for signing cookies']

type Handler = (ctx: Koa.Context & { session: AnySession }) => unknown

interface Options extends SessionOptions {
  prepare?: (app: Koa) => unknown
}

/** An application with one handler behind one session middleware, and what it answers. */
async function answering(test: TestContext, handler: Handler, { prepare, ...options }: Options = {}) {
  const app = new Koa()
  prepare?.(app)
  const sessions = session({ keys: KEYS, store: 'memory:', ...options })
  test.after(() => sessions.close())
  app.use(sessions)
  app.use(async (ctx) => {
    await handler(ctx)
  })
  const { agent } = await serve(test, app)
  return {
    app,
    sessions,
    async ask(path = '/', headers: Record<string, string> = {}) {
      const answer = await agent().get(path, { headers })
      const own = answer.cookies.filter((cookie) => /^(?:__Host-)?sid=/.test(cookie))
      assert.ok(own.length <= 1, 'the cookie is set once')
      return {
        ...answer,
        headers: new Headers(answer.headers as Record<string, string>),
        own: own[0],
        cookie: own[0]?.split(';')[0] ?? '',
      }
    },
  }
}

describe('a response that sets the session cookie', () => {
  it('may not be stored by anybody, and depends on the cookie', async (t) => {
    const { ask } = await answering(t, (ctx) => (ctx.session['a'] = 1))
    const { headers, own } = await ask()
    assert.match(own ?? '', /^sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('vary'), 'Cookie')
  })

  it('leaves a handler its own words on caching, if they forbid sharing', async (t) => {
    const { ask } = await answering(t, (ctx) => {
      ctx.session['a'] = 1
      ctx.set('Cache-Control', ctx.query['say'] as string)
      ctx.set('Vary', 'Accept')
    })
    assert.equal((await ask('/?say=private,max-age=5')).headers.get('cache-control'), 'private,max-age=5')
    assert.equal((await ask('/?say=public,max-age=5')).headers.get('cache-control'), 'no-store')
    assert.equal((await ask('/?say=public')).headers.get('vary'), 'Accept, Cookie')
  })

  it('forbids storing also where the handler allowed it after the cookie was set', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      await ctx.session.regenerate()
      ctx.set('Cache-Control', 'public, max-age=600')
    })
    assert.equal((await ask()).headers.get('cache-control'), 'no-store')
  })

  it('keeps the cookies of others, and is kept when others replace the header', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      ctx.cookies.set('theme', 'dark')
      await ctx.session.regenerate()
      if (ctx.path === '/replaced') ctx.set('Set-Cookie', ['lang=de'])
      if (ctx.path === '/removed') ctx.remove('Set-Cookie')
      ctx.append('Set-Cookie', 'other=1')
    })
    const names = async (path: string): Promise<string[]> =>
      (await ask(path)).cookies.map((cookie) => cookie.split('=')[0] as string).toSorted()
    assert.deepEqual(await names('/'), ['other', 'sid', 'theme'])
    assert.deepEqual(await names('/replaced'), ['lang', 'other', 'sid'])
    assert.deepEqual(await names('/removed'), ['other', 'sid'])
  })

  it('has one cookie, the last, if the session changed several times', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      if (ctx.path === '/read') return void (ctx.body = { ...ctx.session })
      ctx.session['a'] = 1
      await ctx.session.save()
      await ctx.session.regenerate({ keep: true })
      await ctx.session.regenerate({ keep: true })
    })
    const { cookie } = await ask()
    assert.equal((await ask('/read', { cookie })).text, '{"a":1}')
  })

  it('has the cookie of a save that nobody waited for', async (t) => {
    const { ask } = await answering(t, (ctx) => {
      ctx.session['a'] = 1
      void ctx.session.save()
    })
    assert.ok((await ask()).own)
  })
})

describe('a response that sets no session cookie', () => {
  it('says that it depends on the cookie and is private if the session was used, and not otherwise', async (t) => {
    const { ask } = await answering(t, (ctx) => {
      if (ctx.path === '/used') ctx.body = String(ctx.session['a'])
    })
    assert.equal((await ask('/used')).headers.get('vary'), 'Cookie')
    assert.equal((await ask('/used')).headers.get('cache-control'), 'private')
    assert.equal((await ask('/unused')).headers.get('cache-control'), null)
    assert.equal((await ask('/unused')).headers.get('vary'), null)
  })
})

describe('res.writeHead(status, headers)', () => {
  const forms: [form: string, write: (ctx: Koa.Context) => void][] = [
    ['an object', (ctx) => ctx.res.writeHead(201, { 'Set-Cookie': ['lang=de', 'other=1'], 'X-Own': 'yes' })],
    ['an object, with a reason', (ctx) => ctx.res.writeHead(201, 'Made', { 'set-cookie': 'lang=de', 'X-Own': 'yes' })],
    ['a flat list', (ctx) => ctx.res.writeHead(201, ['Set-Cookie', 'lang=de', 'X-Own', 'yes'])],
    [
      'a list of pairs',
      (ctx) =>
        ctx.res.writeHead(201, [
          ['Set-Cookie', 'lang=de'],
          ['X-Own', 'yes'],
        ] as never),
    ],
    ['no cookies', (ctx) => ctx.res.writeHead(201, { 'X-Own': 'yes' })],
    ['nothing', (ctx) => ctx.res.setHeader('X-Own', 'yes').writeHead(201)],
  ]
  for (const [form, write] of forms) {
    it(`keeps our cookie and theirs: ${form}`, async (t) => {
      const { ask } = await answering(t, async (ctx) => {
        ctx.session['a'] = 1
        await ctx.session.save()
        ctx.respond = false
        write(ctx)
        ctx.res.end('done')
      })
      const { status, headers, own, cookies, text } = await ask()
      assert.deepEqual([status, headers.get('x-own'), text], [201, 'yes', 'done'])
      assert.ok(own)
      if (form !== 'no cookies' && form !== 'nothing') assert.ok(cookies.some((cookie) => cookie.startsWith('lang=de')))
    })
  }

  it('keeps the cookies of all middlewares', async (t) => {
    const app = new Koa()
    for (const name of ['outer', 'inner']) {
      const sessions = session<Record<string, unknown>>({
        keys: KEYS,
        store: 'memory:',
        property: name,
        cookie: { name },
      })
      app.use(sessions)
      app.use(async (_ctx, next) => {
        sessions.get()['a'] = name
        await sessions.get().save()
        await next()
      })
    }
    app.use((ctx) => {
      ctx.respond = false
      ctx.res.writeHead(200, { 'Set-Cookie': 'lang=de' })
      ctx.res.end()
    })
    const { cookies } = await (await serve(t, app)).agent().get('/')
    assert.deepEqual(cookies.map((cookie) => cookie.split('=')[0]).toSorted(), ['inner', 'lang', 'outer'])
  })
})

describe('a response to an error', () => {
  for (const status of [400, 404, 500, 503]) {
    it(`${status} carries the cookie of what was done before it`, async (t) => {
      const { ask, app } = await answering(t, async (ctx) => {
        if (ctx.path === '/read') return void (ctx.body = { ...ctx.session })
        ctx.session['a'] = 1
        await ctx.session.save()
        ctx.throw(status, 'the reason')
      })
      const errors: unknown[] = []
      app.on('error', (error: unknown) => errors.push(error))
      const { cookie, headers, ...answer } = await ask()
      assert.equal(answer.status, status)
      assert.equal(headers.get('cache-control'), 'no-store')
      assert.equal(headers.get('vary'), 'Cookie')
      assert.equal((await ask('/read', { cookie })).text, '{"a":1}')
      assert.equal(errors.length, 1)
      assertHides(errors, cookie.slice(4))
    })
  }

  it('carries what was done in a request that ends with a client error', async (t) => {
    const { ask } = await answering(t, (ctx) => {
      ctx.session['a'] = 1
      ctx.throw(404)
    })
    assert.ok((await ask()).own)
  })

  it('carries no cookie of another visitor, though both are thrown the very same error', async (t) => {
    const shared = Object.assign(new Error('always the same'), { status: 404, expose: true })
    const { ask } = await answering(t, (ctx) => {
      if (ctx.path === '/login') ctx.session['user'] = 'ann'
      throw shared
    })
    assert.ok((await ask('/login')).own)
    const stranger = await ask('/')
    assert.deepEqual(stranger.cookies, [])
    assert.equal(stranger.status, 404)
  })

  it('carries the headers of the error too', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      ctx.session['a'] = 1
      ctx.set('X-Handler', 'gone with the error, as Koa has it')
      ctx.set('Set-Cookie', 'handler=1')
      ctx.throw(401, 'who are you', {
        headers: { 'WWW-Authenticate': 'Basic', 'Set-Cookie': ['lang=de'], 'Cache-Control': 'public, max-age=60' },
      })
    })
    const { headers, own, cookies, text } = await ask()
    assert.equal(headers.get('www-authenticate'), 'Basic')
    assert.equal(headers.get('x-handler'), null)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.ok(own)
    assert.deepEqual(
      cookies.filter((cookie) => cookie !== own),
      ['lang=de'],
    )
    assert.equal(text, 'who are you')
  })

  it('carries the cookie whatever is thrown', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      ctx.session['a'] = 1
      await ctx.session.save()
      throw { text: 'a text', object: {}, sealed: Object.seal(Object.assign(new Error('sealed'), { status: 500 })) }[
        ctx.path.slice(1)
      ]
    })
    for (const path of ['/text', '/object', '/sealed']) assert.ok((await ask(path)).own, path)
  })

  it('carries the cookies of all middlewares', async (t) => {
    const app = new Koa()
    for (const name of ['outer', 'inner']) {
      const sessions = session<Record<string, unknown>>({
        keys: KEYS,
        store: 'memory:',
        property: name,
        cookie: { name },
      })
      app.use(sessions)
      app.use(async (_ctx, next) => {
        sessions.get()['a'] = name
        await next()
      })
    }
    app.use((ctx) => ctx.throw(404))
    const { cookies } = await (await serve(t, app)).agent().get('/')
    assert.deepEqual(cookies.map((cookie) => cookie.split('=')[0]).toSorted(), ['inner', 'outer'])
  })

  it('carries the cookie if another middleware answers it', async (t) => {
    const prepare = (app: Koa): unknown => app.use((ctx, next) => next().catch(() => (ctx.status = 418)))
    const { ask } = await answering(
      t,
      async (ctx) => {
        ctx.session['a'] = 1
        await ctx.session.save()
        throw new Error('down below')
      },
      { prepare },
    )
    const { status, own } = await ask()
    assert.equal(status, 418)
    assert.ok(own)
  })

  it('that comes in the middle of the body changes nothing any more', async (t) => {
    const { ask, app } = await answering(t, (ctx) => {
      ctx.session['a'] = 1
      ctx.body = Readable.from(
        (async function* () {
          yield 'begun'
          throw new Error('in the middle')
        })(),
      )
    })
    const failed = new Promise((resolve) => app.once('error', resolve))
    await ask().catch(() => {})
    assert.match(String(await failed), /in the middle/)
  })
})

describe('a response that ends a session', () => {
  it('clears the cookie that the browser has, and none that it has not', async (t) => {
    const { ask } = await answering(t, async (ctx) => {
      if (ctx.path === '/login') ctx.session['user'] = 'ann'
      else await ctx.session.destroy()
    })
    const { cookie } = await ask('/login')
    assert.match(
      (await ask('/logout', { cookie })).own ?? '',
      /^sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=\/; HttpOnly; SameSite=Lax$/,
    )
    assert.equal((await ask('/logout')).own, undefined)
    assert.match((await ask('/logout', { cookie: 'sid=nonsense' })).own ?? '', /^sid=; /)
  })
})

describe("secure: 'auto'", () => {
  it('follows the request, and behind a proxy what the proxy says', async (t) => {
    const { ask, app } = await answering(t, (ctx) => (ctx.session['a'] = 1))
    assert.doesNotMatch((await ask()).own ?? '', /Secure/)
    app.proxy = true
    assert.match((await ask('/', { 'x-forwarded-proto': 'https' })).own ?? '', /^__Host-sid=.*; Secure;/)
  })

  it('warns once, with what to do, if a proxy is there that the application does not trust', async (t) => {
    const warnings: (Error & { code?: string })[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const { ask } = await answering(t, (ctx) => (ctx.session['a'] = 1), { cookie: { secure: true } })
    for (let request = 0; request < 2; request++) {
      assert.match((await ask('/', { 'x-forwarded-proto': 'https' })).own ?? '', /^__Host-sid=.*; Secure;/)
    }
    const ours = warnings.filter(({ code }) => code === 'SESSION_PROXY_NOT_TRUSTED')
    assert.equal(ours.length, 1)
    assert.match(ours[0]?.message ?? '', /app\.proxy = true/)
  })
})
