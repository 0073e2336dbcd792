import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { DestroyOptions } from '../../src/index.ts'
import { sessionOf, siteWith, type Agent } from '../support/sites/http.ts'

/** A visitor with a session, of a site where `/out` signs out with these options. */
async function signedIn(test: TestContext, options: unknown, status = 200): Promise<Agent> {
  const { agent } = await siteWith(test, {}, async (ctx) => {
    if (ctx.path === '/in') sessionOf(ctx)['userId'] = 'ada'
    if (ctx.path === '/out') {
      try {
        await sessionOf(ctx).destroy(options as DestroyOptions)
      } catch (error) {
        return void (ctx.body = (error as Error).message)
      }
      if (status >= 400) ctx.throw(status)
    }
    ctx.body = String(sessionOf(ctx)['userId'])
  })
  const visitor = agent()
  await visitor.get('/in')
  return visitor
}

describe('session.destroy({ clear })', () => {
  it('has the browser forget what it has kept of the site, with the cookie', async (test) => {
    const visitor = await signedIn(test, { clear: ['cache', 'storage'] })
    assert.equal((await visitor.get('/')).headers['clear-site-data'], undefined)
    const { headers, cookies } = await visitor.get('/out')
    assert.equal(headers['clear-site-data'], '"cache", "storage"')
    assert.match(cookies[0] ?? '', /^sid=; Max-Age=0/)
    assert.equal((await visitor.get('/')).text, 'undefined')
  })

  it('does so on the page of an error, whose headers Koa removes', async (test) => {
    for (const status of [404, 500]) {
      const visitor = await signedIn(test, { clear: ['cache'] }, status)
      assert.equal((await visitor.get('/out')).headers['clear-site-data'], '"cache"')
    }
  })

  it('says nothing of it without the option', async (test) => {
    for (const options of [undefined, {}, { clear: [] }, null]) {
      const visitor = await signedIn(test, options)
      const { headers, cookies } = await visitor.get('/out')
      assert.equal(headers['clear-site-data'], undefined)
      assert.match(cookies[0] ?? '', /^sid=; Max-Age=0/)
    }
  })

  it('does so although the handler destroys the session once more, without the option', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['userId'] = 'ada'
      if (ctx.path === '/out') {
        await sessionOf(ctx).destroy({ clear: ['cache'] })
        await sessionOf(ctx).destroy({ clear: ['storage'] })
        await sessionOf(ctx).destroy()
      }
      ctx.body = 'done'
    })
    const visitor = agent()
    await visitor.get('/in')
    assert.equal((await visitor.get('/out')).headers['clear-site-data'], '"cache", "storage"')
  })

  it('refuses other options, and the session stays', async (test) => {
    const wrong: [unknown, RegExp][] = [
      [{ clear: ['cookies'] }, /clear must be a list of 'cache' and 'storage'/],
      [{ clear: 'cache' }, /clear must be a list/],
      [{ cookies: true }, /The cookie of the session is always cleared/],
      [true, /session\.destroy: it takes nothing, a callback or options.*not true/],
    ]
    for (const [options, words] of wrong) {
      const visitor = await signedIn(test, options)
      assert.match((await visitor.get('/out')).text, words)
      assert.equal((await visitor.get('/')).text, 'ada')
    }
  })
})
