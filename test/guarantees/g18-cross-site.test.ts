import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore, type SessionOptions } from '../../src/index.ts'
import { sessionOf, siteWith, type Agent } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

/** What Chromium sends with a request that another site began. */
const ELSEWHERE = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }

async function site(test: TestContext, options: SessionOptions = {}) {
  const store = memoryStore({ pruneInterval: 0 })
  const { agent, sessions } = await siteWith(test, { store, ...options }, async (ctx) => {
    const session = sessionOf(ctx)
    switch (ctx.path) {
      case '/write':
        session['visits'] = Number(session['visits'] ?? 0) + 1
        break
      case '/save':
        session['visits'] = 1
        await session.save()
        break
      case '/update':
        await session.update((fresh) => (fresh['visits'] = 1))
        break
      case '/flash':
        session.flash('notice', 'hello')
        break
      case '/replace':
        ctx.session = { visits: 1 }
        break
      case '/null':
        session['visits'] = 1
        ctx.session = null
        ctx.session = { visits: 1 }
        break
      case '/destroy':
        await ctx.session.destroy({ clear: ['storage'] })
        break
      case '/sign-in':
        session['cart'] = ['tea']
        await session.regenerate({ keep: ['cart'] })
        sessionOf(ctx)['user'] = 'ada'
        break
      case '/throw':
        session['visits'] = 1
        ctx.throw(404)
    }
    ctx.body = { ...ctx.session }
  })
  /** A request without the cookies that the browser has, as from another site. */
  const fromElsewhere = (browser: Agent, path: string, method = 'POST', cookie = '') =>
    browser.get(path, { method, headers: ELSEWHERE, cookie })
  return { agent, sessions, store, fromElsewhere }
}

describe('G18: a request from another site, without the cookie that the browser may have', () => {
  for (const path of ['/write', '/save', '/update', '/flash', '/replace', '/null', '/throw']) {
    it(`starts no session that reaches the browser: ${path}`, async (test) => {
      const { agent, store, fromElsewhere } = await site(test)
      const browser = agent()
      await browser.get('/write')
      const { cookies } = await fromElsewhere(browser, path)
      assert.deepEqual(cookies, [])
      assert.equal((await keysOf(store)).length, 1, 'nothing was stored')
      assert.equal((await browser.get('/')).text, '{"visits":1}')
    })
  }

  for (const path of ['/write', '/save', '/null', '/destroy']) {
    it(`nor if it has a cookie of the same name that is not ours: ${path}`, async (test) => {
      const { agent, store, fromElsewhere } = await site(test)
      const browser = agent()
      await browser.get('/write')
      const { cookies, headers } = await fromElsewhere(browser, path, 'POST', 'sid=planted')
      assert.deepEqual([cookies, headers['clear-site-data']], [[], undefined])
      assert.equal((await keysOf(store)).length, 1, 'nothing was stored')
    })
  }

  it('may write to its session and read what it wrote', async (test) => {
    const { agent, fromElsewhere } = await site(test)
    for (const path of ['/write', '/save', '/update', '/replace', '/null']) {
      assert.equal((await fromElsewhere(agent(), path)).text, '{"visits":1}', path)
    }
  })

  it('signs in by regenerate(): with its cookie, and with what it kept', async (test) => {
    const { agent, fromElsewhere } = await site(test)
    const browser = agent()
    await browser.get('/write')
    const { cookies } = await fromElsewhere(browser, '/sign-in')
    assert.equal(cookies.length, 1)
    assert.equal((await browser.get('/')).text, '{"cart":["tea"],"user":"ada"}')
  })

  it('is a request like others if it carries the cookie', async (test) => {
    const { agent } = await site(test)
    const browser = agent()
    await browser.get('/write')
    assert.equal((await browser.get('/write', { method: 'POST', headers: ELSEWHERE })).text, '{"visits":2}')
  })

  it('starts a session if no cookie was withheld: a link under lax, anything under none', async (test) => {
    const lax = await site(test)
    assert.equal((await lax.fromElsewhere(lax.agent(), '/write', 'GET')).cookies.length, 1)
    const none = await site(test, { cookie: { sameSite: 'none', secure: true } })
    assert.equal((await none.fromElsewhere(none.agent(), '/write')).cookies.length, 1)
    const strict = await site(test, { cookie: { sameSite: 'strict' } })
    assert.equal((await strict.fromElsewhere(strict.agent(), '/write', 'GET')).cookies.length, 0)
  })

  it('ends no session of the browser by destroy() or null', async (test) => {
    const { agent, fromElsewhere } = await site(test)
    const browser = agent()
    await browser.get('/write')
    assert.deepEqual((await fromElsewhere(browser, '/null')).cookies, [])
    const { cookies, headers } = await fromElsewhere(browser, '/destroy')
    assert.deepEqual([cookies, headers['clear-site-data']], [[], undefined])
    assert.equal((await browser.get('/')).text, '{"visits":1}')
  })
})
