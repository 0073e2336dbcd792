import type Koa from 'koa'
import { Checks, isOptions } from '../checks.ts'

/** What `crossOrigin` lets through beside the requests of the site's own pages. */
export interface CrossOriginOptions {
  /** Origins whose pages may send any request, such as `['https://admin.example.com']`. Default: none. */
  trusted?: readonly string[]
  /** Tells which requests are not looked at, such as the POST at the end of a SAML sign-in. Default: none. */
  skip?: (ctx: Koa.Context) => boolean
}

const SAFE = ['GET', 'HEAD', 'OPTIONS']
const REFUSED = 'This request comes from a page of another origin.'
const checks = new Checks('crossOrigin')

/**
 * A middleware against cross-site request forgery: answers 403 to a request that may change something (any method but GET,
 * HEAD and OPTIONS) if a page of another origin has sent it. That includes other hosts of the same site, which
 * `SameSite` lets through. It needs no session, no token in a form and no script:
 *
 * ```ts
 * app.use(crossOrigin({ trusted: ['https://admin.example.com'] }))
 * ```
 *
 * It asks what browsers say by themselves and no page can change (ASVS 5.0 3.5.1): `Sec-Fetch-Site`, or where that is
 * missing (old browsers; plain http, but for localhost) `Origin`, whose host must be the one that was asked. Behind a
 * proxy that changes the header Host, set `app.proxy`. A request with neither header does not come from a browser of the
 * last years, and passes. GET must change nothing, and a page whose `Referrer-Policy` is `no-referrer` names no origin
 * over plain http, so its forms are refused there.
 *
 * Throws `ERR_SESSION_OPTION` if an option is wrong. A request fails with the same code if `skip` returns a promise.
 */
export function crossOrigin(
  options: CrossOriginOptions = {},
): (ctx: Koa.ParameterizedContext, next: Koa.Next) => Promise<void> {
  const { trusted, skip } = checkOptions(options)

  return (ctx, next) => {
    if (SAFE.includes(ctx.method) || isOwn(ctx) || skip?.(ctx)) return next()
    const { origin } = ctx.req.headers
    if (origin === undefined || !trusted.has(origin)) ctx.throw(403, REFUSED)
    return next()
  }
}

/** Whether the request was sent by a page of this origin, by the visitor directly, or by no browser. */
function isOwn({ req, host }: Koa.ParameterizedContext): boolean {
  const { origin, 'sec-fetch-site': site } = req.headers
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (origin === undefined) return true
  // The scheme is not compared, because a proxy may have ended https.
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase()
}

function checkOptions(options: CrossOriginOptions): { trusted: Set<string>; skip: CrossOriginOptions['skip'] } {
  if (isOptions(options) && 'req' in options && 'res' in options)
    throw checks.refusal('app.use(crossOrigin) passes the function itself. Write app.use(crossOrigin()).')
  checks.object('the options', options)
  checks.names(options, ['trusted', 'skip'], {
    cures: {
      origins: 'The origins that may send requests are trusted: [origin].',
      origin: 'The origins that may send requests are trusted: [origin].',
      exempt: 'The requests that are not looked at are skip: (ctx) => boolean.',
    },
  })
  const { trusted = [], skip } = options
  if (!Array.isArray(trusted)) throw checks.wrong('trusted', 'must be a list of origins', trusted)
  for (const origin of trusted as readonly unknown[]) {
    const own = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin).origin : 'null'
    if (own === origin && own !== 'null') continue
    const rule = `must hold origins as browsers name them, such as ${own === 'null' ? "'https://admin.example.com'" : `'${own}'`}`
    throw checks.wrong('trusted', rule, origin)
  }
  return { trusted: new Set(trusted as readonly string[]), skip: checks.question('skip', skip) }
}
