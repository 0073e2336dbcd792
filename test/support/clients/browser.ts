import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'playwright-core'

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome']
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
    executablePath: pathOf(COMMANDS),
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

function pathOf(commands: readonly string[]): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const path = commands.flatMap((command) => folders.map((folder) => join(folder, command))).find(isExecutable)
  if (path === undefined)
    throw new Error(`There is no ${commands.join(', ')} here. On Debian: apt-get install chromium`)
  return path
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
