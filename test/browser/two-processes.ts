import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { inBrowser } from './one-browser.ts'
import { follow, signIn } from '../support/clients/browser-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** After which every process knows of a logout: the store's default. */
const BOUND = 1000

const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile Safari/604.1'

describe('two processes behind one Redis, in Chromium', () => {
  const directory = temporaryDirectory()
  let redis: RedisServer
  let one: ExampleSite
  let other: ExampleSite

  before(async () => {
    redis = await redisServer()
    const env = { SESSION_STORE: redis.url }
    one = await startExample({ directory, env: { ...env, PROCESS_NAME: 'A' } })
    other = await startExample({ directory, env: { ...env, PROCESS_NAME: 'B' } })
  })
  after(async () => {
    await Promise.all([one?.stop(), other?.stop()])
    await redis?.stop()
  })

  it('lose nothing when 40 forms are sent to both at once', async () => {
    await inBrowser({ bypassCSP: true }, async (page, context) => {
      // Each page sends its forms to its own process. Ports make no difference to cookies: it is the same session.
      const pages = [page, await context.newPage()]
      for (const [index, { url }] of [one, other].entries()) await pages[index]?.goto(url)
      const form = `{ method: 'POST', body: new URLSearchParams({
        token: document.querySelector('[name=token]').value, tea: 'mint' }) }`
      const send = `Promise.all(Array.from({ length: 20 }, () => fetch('/cart/add', ${form})))`
      await Promise.all(pages.map((sender) => sender.evaluate(send)))
      for (const { url } of [one, other]) {
        await soon(page, `${url}/cart`, async () => (await page.textContent('.count')) === '40')
      }
      assert.match((await page.textContent('#answered-by')) ?? '', /^Answered by process B\./)
    })
  })

  it('lose nothing when five tabs add to the cart at once', async () => {
    await inBrowser({}, async (page, context) => {
      await page.goto(one.url)
      const tabs = await Promise.all(Array.from({ length: 5 }, () => context.newPage()))
      await Promise.all(tabs.map((tab, index) => tab.goto(index % 2 ? one.url : other.url)))
      await Promise.all(tabs.map((tab, index) => follow(tab, `text="Add to cart" >> nth=${index % 6}`)))
      await soon(page, `${one.url}/cart`, async () => (await page.textContent('.count')) === '5')
    })
  })

  it('sign a device out from another one: its next click on the other process is a stranger’s', async () => {
    await inBrowser({ userAgent: PHONE }, async (phone) => {
      await inBrowser({}, async (laptop) => {
        await phone.goto(other.url)
        await signIn(phone)
        await phone.reload() // so that this process has the session in its cache
        await laptop.goto(one.url)
        await signIn(laptop)
        await follow(laptop, 'text="Where you are signed in"')
        await follow(laptop, '[aria-label="Sign out Safari on iPhone"]')
        assert.equal(await laptop.textContent('.notice'), 'Signed out: Safari on iPhone.')
        await soon(phone, `${other.url}/profile`, async () => (await phone.textContent('h1')) === 'Sign in')
        assert.doesNotMatch(await phone.content(), /Ada Lovelace/)
        await laptop.reload()
        assert.equal(await laptop.locator('.devices li').count(), 1)
      })
    })
  })
})

/** Every request that starts later than the bound from now sees what `isThere` looks for. */
async function soon(page: Page, url: string, isThere: () => Promise<boolean>): Promise<void> {
  const since = performance.now()
  for (;;) {
    const startedAfter = performance.now() - since
    await page.goto(url)
    if (await isThere()) return
    assert.ok(startedAfter <= BOUND, `A request that started after ${startedAfter} ms did not see it`)
  }
}
