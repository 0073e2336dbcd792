import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { inContext, keepScreenshot, openBrowser } from '../support/clients/browser.ts'
import { follow, signIn } from '../support/clients/browser-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { until } from '../support/servers/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Chromium keeps whole pages in memory for the back button, those with Cache-Control: no-store too. Such a page comes
// back without a request, so that only the browser's own rules decide whether it shows something private.
describe('going back after signing out, in Chromium', () => {
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

  it('brings back a page from memory while the visitor is signed in', async () => {
    await withHistory(async (page) => {
      await back(page)
      assert.equal(await heading(page), 'Ada Lovelace')
      await until(async () => (await page.evaluate('window.cameFromMemory')) === true)
    })
  })

  it('shows nothing private in the tab of the sign-out, however far back', async () => {
    await withHistory(async (page, context) => {
      await follow(page, 'text="Sign out"')
      assert.equal(await heading(page), 'You are signed out')
      assert.deepEqual(await context.cookies(), [])
      await keepScreenshot(page, 'signed-out')
      // The profile leads those who are not signed in to the sign-in page.
      for (const expected of ['Your cart', 'Sign in']) {
        await back(page)
        assert.equal(await heading(page), expected)
        assert.doesNotMatch(await page.content(), /Ada Lovelace/)
      }
    })
  })

  it('shows nothing private in another tab of the same browser', async () => {
    await withHistory(async (page, context) => {
      const other = await context.newPage()
      await other.goto(site.url)
      await follow(other, 'text="Sign out"')
      assert.equal(await heading(other), 'You are signed out')
      await back(page)
      assert.equal(await heading(page), 'Sign in')
      assert.doesNotMatch(await page.content(), /Ada Lovelace/)
    })
  })

  /** Signed in, on the cart, with the profile before it. */
  async function withHistory(work: (page: Page, context: BrowserContext) => Promise<void>): Promise<void> {
    await inContext(browser, {}, async (page, context) => {
      await context.addInitScript(
        `addEventListener('pageshow', (event) => { window.cameFromMemory = event.persisted })`,
      )
      await page.goto(site.url)
      await signIn(page)
      assert.equal(await heading(page), 'Ada Lovelace')
      await page.goto(`${site.url}/cart`)
      await work(page, context)
    })
  }

  async function back(page: Page): Promise<void> {
    await page.goBack({ waitUntil: 'commit' }) // a page from memory is not loaded
  }

  async function heading(page: Page): Promise<string | null> {
    return page.textContent('h1')
  }
})
