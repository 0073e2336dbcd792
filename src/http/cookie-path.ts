import type Koa from 'koa'
import type { SessionCookie } from './cookie.ts'

/**
 * Whether the browser sends no cookie of this path with this request. A cookie that came all the same is the browser's
 * own word that the path is inside, whatever a proxy has made of it.
 */
export function isOutside(path: string, ctx: Koa.Context, cookie: SessionCookie): boolean {
  return path !== '/' && !isInside(path, ctx) && !cookie.isIn(ctx.req.headers.cookie)
}

/** RFC 6265, section 5.1.4. */
function isInside(path: string, ctx: Koa.Context): boolean {
  const requested = pathOf(ctx)
  return (
    requested.startsWith(path) &&
    (path.endsWith('/') || requested.length === path.length || requested[path.length] === '/')
  )
}

/** The path as the browser knows it, before any part of it was taken away by a proxy or by koa-mount. */
function pathOf({ app, originalUrl, req }: Koa.Context): string {
  const prefix = app.proxy
    ? String(req.headers['x-forwarded-prefix'] ?? '')
        .split(',', 1)[0]!
        .trim()
    : ''
  // A proxy's own client may write the whole address into the request's first line.
  const path = originalUrl.replace(/[?#].*$/s, '').replace(/^[a-z][a-z\d+.-]*:\/\/[^/]*/i, '') || '/'
  return prefix.replace(/\/$/, '') + path
}
