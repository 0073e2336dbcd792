import assert from 'node:assert/strict'
import type { BrowserContext, Cookie, Page } from 'playwright-core'

export interface SignIn {
  password?: string
  remember?: boolean
}

/** As Ada, from any page of the site. */
export async function signIn(page: Page, form: SignIn = {}): Promise<void> {
  const { password = 'analytical engine', remember = false } = form
  await follow(page, 'nav >> text="Sign in"')
  await page.fill('[name=name]', 'ada')
  await page.fill('[name=password]', password)
  if (remember) await page.check('[name=remember]')
  await follow(page, 'button:has-text("Sign in")')
}

/** Clicks on what leads to another page, and waits until that page is there: a click alone may return before it. */
export async function follow(page: Page, selector: string): Promise<void> {
  await Promise.all([page.waitForEvent('domcontentloaded'), page.click(selector)])
}

export async function sessionCookie(context: BrowserContext): Promise<Cookie> {
  const cookies = await context.cookies()
  assert.equal(cookies.length, 1)
  return cookies[0]!
}
