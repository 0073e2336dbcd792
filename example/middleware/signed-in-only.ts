import type { Context, Next } from 'koa'
import { seeOther } from '../answers.ts'
import { whySignedOut } from '../services/devices.ts'
import { notify } from '../services/notices.ts'
import type { User } from '../services/users.ts'
import { currentUser } from '../services/visitor.ts'

/** For routes behind `signedInOnly`: it is there. */
export interface SignedIn {
  user: User
}

/** Leads everybody else to the sign-in page. */
export async function signedInOnly(ctx: Context, next: Next): Promise<void> {
  const user = currentUser()
  if (!user) {
    notify(whySignedOut() ?? 'Please sign in to see this page.', 'problem')
    return seeOther(ctx, '/sign-in')
  }
  ctx.state.user = user
  await next()
}
