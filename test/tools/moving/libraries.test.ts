import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore, type SessionOptions } from '../../../src/index.ts'
import { sessionOf, siteWith } from '../../support/sites/http.ts'
import { DATA, OLD_SITES, type OldSite } from '../../support/sites/old-sites.ts'
import { keysOf } from '../../support/stores/stores.ts'

/** The site that takes the place of the old one, and a browser of somebody who is signed in there. */
async function moved(test: TestContext, old: OldSite, options: SessionOptions = {}) {
  const store = memoryStore({ pruneInterval: 0 })
  const site = await siteWith(test, { store, movingFrom: [old.reader], ...options }, async (ctx) => {
    const visitor = sessionOf(ctx)
    if (ctx.path === '/out') await visitor.destroy()
    ctx.body = { ...visitor }
  })
  const browser = old.agent()
  assert.equal((await browser.get('/in')).text, 'ada')
  return { ...site, store, browser: browser.at(site.port), before: browser, cookie: browser.cookieHeader }
}

for (const [library, start] of Object.entries(OLD_SITES)) {
  describe(`a visitor with a session of ${library}`, () => {
    it('has a session here, with its data and under a new cookie, and none there', async (test) => {
      const old = await start(test)
      const { browser, before, store, sessions, cookie } = await moved(test, old)
      const names = [...browser.cookies.keys()]
      const reply = await browser.get('/')
      assert.deepEqual(reply.json(), DATA)
      assert.deepEqual([...browser.cookies.keys()], ['sid'], `instead of ${names}`)
      assert.match(reply.headers['cache-control'] ?? '', /no-store/)
      assert.deepEqual((await browser.get('/')).json(), DATA)
      assert.equal((await keysOf(store)).length, 1)
      assert.equal(sessions.stats().moved, 1)
      if (old.count) {
        assert.equal(old.count(), 0)
        assert.equal((await before.get('/', { cookie })).text, 'nobody')
      }
    })

    it('has one session, however many requests with the old cookie come at once', async (test) => {
      const { browser, store, cookie } = await moved(test, await start(test))
      const replies = await Promise.all(Array.from({ length: 8 }, () => browser.get('/', { cookie })))
      for (const reply of replies) assert.deepEqual(reply.json(), DATA)
      const given = new Set(replies.map(({ cookies }) => cookies.find((set) => set.startsWith('sid='))?.split(';')[0]))
      assert.equal(given.size, 1)
      assert.equal((await keysOf(store)).length, 1)
    })

    it('has none here after signing out, whoever comes with the old cookie', async (test) => {
      const old = await start(test)
      const { browser, cookie, store } = await moved(test, old)
      const late = await browser.get('/out', { cookie })
      assert.deepEqual(browser.cookieHeader, '', 'both cookies are removed')
      assert.equal(late.status, 200)
      assert.deepEqual((await browser.get('/', { cookie })).json(), {})
      assert.deepEqual(await keysOf(store), [])
    })

    it('has none with a cookie that is not signed by the old keys, or not the whole one', async (test) => {
      const { browser, cookie, store, sessions } = await moved(test, await start(test))
      const forged = cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
      for (const header of [forged, cookie.replace(/=/, '=x'), cookie.split('; ')[0]?.slice(0, -4) ?? ''])
        assert.deepEqual((await browser.get('/', { cookie: header })).json(), {}, header)
      assert.deepEqual(await keysOf(store), [])
      assert.equal(sessions.stats().moved, 0)
    })

    it('has none once the old one has expired', async (test) => {
      test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const { browser, store } = await moved(test, await start(test, { maxAge: 60_000 }))
      test.mock.timers.tick(61_000)
      assert.deepEqual((await browser.get('/')).json(), {})
      assert.deepEqual(await keysOf(store), [])
    })

    it('has none after signing out there', async (test) => {
      const old = await start(test)
      if (!old.count && !library.startsWith('express')) return // what is in a cookie cannot be ended
      const { browser, before, cookie } = await moved(test, old)
      await before.get('/out', { cookie })
      assert.deepEqual((await browser.get('/', { cookie })).json(), {})
    })
  })
}
