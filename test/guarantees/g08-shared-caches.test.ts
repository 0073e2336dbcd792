import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import { memoryStore, tryGetSessionId, type SessionOptions, type Store } from '../../src/index.ts'
import { cachingProxy } from '../support/proxies/caching-proxy.ts'
import { currentSession, sessionOf, siteWith, Agent } from '../support/sites/http.ts'

describe('G8: what a handler says of caching', () => {
  const choices: [string | undefined, string][] = [
    [undefined, 'no-store'],
    ['public, max-age=60', 'no-store'],
    ['max-age=60', 'no-store'],
    ['private, max-age=60', 'private, max-age=60'],
    ['no-store', 'no-store'],
  ]
  for (const [chosen, expected] of choices) {
    it(`Cache-Control: ${chosen ?? '(none)'} becomes ${expected} with a cookie, and ${chosen ? 'stays' : 'private'} without`, async (test) => {
      const { agent } = await siteWith(test, {}, async (ctx) => {
        if (ctx.path === '/write') {
          sessionOf(ctx)['user'] = 'alice'
          await ctx.session.save()
        }
        if (chosen) ctx.set('Cache-Control', chosen)
        ctx.body = { ...ctx.session }
      })
      const browser = agent()
      assert.equal((await browser.get('/write')).headers['cache-control'], expected)
      assert.equal((await browser.get('/')).headers['cache-control'], chosen ?? 'private')
    })
  }

  it('Vary names the cookie whenever the session was used, beside what it named, and not otherwise', async (test) => {
    const { agent } = await siteWith(test, {}, (ctx) => {
      if (ctx.query['vary']) ctx.set('Vary', String(ctx.query['vary']))
      if (ctx.path === '/used') void sessionOf(ctx)['user']
      ctx.body = ''
    })
    const vary = async (path: string): Promise<string | undefined> => (await agent().get(path)).headers.vary
    assert.equal(await vary('/used'), 'Cookie')
    assert.equal(await vary('/used?vary=Accept'), 'Accept, Cookie')
    assert.equal(await vary('/used?vary=Accept,cookie'), 'Accept,cookie')
    assert.equal(await vary('/used?vary=*'), '*')
    assert.equal(await vary('/unused'), undefined)
    assert.equal(await vary('/unused?vary=Accept'), 'Accept')
  })
})

async function* greeting(): AsyncGenerator<string> {
  yield 'hello '
  yield String(currentSession()['user'])
}

/** Each way to answer that shows the visitor's name: with Koa's help, past it, early and late. */
const ANSWERS: Readonly<Record<string, (ctx: Koa.Context) => unknown>> = {
  text: (ctx) => (ctx.body = `hello ${sessionOf(ctx)['user']}`),
  'an object whose toJSON reads the session': (ctx) =>
    (ctx.body = { toJSON: () => ({ hello: String(currentSession()['user']) }) }),
  'a stream that reads the session late': (ctx) => (ctx.body = Readable.from(greeting())),
  'a web stream that reads the session late': (ctx) =>
    (ctx.body = new ReadableStream({
      pull(controller) {
        controller.enqueue(Buffer.from(`hello ${currentSession()['user']}`))
        controller.close()
      },
    })),
  'an empty answer': (ctx) => (ctx.status = sessionOf(ctx)['user'] ? 204 : 404),
  'a redirect': (ctx) => ctx.redirect(`/of/${sessionOf(ctx)['user']}`),
  'res.end with ctx.respond = false': (ctx) => {
    ctx.respond = false
    ctx.res.statusCode = 200
    ctx.res.end(`hello ${sessionOf(ctx)['user']}`)
  },
  'res.write before Koa': (ctx) => {
    ctx.res.statusCode = 200
    ctx.res.write(`hello ${sessionOf(ctx)['user']}`)
    ctx.res.end()
  },
  'res.writeHead with headers of its own': (ctx) => {
    ctx.respond = false
    const { user } = sessionOf(ctx)
    ctx.res.writeHead(200, { 'X-Own': 'yes', Vary: 'Accept' }).end(`hello ${user}`)
  },
  'a head that leaves before the session is read': async (ctx) => {
    ctx.respond = false
    ctx.res.writeHead(200).flushHeaders()
    await Promise.resolve()
    ctx.res.end(`hello ${currentSession()['user']}`)
  },
  'an answer that Koa leaves to a timer': (ctx) => {
    ctx.respond = false
    setImmediate(() => {
      ctx.res.statusCode = 200
      ctx.res.flushHeaders()
      ctx.res.end(`hello ${currentSession()['user']}`)
    })
  },
}

describe('G8: an answer that may depend on the session', () => {
  for (const [name, answer] of Object.entries(ANSWERS)) {
    for (const who of ['a member', 'a stranger']) {
      it(`says so to caches: ${name}, to ${who}`, async (test) => {
        const browser = await visitorOf(test, answer, who)
        const { headers } = await browser.get('/page')
        assert.match(String(headers.vary), /\bCookie\b/)
        assert.equal(headers['cache-control'], 'private')
      })
    }

    it(`keeps what the handler says of caching, and varies all the same: ${name}`, async (test) => {
      const browser = await visitorOf(
        test,
        (ctx) => {
          ctx.set('Cache-Control', 'public, max-age=60')
          return answer(ctx)
        },
        'a member',
      )
      const { headers } = await browser.get('/page')
      assert.match(String(headers.vary), /\bCookie\b/)
      assert.equal(headers['cache-control'], 'public, max-age=60')
    })
  }

  it('says so with 304 and with HEAD', async (test) => {
    const browser = await visitorOf(
      test,
      (ctx) => {
        ctx.etag = String(sessionOf(ctx)['user'])
        ctx.status = 200
        if (ctx.fresh) ctx.status = 304
        else ctx.body = 'hello'
      },
      'a member',
    )
    const fresh = await browser.get('/page', { headers: { 'If-None-Match': '"ada"' } })
    assert.deepEqual([fresh.status, fresh.headers.vary, fresh.headers['cache-control']], [304, 'Cookie', 'private'])
    const head = await browser.get('/page', { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.vary, head.headers['cache-control']], [200, 'Cookie', 'private'])
  })

  it('says so if the session is first used by a middleware above, after everything below it', async (test) => {
    const { agent } = await siteWith(
      test,
      {},
      (ctx) => void (ctx.body = 'below'),
      (app) => {
        app.use(async (ctx, next) => {
          await next()
          ctx.body = `hello ${String(sessionOf(ctx)['user'])}`
        })
      },
    )
    const { headers, text } = await agent().get('/')
    assert.deepEqual([text, headers.vary, headers['cache-control']], ['hello undefined', 'Cookie', 'private'])
  })

  it('says so if the store could not be read, and the handler went on without a session', async (test) => {
    const down: Store = {
      ...memoryStore({ pruneInterval: 0 }),
      load() {
        throw new Error('down')
      },
    }
    const { agent } = await siteWith(test, { store: down, cache: false }, (ctx) => {
      let user = 'stranger'
      try {
        user = String(sessionOf(ctx)['user'])
      } catch {}
      ctx.body = `hello ${user}`
    })
    const browser = agent()
    const { text, headers } = await browser.get('/', { cookie: await someCookie(test) })
    assert.deepEqual([text, headers.vary, headers['cache-control']], ['hello stranger', 'Cookie', 'private'])
  })

  it('says so with the page of an error, which no cache keeps for long', async (test) => {
    const browser = await visitorOf(
      test,
      (ctx) => ctx.throw(404, `nothing here, ${sessionOf(ctx)['user']}`),
      'a member',
    )
    const { status, headers } = await browser.get('/page')
    assert.deepEqual([status, headers.vary, headers['cache-control']], [404, 'Cookie', undefined])
  })

  it('leaves alone what does not depend on it: text, JSON, nothing, an id in a log line', async (test) => {
    const { agent } = await siteWith(test, {}, (ctx) => {
      void tryGetSessionId()
      if (ctx.path === '/text') ctx.body = 'hello'
      if (ctx.path === '/json') ctx.body = { hello: 'you' }
      if (ctx.path === '/empty') ctx.status = 204
    })
    for (const path of ['/text', '/json', '/empty', '/missing']) {
      const { headers } = await agent().get(path)
      assert.deepEqual([headers.vary, headers['cache-control']], [undefined, undefined], path)
    }
  })

  it('warns once if a middleware above makes a body that uses the session after the head has left', async (test) => {
    const warnings: (Error & { code?: string })[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    test.after(() => process.off('warning', onWarning))
    const { agent } = await siteWith(
      test,
      {},
      (ctx) => void (ctx.body = 'below'),
      (app) => {
        app.use(async (ctx, next) => {
          await next()
          ctx.body = Readable.from(greeting())
        })
      },
    )
    for (let request = 0; request < 2; request++) assert.equal((await agent().get('/')).text, 'hello undefined')
    const ours = warnings.filter(({ code }) => code === 'SESSION_USED_TOO_LATE')
    assert.equal(ours.length, 1)
    assert.match(ours[0]?.message ?? '', /Vary: Cookie/)
  })
})

/** What a cache in front of the site is told, and whether it keeps pages of which it is told nothing. */
const POLICIES: Readonly<Record<string, { says?: string; keep?: string }>> = {
  'that keeps pages of which nothing is said': { keep: '10m' },
  'that is told public': { says: 'public, max-age=600' },
  'that is told max-age alone': { says: 'max-age=600', keep: '10m' },
}

describe('G8: nginx as a cache that visitors share', () => {
  for (const [policy, { says, keep }] of Object.entries(POLICIES)) {
    it(`shows nobody the page of another, ${policy}`, async (test) => {
      const answers = Object.values(ANSWERS)
      const { port } = await siteWith(test, {}, async (ctx) => {
        if (ctx.path === '/in') {
          sessionOf(ctx)['user'] = ctx.query['user']
          ctx.body = 'in'
          return
        }
        if (says !== undefined) ctx.set('Cache-Control', says)
        await answers[Number(ctx.path.slice(1))]?.(ctx)
      })
      const proxy = await cachingProxy(port, keep === undefined ? {} : { keep })
      test.after(() => proxy.stop())
      const visitors = ['ada', 'bob', undefined].map((user) => ({ user, browser: new Agent(proxy.port) }))
      for (const { user, browser } of visitors) if (user !== undefined) await browser.get(`/in?user=${user}`)
      for (const [index, name] of Object.keys(ANSWERS).entries()) {
        for (const round of [1, 2]) {
          for (const { user, browser } of visitors) {
            const { text, headers } = await browser.get(`/${index}`)
            const others = ['ada', 'bob'].filter((other) => other !== user)
            const shown = `${text} ${headers.location ?? ''}`
            assert.ok(!others.some((other) => shown.includes(other)), `${name}, round ${round}: ${user} got ${shown}`)
          }
        }
      }
    })
  }

  it('serves from its memory what depends on nobody, so the cache above was at work', async (test) => {
    const { port } = await siteWith(test, {}, (ctx) => {
      ctx.set('Cache-Control', 'public, max-age=600')
      ctx.body = 'for everybody'
    })
    const proxy = await cachingProxy(port)
    test.after(() => proxy.stop())
    await new Agent(proxy.port).get('/')
    assert.equal((await new Agent(proxy.port).get('/')).headers['x-cache'], 'HIT')
  })
})

async function visitorOf(
  test: TestContext,
  answer: (ctx: Koa.Context) => unknown,
  who: string,
  options: SessionOptions = {},
): Promise<Agent> {
  const { agent } = await siteWith(test, options, async (ctx) => {
    if (ctx.path === '/in') {
      sessionOf(ctx)['user'] = 'ada'
      ctx.body = 'in'
    } else await answer(ctx)
  })
  const browser = agent()
  if (who === 'a member') await browser.get('/in')
  return browser
}

/** A cookie that the site's own keys have signed. */
async function someCookie(test: TestContext): Promise<string> {
  const browser = await visitorOf(test, () => {}, 'a member')
  return browser.cookieHeader
}
