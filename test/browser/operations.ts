import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inBrowser } from './one-browser.ts'
import { sessionCookie, signIn } from '../support/clients/browser-pages.ts'
import { startExample } from '../support/sites/example-site.ts'
import { httpsProxy } from '../support/proxies/https-proxy.ts'
import { redisServer } from '../support/servers/redis-server.ts'
import { freePort, until } from '../support/servers/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const FIRST_KEY = 'the first key of thirty-two bytes'
const SECOND_KEY = 'the second key, also long enough'

describe('while the site is operated, in Chromium', () => {
  it('the visitor stays signed in over a restart', async () => {
    const directory = temporaryDirectory()
    const env = { PORT: String(await freePort()) }
    const first = await startExample({ directory, env })
    await inBrowser({}, async (page, context) => {
      await page.goto(first.url)
      await signIn(page)
      const cookie = await sessionCookie(context)
      await first.stop()
      const second = await startExample({ directory, env })
      await page.reload()
      assert.equal(await page.textContent('h1'), 'Ada Lovelace')
      assert.deepEqual(await sessionCookie(context), cookie)
      await second.stop()
    })
  })

  it('a rotation of the signing key issues the cookie again, whole and once', async () => {
    const directory = temporaryDirectory()
    const env = { BEHIND_HTTPS: '1', PORT: String(await freePort()) }
    const first = await startExample({ directory, env: { ...env, SESSION_KEY: FIRST_KEY } })
    const proxy = await httpsProxy(first.url)
    await inBrowser({}, async (page, context) => {
      await page.goto(proxy.url)
      await signIn(page, { remember: true })
      const before = await sessionCookie(context)
      await first.stop()
      const keys = { SESSION_KEY: SECOND_KEY, SESSION_KEY_OLD: FIRST_KEY }
      const hour = 3600
      const second = await startExample({ directory, env: { ...env, ...keys }, clockAhead: hour * 1000 })
      await page.reload()
      assert.equal(await page.textContent('h1'), 'Ada Lovelace')
      const after = await sessionCookie(context)
      assert.notEqual(after.value, before.value)
      assert.equal(after.value.split('.')[0], before.value.split('.')[0])
      // The browser's clock stands where it stood, and the cookie lasts for what is left of the session.
      assert.ok(Math.abs(before.expires - after.expires - hour) < 60, `${before.expires} became ${after.expires}`)
      assert.deepEqual(
        { ...after, value: '', expires: 0 },
        {
          name: '__Host-sid',
          value: '',
          domain: 'localhost',
          path: '/',
          expires: 0,
          httpOnly: true,
          secure: true,
          sameSite: 'Lax',
        },
      )
      await page.reload()
      assert.deepEqual(await sessionCookie(context), after)
      await second.stop()
    })
    await proxy.stop()
  })

  it('an outage of Redis leaves the public pages, and signs nobody out', async () => {
    // What it has acknowledged is on disk, so that it comes back with it.
    const redis = await redisServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    try {
      const directory = temporaryDirectory()
      const site = await startExample({ directory, env: { SESSION_STORE: redis.url } })
      await inBrowser({}, async (page, context) => {
        await page.goto(site.url)
        await signIn(page)
        const cookie = await sessionCookie(context)
        await redis.kill()
        const home = await page.goto(site.url)
        assert.equal(home?.status(), 200)
        assert.match((await page.textContent('.hero')) ?? '', /resting for a moment/)
        const profile = await page.goto(`${site.url}/profile`)
        assert.equal(profile?.status(), 503)
        assert.equal(await page.textContent('h1'), 'We will be right back')
        await redis.restart()
        await until(async () => (await page.reload())?.status() === 200)
        assert.equal(await page.textContent('h1'), 'Ada Lovelace')
        assert.deepEqual(await sessionCookie(context), cookie)
      })
      await site.stop()
    } finally {
      await redis.stop()
    }
  })
})
