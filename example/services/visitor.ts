import { getSession } from 'koa-server-session'
import { cartSize } from './cart.ts'
import { currentNotice, type Notice } from './notices.ts'
import { findUser, type User } from './users.ts'

/** What every page shows about the one who looks at it. */
export interface Visitor {
  user: User | undefined
  cartSize: number
  notice: Notice | undefined
}

export function currentVisitor(): Visitor {
  return { user: currentUser(), cartSize: cartSize(), notice: currentNotice() }
}

export function currentUser(): User | undefined {
  const { userId } = getSession()
  return userId === undefined ? undefined : findUser(userId)
}
