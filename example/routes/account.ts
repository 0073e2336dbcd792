import Router from 'koa-router'
import type { Sessions } from 'koa-server-session'
import { signedInOnly, type SignedIn } from '../middleware/signed-in-only.ts'
import { identifyDevice } from '../services/devices.ts'
import { keepTyped, notify, takeTyped } from '../services/notices.ts'
import { checkPassword, demoSignIns } from '../services/users.ts'
import { currentVisitor } from '../services/visitor.ts'
import { profilePage } from '../views/profile.ts'
import { signedOutPage, signInPage } from '../views/sign-in.ts'
import { field, seeOther, show } from '../answers.ts'

const DAY = 24 * 60 * 60 * 1000

export function accountRoutes(sessions: Sessions): Router<SignedIn> {
  const router = new Router<SignedIn>()

  router.get('/sign-in', async (ctx) => {
    show(ctx, signInPage(currentVisitor(), takeTyped(), await demoSignIns()))
  })

  router.post('/sign-in', async (ctx) => {
    const user = await checkPassword(field(ctx, 'name'), field(ctx, 'password'))
    if (!user) {
      notify('That name and password do not go together.', 'problem')
      keepTyped(field(ctx, 'name'))
      return seeOther(ctx, '/sign-in')
    }
    // A new id, so that whoever knew the old one does not get in. What is worth keeping is named; the rest is left behind.
    await ctx.session.regenerate({ keep: ['cart', 'visits'], proved: 'password' })
    await identifyDevice(sessions, user, ctx.get('User-Agent'))
    ctx.session.userId = user.id
    if (field(ctx, 'remember')) ctx.session.remember({ idleTimeout: 14 * DAY, absoluteTimeout: 30 * DAY })
    notify(`Welcome, ${user.name}.`)
    seeOther(ctx, '/profile')
  })

  router.get('/profile', signedInOnly, (ctx) => {
    show(ctx, profilePage(currentVisitor(), ctx.state.user, ctx.session))
  })

  router.post('/sign-out', async (ctx) => {
    await ctx.session.destroy()
    // Otherwise the back button of another tab may show a private page again, which the browser kept in memory.
    ctx.set('Clear-Site-Data', '"cache"')
    seeOther(ctx, '/signed-out')
  })

  router.get('/signed-out', (ctx) => {
    show(ctx, signedOutPage())
  })

  return router
}
