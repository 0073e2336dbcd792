import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Page } from 'playwright-core'
import { openWholeBrowser } from '../support/clients/whole-browser.ts'
import { inBrowser } from './one-browser.ts'
import { cookieSite } from '../support/sites/cookie-site.ts'

it('a session cookie of a page in a frame of another site is refused by a Chromium that blocks third-party cookies, if it is not partitioned', async () => {
  const site = await cookieSite({ sameSite: 'none', secure: true })
  const look = async (page: Page): Promise<void> => {
    for (let visit = 0; visit < 2; visit++) {
      await page.goto(site.https('one.test', `/around?to=${encodeURIComponent(site.https('shop.test'))}`))
      assert.equal(await page.frameLocator('iframe').locator('h1').textContent(), '1')
    }
  }
  await inBrowser({}, look, openWholeBrowser)
  await site.stop()
})
