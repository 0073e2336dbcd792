/**
 * What `npm run screenshots` runs: makes the pictures in docs/images of the example site, in the way that a person would
 * come by them. The phone was signed in two days ago, the other browser three hours ago.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { inContext, openBrowser } from '../clients/browser.ts'
import { follow, signIn } from '../clients/browser-pages.ts'
import { startExample } from '../sites/example-site.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

const IMAGES = join(import.meta.dirname, '../../../../docs/images')
const HOUR = 3_600_000

const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
const OTHERS = [
  { hoursAgo: 50, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Safari/604.1' },
  { hoursAgo: 3, userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36' },
]

const directory = temporaryDirectory()
const browser = await openBrowser()
for (const { hoursAgo, userAgent } of OTHERS) {
  await at(directory, -hoursAgo * HOUR, browser, userAgent, (page) => signIn(page, { remember: true }))
}
mkdirSync(IMAGES, { recursive: true })
await at(directory, 0, browser, LAPTOP, async (page) => {
  for (const tea of ['Sencha', 'Assam']) {
    await follow(page, `[aria-label="Add ${tea} to the cart"]`)
    await follow(page, 'text="More tea"')
  }
  await signIn(page)
  await follow(page, 'text="Leaf & Kettle"')
  await page.screenshot({ path: join(IMAGES, 'home.png') })
  await follow(page, 'text="Ada Lovelace"')
  await follow(page, 'text="Where you are signed in"')
  await page.screenshot({ path: join(IMAGES, 'devices.png') })
  await page.goto(new URL('/confirm', page.url()).href)
  await page.screenshot({ path: join(IMAGES, 'confirm.png') })
  await follow(page, 'text="Leaf & Kettle"')
  await follow(page, 'text="under the hood"')
  await page.click('#race button')
  await page.waitForSelector('#race .good')
  await page.setViewportSize({ width: 960, height: 940 })
  await page.evaluate('scrollTo(0, 0)')
  // At the size of the screen, because there is much on it.
  await page.screenshot({ path: join(IMAGES, 'under-the-hood.png'), scale: 'css' })
})
await browser.close()

/** Opens the home page of the site in a browser of its own, at another time. */
async function at(
  directory: string,
  clockAhead: number,
  browser: Browser,
  userAgent: string,
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const site = await startExample({ directory, clockAhead })
  const options = { userAgent, viewport: { width: 960, height: 600 }, deviceScaleFactor: 1.5 }
  await inContext(browser, options, async (page) => {
    await page.goto(site.url)
    await work(page)
    await page.waitForLoadState()
  })
  await site.stop()
}
