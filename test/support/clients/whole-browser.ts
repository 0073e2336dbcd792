import { chromium, type Browser } from 'playwright-core'
import { launchOptions } from './browser.ts'
import { commandOf, type Requirement } from '../servers/requirement.ts'

export const requires: Requirement = {
  commands: ['chromium', 'chromium-browser', 'google-chrome'],
  debianPackage: 'chromium',
}

/** The Chromium that people have, without a window: for what its headless shell lacks. It is dear. */
export function openWholeBrowser(): Promise<Browser> {
  return chromium.launch(launchOptions(commandOf(requires)))
}
