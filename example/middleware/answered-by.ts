import type { Context, Middleware, Next } from 'koa'
import type { Sessions } from 'koa-server-session'

/** Where several processes serve the site: tells in the footer which one answered, and how often its cache did. */
export function answeredBy(processName: string, sessions: Sessions): Middleware {
  return async (ctx: Context, next: Next): Promise<void> => {
    const { hits, loads } = sessions.stats()
    ctx.state.answeredBy = `Answered by process ${processName}. Sessions read so far: ${hits} from its cache, ${loads} from the store.`
    await next()
  }
}
