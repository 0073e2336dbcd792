import { randomBytes, timingSafeEqual } from 'node:crypto'
import { getSession } from 'koa-server-session'

/** The name of the form field. */
export const FORM_TOKEN = 'token'

/** The token for this visitor's forms, made when the first form is shown. */
export function formToken(): string {
  const session = getSession()
  session.formToken ??= randomBytes(32).toString('base64url')
  return session.formToken
}

export function isFormToken(given: string): boolean {
  const expected = Buffer.from(getSession().formToken ?? '')
  const actual = Buffer.from(given)
  return expected.length > 0 && expected.length === actual.length && timingSafeEqual(expected, actual)
}
