import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { inBrowser } from './one-browser.ts'
import { follow } from '../support/clients/browser-pages.ts'
import { startExampleApp, type ExampleApp } from '../support/sites/example-app.ts'

describe('/under-the-hood in Chromium', () => {
  let site: ExampleApp
  let hood: string

  before(async () => {
    site = await startExampleApp()
    hood = `${site.url}/under-the-hood`
  })
  after(() => site?.stop())

  it('shows what other tabs do while they do it, and waits while it is paused', async () => {
    await inBrowser({}, async (page, context) => {
      const complaints: string[] = []
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
      await page.goto(site.url)
      await page.clock.install()
      await page.goto(hood)
      await page.clock.pauseAt(Date.now() + 60_000)
      const shop = await context.newPage()
      await shop.goto(site.url)
      await follow(shop, '[aria-label="Add Assam to the cart"]')
      await page.waitForSelector('#journal code:text-is("POST /cart/add")')
      await page.waitForSelector('#record:has-text("assam")')
      // Nobody who hears the page is told of each line.
      assert.equal(await page.textContent('[role=status]'), '')
      await page.clock.fastForward(11_000)
      assert.match((await page.textContent('[role=status]')) ?? '', /^\d more requests\.$/)

      await page.click('text="Pause"')
      await follow(shop, '[aria-label="Remove Assam"]')
      await shop.goto(`${site.url}/signed-out`)
      assert.ok(!(await lines(page)).some((line) => line.includes('/cart/remove')))
      await page.click('text="Pause"')
      await page.waitForSelector('#journal code:text-is("POST /cart/remove")')
      assert.deepEqual(complaints, [])
    })
  })

  it('races by keyboard on a phone, says once what came of it, and keeps the page and the focus', async () => {
    await inBrowser({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' }, async (page) => {
      await page.goto(hood)
      await page.focus('#race button')
      await page.keyboard.press('Enter')
      await page.waitForSelector('#race .good')
      const said = (await page.textContent('[role=status]')) ?? ''
      assert.match(said, /koa-server-session lost nothing: 50 of 50.*koa-session lost 49/)
      assert.equal(page.url(), hood)
      assert.equal(await page.evaluate('document.activeElement.textContent'), 'Let them race')
      await page.waitForSelector('#race form[aria-busy=false]')
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360)
      assert.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(21, 26, 23)')
    })
  })

  it('goes on with the next session after a sign-out, in every tab', async () => {
    await inBrowser({}, async (page, context) => {
      await page.goto(hood)
      const other = await context.newPage()
      await other.goto(hood)
      await follow(page, '#sign-out button')
      assert.equal(await page.locator('#sign-out .bad').count(), 1)
      assert.ok((await lines(page)).some((line) => line.includes('/under-the-hood/slow')))
      // The stream of the other tab comes again with the new cookie. Without one, nothing would ever come.
      await follow(page, 'text="Leaf & Kettle"')
      await other.waitForSelector('#journal code:text-is("GET /")')
    })
  })
})

function lines(page: Page): Promise<string[]> {
  return page.locator('#journal > li').allTextContents()
}
