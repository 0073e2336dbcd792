import type { IncomingMessage } from 'node:http'
import type { CookieOptions } from './attributes.ts'

/**
 * Whether the browser may have withheld the session cookie, because another site began this request: under `strict` from
 * all of them, under `lax` from all but those that lead a whole window here by a safe method (RFC 6265bis, section 5.8.3).
 *
 * Browsers say so in the `Sec-Fetch-*` headers (W3C, Fetch Metadata), which they send to https and to this machine only.
 * Without these headers nothing can be seen, and the answer is `false`.
 */
export function mayWithholdCookie(sameSite: CookieOptions['sameSite'], { headers, method }: IncomingMessage): boolean {
  if (headers['sec-fetch-site'] !== 'cross-site' || sameSite === 'none') return false
  if (sameSite === 'strict') return true
  const isSafe = method === 'GET' || method === 'HEAD'
  return !(isSafe && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document')
}
