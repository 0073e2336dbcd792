import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { fileStore, memoryStore, type Store } from '../../src/index.ts'
import { Agent, currentSession, sessionOf, siteWith } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const STORES: Record<string, (test: TestContext) => Store> = {
  memory: () => memoryStore(),
  files: () => fileStore({ directory: temporaryDirectory() }),
}

describe('G4: readers do not write', () => {
  for (const [name, make] of Object.entries(STORES)) {
    for (const cache of [undefined, false] as const) {
      it(`whatever they read, ${cache === false ? 'uncached' : 'cached'}, on ${name}`, async (test) => {
        const store = recordingStore({ over: make(test), power: 'isCurrent' })
        const { agent } = await siteWith(test, { store, ...(cache === false && { cache }) }, async (ctx) => {
          const session = sessionOf(ctx)
          if (ctx.path === '/fill') {
            Object.assign(session, {
              text: 'a',
              cart: { items: [1, { a: 2 }] },
              when: new Date(0),
              tags: new Set(['x']),
              big: { 1: 'a', 2: 'b' },
            })
          } else {
            // Everything is handed out, and something of it is set to what it is.
            ctx.body = [
              session['text'],
              session['cart'].items[1].a,
              session['when'].getTime(),
              [...session['tags']],
              session['big'][1],
            ]
            session['text'] = 'a'
            session['cart'] = { items: [1, { a: 2 }] }
            session['cart'].items.push(3)
            session['cart'].items.pop()
            session['extra'] = 1
            delete session['extra']
            await currentSession().save()
          }
          ctx.body ??= ''
        })
        const browser = agent()
        await browser.get('/fill')
        const saves = store.count('save')
        for (let index = 0; index < 20; index++) {
          assert.equal((await browser.get('/')).text, '["a",2,0,["x"],"a"]')
        }
        assert.deepEqual([store.count('save'), store.count('touch'), store.count('delete')], [saves, 0, 0])
      })
    }
  }

  it('and a visitor without a session costs the store nothing at all', async (test) => {
    const store = recordingStore({ power: 'isCurrent' })
    const { agent } = await siteWith(test, { store }, (ctx) => {
      ctx.body = { ...ctx.session, user: sessionOf(ctx)['user'] ?? null }
    })
    const { cookies } = await agent().get('/')
    assert.deepEqual(cookies, [])
    assert.deepEqual([store.calls, store.questions], [[], 0])
  })
})

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** After how much of the idle timeout a touch is due. */
const TENTH = HOUR / 10

/** From here on the clock stands still, and goes on only by `test.mock.timers.tick`. */
function stopClock(test: TestContext): void {
  test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
}

describe('G4: the touch that extends the idle timeout', () => {
  for (const [name, make] of Object.entries(STORES)) {
    it(`comes at most once per tenth of it, and only when used, on ${name}`, async (test) => {
      stopClock(test)
      const store = recordingStore({ over: make(test), power: 'isCurrent' })
      const { agent } = await siteWith(test, { store, idleTimeout: HOUR }, (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
        ctx.body = ''
      })
      const browser = agent()
      await browser.get('/in')
      for (let round = 1; round <= 2; round++) {
        for (let index = 0; index < 10; index++) await browser.get('/')
        test.mock.timers.tick(TENTH - 1)
        await browser.get('/')
        assert.equal(store.count('touch'), round - 1, 'not within the first tenth')
        test.mock.timers.tick(1)
        // At once, so that a touch under way is no reason for another.
        await Promise.all(Array.from({ length: 10 }, () => browser.get('/')))
        assert.equal(store.count('touch'), round, 'once after it, for ten parallel requests')
      }
      test.mock.timers.tick(TENTH)
      assert.equal(store.count('touch'), 2, 'not without a request')
      assert.equal(store.count('save'), 1)
    })
  }

  it('is one for parallel requests even while the store has not answered', async (test) => {
    stopClock(test)
    const store = recordingStore()
    const { agent } = await siteWith(test, { store, cache: false, idleTimeout: HOUR }, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      ctx.body = ''
    })
    const browser = agent()
    await browser.get('/in')
    test.mock.timers.tick(TENTH)
    store.holdAll('touch')
    await Promise.all(Array.from({ length: 10 }, () => browser.get('/')))
    // Without a cache each request reads the newest state before it knows whether a touch is due.
    await store.idle()
    assert.equal(store.count('touch'), 1)
    store.mend()
  })

  it('keeps a used session alive beyond the idle timeout, and an unused one not', async (test) => {
    stopClock(test)
    const { agent } = await siteWith(test, { idleTimeout: HOUR }, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      ctx.body = { ...ctx.session }
    })
    const [used, unused] = [agent(), agent()]
    await Promise.all([used.get('/in'), unused.get('/in')])
    for (let index = 0; index < 6; index++) {
      test.mock.timers.tick(HOUR / 4)
      assert.equal((await used.get('/')).text, '{"user":"alice"}')
    }
    assert.equal((await unused.get('/')).text, '{}')
  })

  it('carries no data: what another request wrote meanwhile stays, and the version too', async (test) => {
    stopClock(test)
    const inner = memoryStore()
    const store = recordingStore({ over: inner })
    const { port, sessions } = await siteWith(test, { store, cache: false, idleTimeout: HOUR }, (ctx) => {
      if (ctx.path !== '/') sessionOf(ctx)['page'] = ctx.path
      ctx.body = { ...ctx.session }
    })
    const browser = new Agent(port)
    await browser.get('/a')
    test.mock.timers.tick(TENTH)
    store.holdAll('touch')
    await browser.get('/')
    await store.stands('touch')
    await browser.get('/b')
    const [key] = await keysOf(inner)
    const before = await inner.load(key as string)
    store.mend()
    assert.equal((await browser.get('/')).text, '{"page":"/b"}')
    await sessions.close()
    const now = await inner.load(key as string)
    assert.equal(now?.text, before?.text)
    assert.equal(now?.version, before?.version)
  })

  it('that fails fails no request', async (test) => {
    stopClock(test)
    const store = recordingStore()
    const { agent, sessions } = await siteWith(test, { store, cache: false, idleTimeout: HOUR }, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/in')
    test.mock.timers.tick(TENTH)
    store.failAll('touch')
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
    await store.idle()
    assert.equal(sessions.stats().errors, 1)
    store.mend()
    await browser.get('/')
    await store.idle()
    assert.equal(store.count('touch'), 2, 'the next request tries again')
  })
})
