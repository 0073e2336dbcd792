import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { inBrowser } from './one-browser.ts'
import { follow, signIn } from '../support/clients/browser-pages.ts'
import { openWholeBrowser } from '../support/clients/whole-browser.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { until } from '../support/servers/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Chromium keeps whole pages in memory for the back button, those with Cache-Control: no-store too. Such a page comes
// back without a request, so that only the browser's own rules decide whether it shows something private.
describe('going back after signing out, in Chromium', () => {
  const directory = temporaryDirectory()
  let site: ExampleSite

  before(async () => {
    site = await startExample({ directory })
  })
  after(() => site?.stop())

  it('brings back a page from memory while the visitor is signed in, and nothing private afterwards, however far back', async () => {
    await withHistory(async (page, context) => {
      await back(page)
      assert.equal(await heading(page), 'Ada Lovelace')
      await until(async () => (await page.evaluate('window.cameFromMemory')) === true)
      await page.goForward({ waitUntil: 'commit' })
      assert.equal(await heading(page), 'Your cart')
      await loaded(page)
      await follow(page, 'text="Sign out"')
      assert.equal(await heading(page), 'You are signed out')
      assert.deepEqual(await context.cookies(), [])
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
    const play = async (page: Page, context: BrowserContext): Promise<void> => {
      await context.addInitScript(
        `addEventListener('pageshow', (event) => { window.cameFromMemory = event.persisted })`,
      )
      await page.goto(site.url)
      await signIn(page)
      assert.equal(await heading(page), 'Ada Lovelace')
      await loaded(page)
      await page.goto(`${site.url}/cart`)
      await work(page, context)
    }
    await inBrowser({}, play, openWholeBrowser)
  }

  /** A page that is left before it is loaded is not kept in memory. */
  async function loaded(page: Page): Promise<void> {
    await until(async () => (await page.evaluate('document.readyState')) === 'complete')
  }

  async function back(page: Page): Promise<void> {
    await page.goBack({ waitUntil: 'commit' }) // a page from memory is not loaded
  }

  async function heading(page: Page): Promise<string | null> {
    return page.textContent('h1')
  }
})
