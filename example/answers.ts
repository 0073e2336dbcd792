import type { Context } from 'koa'
import { layout, type Page } from './views/layout.ts'

/** Answers with a page. Nobody keeps a copy: a page may show who is signed in, and its forms carry a secret. */
export function show(ctx: Context, page: Page, status = 200): void {
  ctx.status = status
  ctx.set('Cache-Control', 'no-store')
  ctx.type = 'html'
  ctx.body = layout(page, ctx.state.answeredBy as string | undefined).text
}

/** After a form: the browser gets that page, and a reload of it does not send the form again. */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303
  ctx.redirect(path)
}

/** What was typed into a field of the form; the empty string if it was not sent. */
export function field(ctx: Context, name: string): string {
  const value = (ctx.request.body as Record<string, unknown> | undefined)?.[name]
  return typeof value === 'string' ? value : ''
}
