import type { Context, Next } from 'koa'
import { field } from '../answers.ts'
import { FORM_TOKEN, isFormToken } from '../services/form-token.ts'

/** In which header a request has the token that is no form. */
export const TOKEN_HEADER = 'X-Form-Token'

const HARMLESS = ['GET', 'HEAD', 'OPTIONS']

/** Refuses what another site sends in a visitor's name (CSRF): it cannot know the token in the visitor's session. */
export async function refuseForgedForms(ctx: Context, next: Next): Promise<void> {
  const given = field(ctx, FORM_TOKEN) || ctx.get(TOKEN_HEADER)
  if (!HARMLESS.includes(ctx.method) && !isFormToken(given)) ctx.throw(403)
  await next()
}
