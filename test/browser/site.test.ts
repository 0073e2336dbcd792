import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { inContext, keepScreenshot, openBrowser } from '../support/clients/browser.ts'
import { follow, sessionCookie, signIn } from '../support/clients/browser-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { httpsProxy } from '../support/proxies/https-proxy.ts'
import { pairingProxy } from '../support/proxies/pairing-proxy.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const DAY = 86_400

describe('the example site in Chromium', () => {
  const directory = temporaryDirectory()
  let site: ExampleSite
  let browser: Browser

  before(async () => {
    site = await startExample({ directory })
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.close()
    await site?.stop()
  })

  it('counts visits through reloads, under one unchanged cookie', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      const first = await sessionCookie(context)
      await page.reload()
      await page.reload()
      assert.equal(await page.textContent('#visits'), '3')
      assert.deepEqual(await sessionCookie(context), first)
      await keepScreenshot(page, 'home')
    })
  })

  it('keeps a cart: adds, changes, removes, and tells each thing once', async () => {
    await withPage(async (page) => {
      await page.goto(site.url)
      await follow(page, 'text="Add to cart" >> nth=0')
      assert.equal(await page.textContent('.notice'), 'Sencha is in your cart.')
      await follow(page, 'text="More tea"')
      await follow(page, 'text="Add to cart" >> nth=3')
      await follow(page, 'text="More tea"')
      await follow(page, 'text="Add to cart" >> nth=4')
      await page.fill('[aria-label="Quantity of Sencha"]', '3')
      await follow(page, 'text="Change" >> nth=0')
      assert.equal(await page.textContent('.count'), '5')
      await follow(page, '[aria-label="Remove Rooibos"]')
      assert.equal(await page.textContent('.count'), '4')
      assert.equal(await page.textContent('.total strong'), '€43.10')
      assert.equal(await page.locator('.notice').count(), 0)
      await keepScreenshot(page, 'cart')
      await page.setViewportSize({ width: 390, height: 700 })
      await keepScreenshot(page, 'cart-narrow')
    })
  })

  it('signs in under a new cookie, and keeps the cart', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      await follow(page, 'text="Add to cart" >> nth=1')
      const before = await sessionCookie(context)
      await signIn(page, { password: 'wrong' })
      assert.equal(await page.textContent('.notice'), 'That name and password do not go together.')
      await keepScreenshot(page, 'sign-in')
      await signIn(page)
      assert.equal(await page.textContent('.notice'), 'Welcome, Ada Lovelace.')
      await keepScreenshot(page, 'profile')
      const signedIn = await sessionCookie(context)
      assert.notEqual(signedIn.value, before.value)
      assert.equal(signedIn.expires, -1)
      assert.equal(await page.textContent('.count'), '1')
      await page.reload()
      assert.equal(await page.locator('.notice').count(), 0)
    })
  })

  it('remembers a visitor for 30 days', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      await signIn(page, { remember: true })
      const { expires } = await sessionCookie(context)
      const days = (expires - Date.now() / 1000) / DAY
      assert.ok(days > 29.99 && days <= 30, `The cookie lasts ${days} days`)
    })
  })

  it('loses nothing when two tabs add to the cart at once', async () => {
    const proxy = await pairingProxy(site.url)
    try {
      await withPage(async (page, context) => {
        await page.goto(proxy.url)
        const other = await context.newPage()
        await other.goto(proxy.url)
        for (let round = 0; round < 6; round++) {
          const add = 'text="Add to cart" >> nth='
          await Promise.all([follow(page, `${add}0`), follow(other, `${add}${round}`)])
          await Promise.all([page.goto(proxy.url), other.goto(proxy.url)])
        }
        assert.equal(await page.textContent('.count'), '12')
      })
    } finally {
      await proxy.stop()
    }
  })

  it('has a page for an address that does not exist, dark for those who like it dark', async () => {
    await withPage(
      async (page) => {
        const answer = await page.goto(`${site.url}/no-such-page`)
        assert.equal(answer?.status(), 404)
        assert.equal(await page.textContent('h1'), 'There is no such page')
        assert.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(21, 26, 23)')
        await keepScreenshot(page, 'not-found-dark')
        await page.goto(site.url)
        await keepScreenshot(page, 'home-dark')
      },
      { colorScheme: 'dark' },
    )
  })

  /** In a browser profile of its own. */
  async function withPage<Result>(
    work: (page: Page, context: BrowserContext) => Promise<Result>,
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<Result> {
    return inContext(browser, options, work)
  }
})

describe('the example site behind https, in Chromium', () => {
  it('has a Secure cookie under a __Host- name, and everything works with it', async () => {
    const directory = temporaryDirectory()
    const site = await startExample({ directory, env: { BEHIND_HTTPS: '1' } })
    const proxy = await httpsProxy(site.url)
    const browser = await openBrowser()
    await inContext(browser, {}, async (page, context) => {
      await page.goto(proxy.url)
      const cookie = await sessionCookie(context)
      assert.equal(cookie.name, '__Host-sid')
      assert.equal(cookie.secure, true)
      assert.equal(cookie.httpOnly, true)
      assert.equal(cookie.sameSite, 'Lax')
      await page.reload()
      assert.equal(await page.textContent('#visits'), '2')
      await signIn(page)
      assert.equal(await page.textContent('h1'), 'Ada Lovelace')
      assert.notEqual((await sessionCookie(context)).value, cookie.value)
      await follow(page, 'text="Sign out"')
      assert.equal(await page.textContent('h1'), 'You are signed out')
      assert.deepEqual(await context.cookies(), [])
    })
    await browser.close()
    await proxy.stop()
    await site.stop()
  })
})
