import { bodyParser } from '@koa/bodyparser'
import Koa from 'koa'
import { crossOrigin, session, type Keys, type Sessions, type Store } from 'koa-server-session'
import { answeredBy } from './middleware/answered-by.ts'
import { refuseForgedForms } from './middleware/forged-forms.ts'
import { problemPages } from './middleware/problem-pages.ts'
import { securityHeaders } from './middleware/security-headers.ts'
import { accountRoutes } from './routes/account.ts'
import { cartRoutes } from './routes/cart.ts'
import { deviceRoutes } from './routes/devices.ts'
import { homeRoutes } from './routes/home.ts'
import { passwordRoutes } from './routes/password.ts'
import { STYLE_PATH, styleRoutes } from './routes/style.ts'

export interface AppOptions {
  /** The secrets that sign the session cookie, newest first. */
  keys: Keys
  /** A store, or its URL. Default: files in ./.sessions. */
  store?: Store | string | undefined
  /** Whether visitors reach this site by https only, through a proxy that says so in X-Forwarded-Proto. */
  isBehindHttps?: boolean
  /** What the footer calls this process, where several serve the site. */
  processName?: string | undefined
}

/** The whole site. Whoever started it also calls `sessions.close()` when it ends. */
export function createApp(options: AppOptions): { app: Koa; sessions: Sessions } {
  const { keys, store, isBehindHttps = false, processName } = options
  const app = new Koa({ proxy: isBehindHttps })
  const sessions = session({
    keys,
    store,
    // Behind https, the cookie is __Host-sid: the browser takes it from this very host and over https only. Here it is so
    // even for a request of which the proxy forgot to say so.
    cookie: isBehindHttps ? { secure: true } : {},
    skip: (ctx) => ctx.path === STYLE_PATH,
  })

  app.use(securityHeaders)
  app.use(problemPages) // before the sessions, because it also answers for a store that is down
  // Refuses forms of other origins before anything is looked up. The form token below stays, for browsers that say neither
  // where a request comes from nor its origin.
  app.use(crossOrigin())
  app.use(sessions)
  if (processName) app.use(answeredBy(processName, sessions))
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '16kb' }))
  app.use(refuseForgedForms)
  const signedIn = [accountRoutes(sessions), deviceRoutes(sessions), passwordRoutes(sessions)]
  for (const router of [homeRoutes, cartRoutes, ...signedIn, styleRoutes]) app.use(router.routes())
  return { app, sessions }
}
