import Koa from 'koa'
import Router from 'koa-router'
import session, { getSession, type Session } from 'koa-server-session'

// Compiled, never run: what an application that describes its data may and may not write.
declare module 'koa-server-session' {
  interface SessionData {
    userId?: string
    views?: number
    cart?: { items: string[] }
  }
}

export function describeTypes(): void {
  const app = new Koa()
  app.use(session({ keys: ['a secret of sixteen bytes or more'] }))
  app.use(async (ctx, next) => {
    const views: number | undefined = ctx.session.views
    ctx.session.userId = String(views)
    // @ts-expect-error: views is a number
    ctx.session.views = 'three'
    // @ts-expect-error: there is no such data
    ctx.session.nothing = 1
    ctx.session = null
    ctx.session = { views: 1 }
    await ctx.session.regenerate({ keep: ['cart'] })
    // @ts-expect-error: there is no such data
    await ctx.session.regenerate({ keep: ['nothing'] })
    const doubled: number = await getSession().update((s) => (s.views ?? 0) * 2)
    ctx.body = doubled
    await next()
  })
  const router = new Router()
  router.get('/', (ctx) => {
    const session: Session = ctx.session
    session.views = (session.views ?? 0) + 1
    // @ts-expect-error: views is a number
    session.views = 'four'
  })
  app.use(router.routes())
  const own = session<{ theme?: 'dark' | 'light' }>({ keys: ['a secret of sixteen bytes or more'] })
  const theme: 'dark' | 'light' | undefined = own.get().theme
  own.get().theme = theme ?? 'dark'
  // @ts-expect-error: not a theme
  own.get().theme = 'pink'
}
