import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Found, SessionOptions, Store } from '../../src/index.ts'
import type { Agent } from '../support/sites/http.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A store that keeps for ever, and says so of what it has: its own expiry is no help at all. */
function endlessStore(): Store {
  const records = new Map<string, Found>()
  let version = 0
  return {
    load: (key) => records.get(key) && { ...(records.get(key) as Found) },
    save(key, text, expiresAt, expected) {
      const current = records.get(key)
      if (expected && !current) return { gone: true }
      if (current?.version !== expected?.version) return { conflict: { ...(current as Found) } }
      const saved = { text, version: ++version, expiresAt }
      records.set(key, saved)
      return { saved: { ...saved } }
    },
    touch(key, expiresAt) {
      const current = records.get(key)
      if (current) records.set(key, { ...current, expiresAt })
      return current !== undefined
    },
    delete: (key) => records.delete(key),
  }
}

/** The same, which also vouches for what is cached, so that the cache is believed. */
function endlessAndVouching(): Store {
  return { ...endlessStore(), isCurrent: () => true }
}

const SETUPS: Record<string, (test: TestContext) => SessionOptions> = {
  'memory, cached': () => ({ store: 'memory:', cache: { maxAge: 100 * HOUR } }),
  'files, cached': () => ({ store: `file:${temporaryDirectory()}`, cache: { maxAge: 100 * HOUR } }),
  'a store that never expires, uncached': () => ({ store: endlessStore(), cache: false }),
  'a store that never expires, cached': () => ({ store: endlessAndVouching(), cache: { maxAge: 100 * HOUR } }),
}

async function site(test: TestContext, options: SessionOptions): Promise<{ agent(): Agent; pass(time: number): void }> {
  const { agent } = await siteWith(test, options, async (ctx) => {
    const session = sessionOf(ctx)
    if (ctx.path === '/in') session['user'] = 'alice'
    if (ctx.path === '/remember') session.remember({ idleTimeout: 48 * HOUR, absoluteTimeout: 72 * HOUR })
    if (ctx.path === '/remember-briefly') session.remember({ idleTimeout: 5 * MINUTE })
    if (ctx.path === '/rotate') await session.regenerate({ keep: true })
    if (ctx.path === '/fresh') await session.regenerate({ keep: ['user'] })
    const { createdAt, expiresAt } = ctx.session
    ctx.body = { user: sessionOf(ctx)['user'] ?? null, createdAt, expiresAt }
  })
  // Only the clock: the server's own timers stay real.
  test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  return { agent, pass: (time) => test.mock.timers.tick(time) }
}

describe('G11: timeouts', () => {
  for (const [name, optionsFor] of Object.entries(SETUPS)) {
    const userOf = async (browser: Agent, path = '/'): Promise<string | null> =>
      (await browser.get(path)).json<{ user: string | null }>().user

    it(`without a request for the idle timeout a session ends: ${name}`, async (test) => {
      const { agent, pass } = await site(test, optionsFor(test))
      const browser = agent()
      await browser.get('/in')
      pass(30 * MINUTE - 1000)
      assert.equal(await userOf(browser), 'alice')
      pass(30 * MINUTE - 1000)
      assert.equal(await userOf(browser), 'alice', 'counted from the last request')
      pass(30 * MINUTE + 1000)
      assert.equal(await userOf(browser), null)
    })

    it(`whatever happens, it ends with the absolute timeout: ${name}`, async (test) => {
      const { agent, pass } = await site(test, optionsFor(test))
      const browser = agent()
      await browser.get('/in')
      for (let minutes = 0; minutes < 460; minutes += 20) {
        pass(20 * MINUTE)
        assert.equal(await userOf(browser, minutes % 40 ? '/' : '/in'), 'alice', `after ${minutes} minutes`)
      }
      pass(19 * MINUTE)
      assert.equal(await userOf(browser), 'alice')
      pass(2 * MINUTE)
      assert.equal(await userOf(browser), null)
    })

    it(`remember() gives a session timeouts of its own, in both directions: ${name}`, async (test) => {
      const { agent, pass } = await site(test, optionsFor(test))
      const [long, short, usual] = [agent(), agent(), agent()]
      for (const browser of [long, short, usual]) await browser.get('/in')
      await long.get('/remember')
      await short.get('/remember-briefly')
      pass(6 * MINUTE)
      assert.equal(await userOf(short), null)
      pass(34 * HOUR)
      assert.equal(await userOf(usual), null)
      assert.equal(await userOf(long), 'alice')
      pass(37 * HOUR)
      assert.equal(await userOf(long), 'alice')
      pass(2 * HOUR)
      assert.equal(await userOf(long), null, 'its absolute timeout')
    })

    it(`regenerate({ keep: true }) does not outlive the absolute timeout, another one starts anew: ${name}`, async (test) => {
      const { agent, pass } = await site(test, optionsFor(test))
      const [kept, fresh] = [agent(), agent()]
      const { createdAt } = (await kept.get('/in')).json<{ createdAt: number }>()
      await fresh.get('/in')
      for (let minutes = 0; minutes < 460; minutes += 20) {
        pass(20 * MINUTE)
        await kept.get('/rotate')
        await fresh.get('/fresh')
      }
      const now = (await kept.get('/')).json<{ createdAt: number; expiresAt: number }>()
      assert.equal(now.createdAt, createdAt)
      assert.equal(now.expiresAt, createdAt + 8 * HOUR)
      pass(21 * MINUTE)
      assert.equal(await userOf(kept), null)
      assert.equal(await userOf(fresh), 'alice')
    })
  }

  for (const cache of [{ maxAge: 100 * HOUR }, false] as const) {
    it(`the absolute timeout holds on a store that makes every end later: ${cache ? 'cached' : 'uncached'}`, async (test) => {
      const inner = endlessAndVouching()
      const YEAR = 365 * 24 * HOUR
      const store: Store = {
        ...inner,
        save: (key, text, expiresAt, expected) => inner.save(key, text, expiresAt + YEAR, expected),
        touch: (key, expiresAt) => inner.touch(key, expiresAt + YEAR),
      }
      const { agent, pass } = await site(test, { store, cache })
      const browser = agent()
      await browser.get('/in')
      pass(8 * HOUR - MINUTE)
      assert.equal((await browser.get('/')).json()['user'], 'alice')
      pass(2 * MINUTE)
      assert.equal((await browser.get('/')).json()['user'], null)
    })
  }

  it('remember() is not undone by a slow reader that knew the session before it', async (test) => {
    let arrive!: () => void
    let resume!: () => void
    const arrived = new Promise<void>((go) => (arrive = go))
    const released = new Promise<void>((go) => (resume = go))
    const { agent } = await siteWith(test, { store: `file:${temporaryDirectory()}` }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/in') session['user'] = 'alice'
      if (ctx.path === '/remember') session.remember({ idleTimeout: 48 * HOUR, absoluteTimeout: 72 * HOUR })
      if (ctx.path === '/slow') {
        arrive()
        await released
      }
      ctx.body = { user: session['user'] ?? null }
    })
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const browser = agent()
    await browser.get('/in')
    test.mock.timers.tick(10 * MINUTE) // so that a touch is due
    const slow = browser.get('/slow')
    await arrived
    await browser.get('/remember')
    resume()
    await slow
    test.mock.timers.tick(24 * HOUR)
    assert.equal((await browser.get('/')).json()['user'], 'alice')
  })

  it('an entry that looks expired here, but was touched elsewhere, is read again and not believed', async (test) => {
    const store = `file:${temporaryDirectory()}`
    const here = await site(test, { store, cache: { maxAge: 100 * HOUR } })
    const { agent: there } = await siteWith(test, { store, cache: false }, (ctx) => {
      ctx.body = { user: sessionOf(ctx)['user'] ?? null }
    })
    const browser = here.agent()
    await browser.get('/in')
    for (let round = 0; round < 3; round++) {
      here.pass(20 * MINUTE)
      await browser.at(there().port).get('/')
    }
    assert.equal((await browser.get('/')).json()['user'], 'alice')
  })

  it('expiresAt tells when it ends, and moves with use', async (test) => {
    const { agent, pass } = await site(test, { store: 'memory:' })
    const browser = agent()
    const first = (await browser.get('/in')).json<{ createdAt: number; expiresAt: number }>()
    assert.equal(first.expiresAt, first.createdAt + 30 * MINUTE)
    pass(10 * MINUTE)
    await browser.get('/')
    const later = (await browser.get('/')).json<{ createdAt: number; expiresAt: number }>()
    assert.equal(later.createdAt, first.createdAt)
    assert.equal(later.expiresAt, first.expiresAt + 10 * MINUTE)
  })
})
