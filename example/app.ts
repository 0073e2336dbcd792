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
import { underTheHood, type Hood, type HoodOptions } from './under-the-hood/index.ts'
import { ASSETS, EVENTS } from './under-the-hood/paths.ts'

export interface AppOptions {
  /** The secrets that sign the session cookie, newest first. */
  keys: Keys
  /** A store, or its URL. Default: files in ./.sessions. */
  store?: Store | string | undefined
  /** Whether sessions are encrypted where they are kept. Default `false`. */
  encrypt?: boolean
  /** Whether visitors reach this site by https only, through a proxy that says so in X-Forwarded-Proto. */
  isBehindHttps?: boolean
  /** What the footer calls this process, where several serve the site. */
  processName?: string | undefined
  /** What the page under the hood may do to this site. Default: nothing that others would notice. */
  hood?: HoodOptions
}

/** The whole site. Whoever started it also calls `hood.close()` when it ends, and then `sessions.close()`. */
export function createApp(options: AppOptions): { app: Koa; sessions: Sessions; hood: Hood } {
  const { keys, store, encrypt = false, isBehindHttps = false, processName } = options
  const app = new Koa({ proxy: isBehindHttps })
  const sessions = session({
    keys,
    store,
    encrypt,
    // Behind https, the cookie is __Host-sid: the browser takes it from this very host and over https only. Here it is so
    // even for a request of which the proxy forgot to say so.
    cookie: isBehindHttps ? { secure: true } : {},
    skip: (ctx) => ctx.path === STYLE_PATH || ASSETS.includes(ctx.path),
    // A tab that is open is no sign that somebody is there.
    passive: (ctx) => ctx.path === EVENTS,
  })
  // For one page, which shows what the library does. A site of yours needs none of it.
  const hood = underTheHood(sessions, { store, processName, ...options.hood })

  app.use(securityHeaders)
  app.use(problemPages) // before the sessions, because it also answers for a store that is down
  // Refuses forms of other origins before anything is looked up. The form token below stays, for browsers that say neither
  // where a request comes from nor its origin.
  app.use(crossOrigin())
  app.use(hood.above)
  app.use(sessions)
  app.use(hood.below)
  if (processName) app.use(answeredBy(processName, sessions))
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '16kb' }))
  app.use(refuseForgedForms)
  const signedIn = [accountRoutes(sessions), deviceRoutes(sessions), passwordRoutes(sessions)]
  for (const router of [homeRoutes, cartRoutes, ...signedIn, styleRoutes, hood.router]) app.use(router.routes())
  return { app, sessions, hood }
}
