import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'playwright-core'
import { commandOf, type Requirement } from '../servers/requirement.ts'

export const requires: Requirement = {
  commands: ['chromium', 'chromium-browser', 'google-chrome'],
  debianPackage: 'chromium',
}

/** Of a project's own folders, one that is kept out of the repository. */
const SCREENSHOTS = join(import.meta.dirname, '../../../../screenshots')

/** The Chromium of this machine, without a window. It finds every host of `.test` on this machine. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch(launchOptions())
}

/** The same with a profile that is kept in `directory` when the browser is closed. */
export async function openBrowserOf(directory: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(directory, { ...launchOptions(), ignoreHTTPSErrors: true })
}

function launchOptions(): LaunchOptions {
  return {
    executablePath: commandOf(requires),
    // Playwright turns off the cache of whole pages that people's browsers go back to.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      '--host-resolver-rules=MAP *.test 127.0.0.1',
      '--no-sandbox', // which does not work for root
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  }
}

/** Runs `work` with a page in a profile of its own. */
export async function inContext<Result>(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0],
  work: (page: Page, context: BrowserContext) => Promise<Result>,
): Promise<Result> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
  context.setDefaultTimeout(20_000)
  try {
    return await work(await context.newPage(), context)
  } finally {
    await context.close()
  }
}

/** Keeps what the page looks like as screenshots/<name>.png, for people to look at. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true })
}
