import assert from 'node:assert/strict'
import type { BrowserContext, Cookie, Page } from 'playwright-core'

export interface SignIn {
  password?: string
  remember?: boolean
}

/** As Ada, from any page of the site. */
export async function signIn(page: Page, form: SignIn = {}): Promise<void> {
  const { password = 'analytical engine', remember = false } = form
  await page.click('nav >> text="Sign in"')
  await page.fill('[name=name]', 'ada')
  await page.fill('[name=password]', password)
  if (remember) await page.check('[name=remember]')
  await page.click('button:has-text("Sign in")')
}

export async function sessionCookie(context: BrowserContext): Promise<Cookie> {
  const cookies = await context.cookies()
  assert.equal(cookies.length, 1)
  return cookies[0]!
}
