import type { Context, Next } from 'koa'

const POLICY =
  "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/** For every answer: no scripts, nothing from other sites, and no frame around this one. */
export async function securityHeaders(ctx: Context, next: Next): Promise<void> {
  ctx.set('Content-Security-Policy', POLICY)
  ctx.set('X-Content-Type-Options', 'nosniff')
  ctx.set('Referrer-Policy', 'same-origin')
  await next()
}

/** For a page that has a script of this site, which asks this site for more. */
export function allowOwnScript(ctx: Context): void {
  ctx.set('Content-Security-Policy', `${POLICY}; script-src 'self'; connect-src 'self'`)
}
