import Router from 'koa-router'
import { requireProof, type Sessions } from 'koa-server-session'
import { field, seeOther, show } from '../answers.ts'
import { askForProof } from '../middleware/ask-for-proof.ts'
import { signedInOnly, type SignedIn } from '../middleware/signed-in-only.ts'
import { signOutElsewhere } from '../services/devices.ts'
import { notify } from '../services/notices.ts'
import { changePassword, checkPassword } from '../services/users.ts'
import { currentVisitor } from '../services/visitor.ts'
import { confirmPage, passwordPage, SHORTEST_PASSWORD } from '../views/password.ts'

const MINUTE = 60_000
/** Short, so that whoever tries this site sees the page that asks. Ten minutes are usual. */
const TO_SEE_THE_FORM = MINUTE
/** Longer, so that nobody is asked between the form and its button. */
const TO_SEND_IT = 10 * MINUTE

export function passwordRoutes(sessions: Sessions): Router<SignedIn> {
  const router = new Router<SignedIn>()
  router.use(['/password', '/confirm'], signedInOnly, askForProof)

  router.get('/password', requireProof('password', TO_SEE_THE_FORM), (ctx) => {
    show(ctx, passwordPage(currentVisitor(), ctx.state.user))
  })

  router.post('/password', requireProof('password', TO_SEND_IT), async (ctx) => {
    const password = field(ctx, 'password')
    if (password.length < SHORTEST_PASSWORD) {
      notify(`A password has at least ${SHORTEST_PASSWORD} characters.`, 'problem')
      return seeOther(ctx, '/password')
    }
    await changePassword(ctx.state.user, password)
    const others = await signOutElsewhere(sessions, ctx.state.user) // whoever knew the old password may be among them
    notify(`Your password is changed.${others > 0 ? ' You are signed out everywhere else.' : ''}`)
    seeOther(ctx, '/profile')
  })

  router.get('/confirm', (ctx) => {
    show(ctx, confirmPage(currentVisitor(), ctx.state.user))
  })

  router.post('/confirm', async (ctx) => {
    if (!(await checkPassword(ctx.state.user.id, field(ctx, 'password')))) {
      notify('That is not your password.', 'problem')
      return seeOther(ctx, '/confirm')
    }
    await ctx.session.prove('password') // takes a new id and keeps the rest
    const { wantedPage = '/profile' } = ctx.session
    delete ctx.session.wantedPage
    seeOther(ctx, wantedPage)
  })

  return router
}
