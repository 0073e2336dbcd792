import type { TestContext } from 'node:test'
import Koa from 'koa'
import { session, type SessionOptions, type Sessions } from '../../../src/index.ts'
import { Agent, KEY, serve, sessionOf } from './http.ts'

/** A small site whose visitors can be looked after from outside. */
export interface WatchedSite {
  readonly store: string
  readonly sessions: Sessions
  readonly port: number
  /** A visitor who comes for the first time; under a name if it is given. Resolves to the session's public id. */
  visit(user?: string, label?: string): Promise<{ id: string; browser: Agent }>
  /** What the session of this browser knows of its user; nothing if it is signed out. */
  whoIs(browser: Agent): Promise<string>
}

/** Over the store of this URL. */
export async function watchedSite(
  test: TestContext,
  store: string,
  options: SessionOptions = {},
): Promise<WatchedSite> {
  const sessions = session({ keys: [KEY], store, ...options })
  test.after(() => sessions.close())
  const app = new Koa()
  app.use(sessions)
  app.use((ctx) => {
    const data = sessionOf(ctx)
    if (ctx.path === '/in') {
      const { user, label } = ctx.query as { user?: string; label?: string }
      if (user !== undefined) data.identify(user, label)
      Object.assign(data, { user, since: new Date(0), seen: new Map([['tea', 1n]]), cart: { items: [{ sku: 'tea' }] } })
      for (const text of ['Welcome', 'You have mail']) data.flash('notice', text)
      ctx.body = data.id
    } else ctx.body = String(data['user'])
  })
  const { port } = await serve(test, app)
  return {
    store,
    sessions,
    port,
    async visit(user, label) {
      const browser = new Agent(port)
      const query = new URLSearchParams({ ...(user && { user }), ...(label && { label }) })
      const { text } = await browser.get(`/in?${query}`)
      return { id: text, browser }
    },
    whoIs: async (browser) => (await browser.get('/')).text,
  }
}
