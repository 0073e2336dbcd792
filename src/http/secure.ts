import type { IncomingHttpHeaders } from 'node:http'
import type Koa from 'koa'
import type { Diagnostics } from '../diagnostics.ts'

const UNTRUSTED =
  'A proxy says that visitors use https, but app.proxy is not set, so Koa takes the requests for http. Set app.proxy = true.'
const UNHEARD =
  'A proxy says that visitors use https, but not in the one way that Koa understands, so Koa takes the requests for http. ' +
  'Have the proxy send "X-Forwarded-Proto: https", once and in small letters.'
const OVER_HTTP =
  'cookie.secure is true, and this request came over plain http, where browsers refuse the cookie (some accept it from ' +
  "localhost). Serve https, or leave cookie.secure at 'auto'. If a proxy in front speaks https, have it send " +
  '"X-Forwarded-Proto: https", and set app.proxy = true.'

/** Whether the cookie gets the attribute Secure. Warns once if it gets another one than was probably meant. */
export function isSecureFor(ctx: Koa.Context, secure: boolean | 'auto', diagnostics: Diagnostics): boolean {
  const { secure: isHttps, req, app } = ctx
  if (!isHttps && secure !== false) {
    if (saysHttps(req.headers)) diagnostics.warn('SESSION_PROXY_NOT_TRUSTED', app.proxy ? UNHEARD : UNTRUSTED)
    else if (secure === true) diagnostics.warn('SESSION_SECURE_OVER_HTTP', OVER_HTTP)
  }
  return secure === 'auto' ? isHttps : secure
}

/** Whether a proxy says, in one of the ways that are about, that the visitor speaks https. */
function saysHttps(headers: IncomingHttpHeaders): boolean {
  const first = (name: string): string =>
    String(headers[name] ?? '')
      .split(',', 1)[0]!
      .trim()
      .toLowerCase()
  return (
    ['x-forwarded-proto', 'x-forwarded-protocol', 'x-forwarded-scheme', 'x-url-scheme', 'x-scheme'].some((name) =>
      /^(?:https|wss)$/.test(first(name)),
    ) ||
    ['x-forwarded-ssl', 'front-end-https'].some((name) => first(name) === 'on') ||
    first('cloudfront-forwarded-proto') === 'https' ||
    'x-arr-ssl' in headers ||
    /(?:^|;)\s*proto="?https"?\s*(?:;|$)/.test(first('forwarded')) || // RFC 7239
    /"scheme":\s*"https"/.test(String(headers['cf-visitor'] ?? ''))
  )
}
