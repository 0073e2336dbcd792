import KoaRouter from '@koa/router'
import type Koa from 'koa'
import compose from 'koa-compose'
import Router from 'koa-router'
import type { Session } from 'koa-server-session'

// Compiled, never run: `ctx.session` where other packages have typed the context. Its data is described in augmentation.ts.

export function inRouters(): void {
  const router = new Router()
  router.get('/', (ctx) => {
    const session: Session = ctx.session
    session.views = (session.views ?? 0) + 1
    // @ts-expect-error: views is a number
    ctx.session.views = 'four'
    // @ts-expect-error: there is no such data
    ctx.session.nothing = 1
  })
  router.use(async (ctx, next) => {
    ctx.session.userId ??= 'ada'
    await next()
  })

  const koaRouter = new KoaRouter()
  koaRouter.get('/:id', async (ctx) => {
    const session: Session = ctx.session
    const id: string | undefined = ctx.params['id']
    if (id !== undefined) session.userId = id
    // @ts-expect-error: userId is a string
    ctx.session.userId = 1
    await ctx.session.destroy()
  })
}

export function inComposedMiddleware(): Koa.Middleware {
  const first: Koa.Middleware = async (ctx, next) => {
    ctx.session.views = 1
    // @ts-expect-error: views is a number
    ctx.session.views = 'one'
    await next()
  }
  const second: Koa.Middleware = (ctx) => {
    ctx.session = null
  }
  return compose([first, second])
}
