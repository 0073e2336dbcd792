import { after } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { inContext, openBrowser } from '../support/clients/browser.ts'

type Open = () => Promise<Browser>

/** Those that are open, by what opened them. */
const browsers = new Map<Open, Promise<Browser>>()
after(async () => {
  for (const browser of browsers.values()) await (await browser).close()
})

/**
 * Runs `work` with a page in a profile of its own. All tests of the process share one browser, which takes longer to
 * start than most of them take; the first one that asks for it opens it.
 */
export async function inBrowser<Result>(
  options: Parameters<Browser['newContext']>[0],
  work: (page: Page, context: BrowserContext) => Promise<Result>,
  open: Open = openBrowser,
): Promise<Result> {
  const browser = browsers.get(open) ?? open()
  browsers.set(open, browser)
  return inContext(await browser, options, work)
}
