import type { Context, Next } from 'koa'
import { show } from '../answers.ts'
import { problemPage } from '../views/problem.ts'

/** A page for whatever went wrong. It uses no session, because the session may be what went wrong. */
export async function problemPages(ctx: Context, next: Next): Promise<void> {
  try {
    await next()
    if (ctx.status >= 400 && !ctx.body) show(ctx, problemPage(ctx.status), ctx.status)
  } catch (error) {
    const status = statusOf(error)
    if (status >= 500) ctx.app.emit('error', error, ctx) // for the operator's log
    if (status === 503) ctx.set('Retry-After', '5')
    show(ctx, problemPage(status), status)
  }
}

/** Of errors by Koa, the body parser and the sessions alike: a store that is down says 503. */
function statusOf(error: unknown): number {
  const { status } = (error ?? {}) as { status?: unknown }
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500
}
