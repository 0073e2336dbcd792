import { bodyParser } from '@koa/bodyparser'
import Koa from 'koa'
import { session, type Keys, type Sessions, type Store } from 'koa-server-session'
import { refuseForgedForms } from './middleware/forged-forms.ts'
import { problemPages } from './middleware/problem-pages.ts'
import { securityHeaders } from './middleware/security-headers.ts'
import { accountRoutes } from './routes/account.ts'
import { cartRoutes } from './routes/cart.ts'
import { homeRoutes } from './routes/home.ts'
import { STYLE_PATH, styleRoutes } from './routes/style.ts'

export interface AppOptions {
  /** The secrets that sign the session cookie, newest first. */
  keys: Keys
  /** A store, or its URL. Default: files in ./.sessions. */
  store?: Store | string | undefined
  /** Whether visitors reach this site by https only, through a proxy that says so in X-Forwarded-Proto. */
  isBehindHttps?: boolean
}

/** The whole site. Whoever started it also calls `sessions.close()` when it ends. */
export function createApp({ keys, store, isBehindHttps = false }: AppOptions): { app: Koa; sessions: Sessions } {
  const app = new Koa({ proxy: isBehindHttps })
  const sessions = session({
    keys,
    store,
    // With the prefix __Host- the browser takes this cookie from this very host and over https only.
    cookie: isBehindHttps ? { name: '__Host-sid', secure: true } : {},
    skip: (ctx) => ctx.path === STYLE_PATH,
  })

  app.use(securityHeaders)
  app.use(problemPages) // before the sessions, because it also answers for a store that is down
  app.use(sessions)
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '16kb' }))
  app.use(refuseForgedForms)
  for (const routes of [homeRoutes, cartRoutes, accountRoutes, styleRoutes]) app.use(routes.routes())
  return { app, sessions }
}
