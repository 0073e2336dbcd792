import type { Sessions } from 'koa-server-session'
import Router from 'koa-router'
import { signedInOnly, type SignedIn } from '../middleware/signed-in-only.ts'
import { devicesOf, signOutDevice, signOutElsewhere } from '../services/devices.ts'
import { notify } from '../services/notices.ts'
import { currentVisitor } from '../services/visitor.ts'
import { devicesPage } from '../views/devices.ts'
import { field, seeOther, show } from '../answers.ts'

export function deviceRoutes(sessions: Sessions): Router<SignedIn> {
  const router = new Router<SignedIn>({ prefix: '/devices' })
  router.use(signedInOnly)

  router.get('/', async (ctx) => {
    show(ctx, devicesPage(currentVisitor(), await devicesOf(sessions, ctx.state.user)))
  })

  router.post('/sign-out', async (ctx) => {
    const device = await signOutDevice(sessions, ctx.state.user, field(ctx, 'device'))
    if (device) notify(`Signed out: ${device.label}.`)
    else notify('That device was not signed in any more.', 'problem')
    seeOther(ctx, '/devices')
  })

  router.post('/sign-out-elsewhere', async (ctx) => {
    const count = await signOutElsewhere(sessions, ctx.state.user)
    notify(`Signed out on ${count} other ${count === 1 ? 'device' : 'devices'}.`)
    seeOther(ctx, '/devices')
  })

  return router
}
