import type { TestContext } from 'node:test'
import Koa from 'koa'
import { session, type SessionOptions, type Sessions } from '../../../src/index.ts'
import { KEY, serve, type Site } from './http.ts'
import { Visitor } from '../clients/visitor.ts'

export interface CompanionSite extends Site {
  readonly sessions: Sessions
  /** What the application was told by 'error'. */
  readonly errors: (Error & { code?: string; status?: number })[]
  /** Somebody with a browser of their own. */
  visitor(): Visitor
}

/**
 * A site whose middlewares are put together as an application does it, by `compose`: the session middleware, which is
 * on memory if the options do not say otherwise, among those of other packages.
 */
export async function companionSite(
  test: TestContext,
  options: SessionOptions,
  compose: (app: Koa, sessions: Sessions) => unknown,
  app: Koa = new Koa(),
): Promise<CompanionSite> {
  const sessions = session({ keys: [KEY], store: 'memory:', ...options })
  test.after(() => sessions.close())
  compose(app, sessions)
  const errors: CompanionSite['errors'] = []
  app.on('error', (error: Error) => errors.push(error))
  const site = await serve(test, app)
  return { ...site, sessions, errors, visitor: () => new Visitor(site.address) }
}
