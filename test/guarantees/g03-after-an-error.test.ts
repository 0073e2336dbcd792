import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore, type Store } from '../../src/index.ts'
import { sessionOf, siteWith, type Agent } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

/** A visitor who has signed in, on a site that signs out and then throws what the query says. */
async function signedIn(test: TestContext): Promise<{ browser: Agent; store: Store; failDeletes: () => void }> {
  const memory = memoryStore({ pruneInterval: 0 })
  let isFailing = false
  const store: Store = {
    ...memory,
    delete(key, expected) {
      if (isFailing) throw new Error('the disk is full')
      return memory.delete(key, expected)
    },
  }
  const { agent } = await siteWith(
    test,
    { store, cache: false },
    async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      if (ctx.path === '/null') ctx.session = null
      if (ctx.path === '/forgotten') void ctx.session.destroy()
      if (ctx.path === '/new') {
        ctx.session = null
        ctx.session = { notice: 'You have signed out' }
      }
      const { status } = ctx.query
      if (status !== undefined) ctx.throw(Number(status))
      ctx.body = { ...ctx.session }
    },
    (app) => {
      app.use(async (ctx, next) => {
        if (ctx.query['caught'] === undefined) return next()
        await next().catch(() => (ctx.body = 'sorry'))
      })
    },
  )
  const browser = agent()
  await browser.get('/in')
  return { browser, store, failDeletes: () => (isFailing = true) }
}

describe('G3: a sign-out that is followed by an error', () => {
  for (const path of ['/null', '/forgotten', '/new']) {
    for (const status of [404, 500, 503]) {
      it(`is final: ${path}, then ctx.throw(${status})`, async (test) => {
        const { browser, store } = await signedIn(test)
        const cookie = browser.cookieHeader
        const answer = await browser.get(`${path}?status=${status}`)
        assert.equal(answer.status, status)
        assert.equal((await browser.get('/', { cookie })).text, '{}')
        assert.notEqual(browser.cookieHeader, cookie, 'the browser has forgotten the cookie')
        // What was set after the sign-out is kept as after any error: with a client's error, and not with a failure.
        assert.equal((await keysOf(store)).length, path === '/new' && status < 500 ? 1 : 0)
      })
    }

    it(`is final if a middleware above answers the error by a page of its own: ${path}`, async (test) => {
      const { browser } = await signedIn(test)
      const cookie = browser.cookieHeader
      assert.equal((await browser.get(`${path}?status=500&caught`)).text, 'sorry')
      assert.equal((await browser.get('/', { cookie })).text, '{}')
      assert.equal(browser.cookies.size, 0)
    })
  }

  for (const query of ['', '?status=404', '?status=500']) {
    it(`is no success if the store fails: /null${query}`, async (test) => {
      const { browser, failDeletes } = await signedIn(test)
      const cookie = browser.cookieHeader
      failDeletes()
      const answer = await browser.get(`/null${query}`)
      assert.ok(answer.status >= 400)
      assert.deepEqual(answer.cookies, [], 'a cleared cookie would only look like a sign-out')
      assert.equal((await browser.get('/', { cookie })).text, '{"user":"ada"}')
    })
  }

  it('is refused with what to do if it comes after the commit, from a middleware above', async (test) => {
    const { agent } = await siteWith(
      test,
      {},
      (ctx) => {
        sessionOf(ctx)['user'] = 'ada'
        ctx.body = 'hello'
      },
      (app) => {
        app.use(async (ctx, next) => {
          await next()
          if (ctx.path === '/null') {
            assert.throws(() => (ctx.session = null), { code: 'ERR_SESSION_COMMITTED', message: /destroy\(\)/ })
          }
          if (ctx.path === '/destroy') await ctx.session.destroy()
          if (ctx.path === '/regenerate') {
            for (const options of [{}, { keep: ['user'] as never }, { keep: true }] as const)
              await assert.rejects(ctx.session.regenerate(options), {
                code: 'ERR_SESSION_COMMITTED',
                message: /too late/,
              })
          }
        })
      },
    )
    const browser = agent()
    assert.equal((await browser.get('/null')).status, 200)
    assert.equal((await browser.get('/regenerate')).status, 200)
    assert.equal((await browser.get('/')).cookies.length, 0, 'the session lives under its id')
    assert.equal(browser.cookies.size, 1)
    await browser.get('/destroy')
    assert.equal(browser.cookies.size, 0)
  })
})
