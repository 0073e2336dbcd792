import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome']
/** Of a project's own folders, one that is kept out of the repository. */
const SCREENSHOTS = join(import.meta.dirname, '../../../screenshots')

/** The Chromium of this machine, without a window. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: pathOf(COMMANDS),
    args: [
      '--no-sandbox', // which does not work for root
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** Keeps what the page looks like as screenshots/<name>.png, for people to look at. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true })
}

function pathOf(commands: readonly string[]): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const path = commands.flatMap((command) => folders.map((folder) => join(folder, command))).find(isExecutable)
  if (path === undefined) throw new Error(`There is no ${commands.join(', ')} here. On Debian: apt-get install chromium`)
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
