import Router from 'koa-router'
import { notify } from '../services/notices.ts'
import { checkPassword } from '../services/users.ts'
import { currentUser, currentVisitor } from '../services/visitor.ts'
import { profilePage } from '../views/profile.ts'
import { signedOutPage, signInPage } from '../views/sign-in.ts'
import { field, seeOther, show } from '../answers.ts'

const MONTH = 30 * 24 * 60 * 60 * 1000

export const accountRoutes: Router = new Router()

accountRoutes.get('/sign-in', (ctx) => {
  show(ctx, signInPage(currentVisitor()))
})

accountRoutes.post('/sign-in', async (ctx) => {
  const user = await checkPassword(field(ctx, 'name'), field(ctx, 'password'))
  if (!user) {
    notify('That name and password do not go together.', 'problem')
    return seeOther(ctx, '/sign-in')
  }
  // A new id, so that whoever knew the old one does not get in. What is worth keeping is named; the rest is left behind.
  await ctx.session.regenerate({ keep: ['cart', 'visits'] })
  ctx.session.userId = user.id
  if (field(ctx, 'remember')) ctx.session.remember({ idleTimeout: MONTH, absoluteTimeout: MONTH })
  notify(`Welcome, ${user.name}.`)
  seeOther(ctx, '/profile')
})

accountRoutes.get('/profile', (ctx) => {
  const user = currentUser()
  if (!user) {
    notify('Please sign in to see your profile.', 'problem')
    return seeOther(ctx, '/sign-in')
  }
  show(ctx, profilePage(currentVisitor(), user, ctx.session))
})

accountRoutes.post('/sign-out', async (ctx) => {
  await ctx.session.destroy()
  seeOther(ctx, '/signed-out')
})

accountRoutes.get('/signed-out', (ctx) => {
  show(ctx, signedOutPage())
})
