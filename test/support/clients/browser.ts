import { chromium, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'playwright-core'
import { commandOf, type Requirement } from '../servers/requirement.ts'

/**
 * Chromium without what is around a page: what it makes of cookies, requests and forms is the same code. A page takes
 * about a third of the processor time that it takes in the whole browser.
 */
export const requires: Requirement = {
  commands: ['chromium-headless-shell', 'chrome-headless-shell'],
  debianPackage: 'chromium-headless-shell',
}

/** How long whatever is asked of a browser may take: it is waited for, and a machine can be busy. */
const PATIENCE = 120_000

/** Chromium's headless shell. It finds every host of `.test` on this machine. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch(launchOptions(commandOf(requires)))
}

/** The same with a profile that is kept in `directory` when the browser is closed. */
export async function openBrowserOf(directory: string): Promise<BrowserContext> {
  const options = { ...launchOptions(commandOf(requires)), ignoreHTTPSErrors: true }
  const context = await chromium.launchPersistentContext(directory, options)
  context.setDefaultTimeout(PATIENCE)
  return context
}

/** How each Chromium is started. */
export function launchOptions(executablePath: string): LaunchOptions {
  return {
    executablePath,
    timeout: PATIENCE,
    // Playwright turns off the cache of whole pages that people's browsers go back to.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      '--host-resolver-rules=MAP *.test 127.0.0.1',
      '--no-sandbox', // which does not work for root
      // A process for each site of each page is dear, and changes nothing of what the tests look at.
      '--disable-site-isolation-trials',
      '--renderer-process-limit=1',
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
  context.setDefaultTimeout(PATIENCE)
  try {
    return await work(await context.newPage(), context)
  } finally {
    await context.close()
  }
}
