import type { Context, Next } from 'koa'
import { field } from '../answers.ts'
import { FORM_TOKEN, isFormToken } from '../services/form-token.ts'

const HARMLESS = ['GET', 'HEAD', 'OPTIONS']

/** Refuses what another site sends in a visitor's name (CSRF): it cannot know the token in the visitor's session. */
export async function refuseForgedForms(ctx: Context, next: Next): Promise<void> {
  if (!HARMLESS.includes(ctx.method) && !isFormToken(field(ctx, FORM_TOKEN))) ctx.throw(403)
  await next()
}
