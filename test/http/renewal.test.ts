import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Found, Store } from '../../src/index.ts'
import type { Agent } from '../support/sites/http.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'

const DAY = 86_400_000
const YEAR = 365 * DAY

/** A store that keeps for ever, as no timer of a test can wait for years. */
function endlessStore(): Store {
  const records = new Map<string, Found>()
  return {
    load: (key) => records.get(key) && { ...(records.get(key) as Found) },
    save(key, text, expiresAt, expected) {
      const saved = { text, version: (expected?.version ?? 0) + 1, expiresAt }
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

/** A browser that forgets its cookie when that ends, and what time it is there. */
interface Visitor {
  /** Goes to a page after so many days; the name that the page knows, and for how many days the cookie was set, if it was. */
  after(days: number, path?: string): Promise<{ name: string; days?: number }>
}

async function visitor(test: TestContext, idleTimeout: number, absoluteTimeout: number): Promise<Visitor> {
  const options = { store: endlessStore(), cache: false } as const
  const { agent } = await siteWith(test, options, async (ctx) => {
    const session = sessionOf(ctx)
    if (ctx.path === '/in') {
      session['name'] = 'ada'
      session.remember({ idleTimeout, absoluteTimeout })
    }
    if (ctx.path === '/write') session['seen'] = Date.now()
    ctx.body = String(session['name'])
  })
  test.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-01-01T00:00:00Z') })
  const browser: Agent = agent()
  let forgottenAt = Infinity
  return {
    async after(days, path = '/') {
      test.mock.timers.tick(days * DAY)
      if (Date.now() >= forgottenAt) browser.cookies.clear()
      const { text, cookies } = await browser.get(path)
      const seconds = Number(/; Max-Age=(\d+);/.exec(cookies[0] ?? '')?.[1])
      if (Number.isNaN(seconds)) return { name: text }
      forgottenAt = Date.now() + Math.min(seconds * 1000, 400 * DAY)
      return { name: text, days: Math.round(seconds / 86_400) }
    },
  }
}

describe('a session that is remembered for longer than browsers keep a cookie', () => {
  for (const [title, idleTimeout] of [
    ['and may rest as long', 10 * YEAR],
    ['and may rest for a month', 30 * DAY],
  ] as const) {
    it(`${title}: its cookie lasts 400 days and is renewed in time, so that a visitor who comes now and then stays signed in`, async (test) => {
      const ada = await visitor(test, idleTimeout, 10 * YEAR)
      assert.deepEqual(await ada.after(0, '/in'), { name: 'ada', days: 400 })
      let sent = 0
      for (let week = 1; week < 500; week++) {
        const { name, days } = await ada.after(7)
        assert.equal(name, 'ada', `in week ${week}`)
        if (days !== undefined) {
          sent++
          assert.ok(days === 400 || week > 450, `for ${days} days in week ${week}`)
        }
      }
      assert.ok(sent > 10 && sent < 100, `sent ${sent} times`)
    })
  }

  it('is renewed by a request that writes, too, and by none of the others that come soon after', async (test) => {
    const ada = await visitor(test, 10 * YEAR, 10 * YEAR)
    await ada.after(0, '/in')
    assert.deepEqual(await ada.after(39, '/write'), { name: 'ada' })
    assert.deepEqual(await ada.after(60, '/write'), { name: 'ada', days: 400 })
    for (const path of ['/', '/write', '/']) assert.deepEqual(await ada.after(0.1, path), { name: 'ada' })
  })

  it('ends for somebody who has not come for so long that the browser has forgotten the cookie', async (test) => {
    const ada = await visitor(test, 10 * YEAR, 10 * YEAR)
    await ada.after(0, '/in')
    assert.equal((await ada.after(399)).name, 'ada')
    assert.equal((await ada.after(401)).name, 'undefined')
  })
})

describe('a session that is remembered for as long as browsers keep a cookie, or shorter', () => {
  it('has its cookie sent once', async (test) => {
    const ada = await visitor(test, 30 * DAY, 400 * DAY)
    assert.deepEqual(await ada.after(0, '/in'), { name: 'ada', days: 400 })
    for (let week = 1; week < 57; week++) assert.deepEqual(await ada.after(7), { name: 'ada' }, `in week ${week}`)
  })
})
