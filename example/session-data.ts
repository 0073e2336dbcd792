import type { Cart } from './services/cart.ts'

/** What a session of this site may hold. Described once, here; from then on it is typed wherever a session is used. */
declare module 'koa-server-session' {
  interface SessionData {
    visits?: number
    cart?: Cart
    /** Who is signed in; absent for everybody else. */
    userId?: string
    /** The page that a visitor wanted who must prove first who they are. */
    wantedPage?: string
    /** Every form of this visitor must carry it. See services/form-token.ts. */
    formToken?: string
  }
}
