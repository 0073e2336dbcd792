import type { Context, Next } from 'koa'
import { getSession, isSessionError } from 'koa-server-session'
import { seeOther } from '../answers.ts'

/** Leads a visitor whose proof is too old to the page that asks, and remembers which page they wanted. */
export async function askForProof(ctx: Context, next: Next): Promise<void> {
  try {
    await next()
  } catch (error) {
    if (!isSessionError(error, 'ERR_SESSION_PROOF')) throw error
    if (ctx.method === 'GET') getSession().wantedPage = ctx.path
    seeOther(ctx, '/confirm')
  }
}
