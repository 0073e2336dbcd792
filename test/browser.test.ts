import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Cookie, Page } from 'playwright-core'
import { keepScreenshot, openBrowser } from './support/browser.ts'
import { newDirectory, removeDirectory, startExample, type ExampleSite } from './support/example-site.ts'
import { httpsProxy, type HttpsProxy } from './support/https-proxy.ts'

const DAY = 86_400

describe('the example site in Chromium', () => {
  const directory = newDirectory()
  let site: ExampleSite
  let browser: Browser

  before(async () => {
    site = await startExample({ directory })
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.close()
    await site?.stop()
    removeDirectory(directory)
  })

  it('sets a cookie that scripts cannot read, that other sites do not send, and that ends with the browser', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      const { value, ...cookie } = await sessionCookie(context)
      assert.match(value, /^[\w-]{43}\.[\w-]{43}$/)
      assert.deepEqual(cookie, {
        name: 'sid',
        domain: '127.0.0.1',
        path: '/',
        expires: -1,
        httpOnly: true,
        secure: false,
        sameSite: 'Lax',
      })
      assert.equal(await page.evaluate('document.cookie'), '')
    })
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
      await page.click('text="Add to cart" >> nth=0')
      assert.equal(await page.textContent('.notice'), 'Sencha is in your cart.')
      await page.click('text="More tea"')
      await page.click('text="Add to cart" >> nth=3')
      await page.click('text="More tea"')
      await page.click('text="Add to cart" >> nth=4')
      await page.fill('[aria-label="Quantity of Sencha"]', '3')
      await page.click('text="Change" >> nth=0')
      assert.equal(await page.textContent('.count'), '5')
      await page.click('[aria-label="Remove Rooibos"]')
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
      await page.click('text="Add to cart" >> nth=1')
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

  it('remembers a visitor for 30 days, through the end of the browser', async () => {
    const state = await withPage(async (page, context) => {
      await page.goto(site.url)
      await signIn(page, { remember: true })
      const { expires } = await sessionCookie(context)
      const days = (expires - Date.now() / 1000) / DAY
      assert.ok(days > 29.99 && days <= 30, `The cookie lasts ${days} days`)
      return context.storageState()
    })
    // A browser that was closed comes back with its persistent cookies only.
    const cookies = state.cookies.filter(({ expires }) => expires !== -1)
    await withPage(
      async (page) => {
        await page.goto(`${site.url}/profile`)
        assert.equal(await page.textContent('h1'), 'Ada Lovelace')
      },
      { storageState: { ...state, cookies } },
    )
  })

  it('shows nothing private when the visitor goes back after signing out', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      await signIn(page)
      await page.goto(`${site.url}/cart`)
      await page.goto(`${site.url}/profile`)
      await page.click('text="Sign out"')
      assert.equal(await page.textContent('h1'), 'You are signed out')
      assert.deepEqual(await context.cookies(), [])
      await keepScreenshot(page, 'signed-out')
      for (let steps = 0; steps < 3; steps++) {
        await page.goBack()
        assert.doesNotMatch(await page.content(), /Ada/, page.url())
      }
      await page.goto(`${site.url}/profile`)
      assert.equal(await page.textContent('h1'), 'Sign in')
    })
  })

  it('loses nothing when two tabs add to the cart at once', async () => {
    await withPage(async (page, context) => {
      await page.goto(site.url)
      const other = await context.newPage()
      await other.goto(site.url)
      for (let round = 0; round < 10; round++) {
        await Promise.all([
          page.click('text="Add to cart" >> nth=0'),
          other.click(`text="Add to cart" >> nth=${1 + (round % 5)}`),
        ])
        await Promise.all([page.goto(site.url), other.goto(site.url)])
      }
      assert.equal(await page.textContent('.count'), '20')
    })
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
  const directory = newDirectory()
  let site: ExampleSite
  let proxy: HttpsProxy
  let browser: Browser

  before(async () => {
    site = await startExample({ directory, env: { BEHIND_HTTPS: '1' } })
    proxy = await httpsProxy(site.url)
    browser = await openBrowser()
  })
  after(async () => {
    await browser?.close()
    await proxy?.stop()
    await site?.stop()
    removeDirectory(directory)
  })

  it('has a Secure cookie under a __Host- name, and everything works with it', async () => {
    await inContext(browser, { ignoreHTTPSErrors: true }, async (page, context) => {
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
      await page.click('text="Sign out"')
      assert.deepEqual(await context.cookies(), [])
    })
  })
})

async function inContext<Result>(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0],
  work: (page: Page, context: BrowserContext) => Promise<Result>,
): Promise<Result> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(20_000)
  try {
    return await work(await context.newPage(), context)
  } finally {
    await context.close()
  }
}

/** From any page of the site. */
async function signIn(page: Page, { password = 'analytical engine', remember = false } = {}): Promise<void> {
  await page.click('nav >> text="Sign in"')
  await page.fill('[name=name]', 'ada')
  await page.fill('[name=password]', password)
  if (remember) await page.check('[name=remember]')
  await page.click('button:has-text("Sign in")')
}

async function sessionCookie(context: BrowserContext): Promise<Cookie> {
  const cookies = await context.cookies()
  assert.equal(cookies.length, 1)
  return cookies[0]!
}
