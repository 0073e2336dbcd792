import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { inBrowser } from './one-browser.ts'
import { follow, sessionCookie, signIn } from '../support/clients/browser-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { httpsProxy } from '../support/proxies/https-proxy.ts'
import { pairingProxy } from '../support/proxies/pairing-proxy.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('the example site in Chromium', () => {
  const directory = temporaryDirectory()
  let site: ExampleSite

  before(async () => {
    site = await startExample({ directory })
  })
  after(() => site?.stop())

  it('counts visits through reloads, under one unchanged cookie', async () => {
    await inBrowser({}, async (page, context) => {
      await page.goto(site.url)
      const first = await sessionCookie(context)
      await page.reload()
      await page.reload()
      assert.equal(await page.textContent('#visits'), '3')
      assert.deepEqual(await sessionCookie(context), first)
    })
  })

  it('keeps a cart: adds, changes, removes, and tells each thing once', async () => {
    await inBrowser({}, async (page) => {
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
    })
  })

  it('signs in under a new cookie, and keeps the cart', async () => {
    await inBrowser({}, async (page, context) => {
      await page.goto(site.url)
      await follow(page, 'text="Add to cart" >> nth=1')
      const before = await sessionCookie(context)
      await signIn(page, { password: 'wrong' })
      assert.equal(await page.textContent('.notice'), 'That name and password do not go together.')
      await signIn(page)
      assert.equal(await page.textContent('.notice'), 'Welcome, Ada Lovelace.')
      const signedIn = await sessionCookie(context)
      assert.notEqual(signedIn.value, before.value)
      assert.equal(signedIn.expires, -1)
      assert.equal(await page.textContent('.count'), '1')
      await page.reload()
      assert.equal(await page.locator('.notice').count(), 0)
    })
  })

  it('loses nothing when two tabs add to the cart at once', async () => {
    const proxy = await pairingProxy(site.url)
    try {
      await inBrowser({}, async (page, context) => {
        await page.goto(proxy.url)
        const other = await context.newPage()
        await other.goto(proxy.url)
        for (let round = 0; round < 2; round++) {
          const add = 'text="Add to cart" >> nth='
          await Promise.all([follow(page, `${add}0`), follow(other, `${add}${round}`)])
          await Promise.all([page.goto(proxy.url), other.goto(proxy.url)])
        }
        assert.equal(await page.textContent('.count'), '4')
      })
    } finally {
      await proxy.stop()
    }
  })

  it('has a page for an address that does not exist, dark for those who like it dark', async () => {
    await inBrowser({ colorScheme: 'dark' }, async (page) => {
      const answer = await page.goto(`${site.url}/no-such-page`)
      assert.equal(answer?.status(), 404)
      assert.equal(await page.textContent('h1'), 'There is no such page')
      assert.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(21, 26, 23)')
    })
  })
})

describe('the example site behind https, in Chromium', () => {
  it('has a Secure cookie under a __Host- name, and everything works with it', async () => {
    const directory = temporaryDirectory()
    const site = await startExample({ directory, env: { BEHIND_HTTPS: '1' } })
    const proxy = await httpsProxy(site.url)
    await inBrowser({}, async (page, context) => {
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
    await proxy.stop()
    await site.stop()
  })
})
