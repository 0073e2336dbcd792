import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type Koa from 'koa'
import helmet from 'koa-helmet'
import type { Reply } from '../support/clients/agent.ts'
import { companionSite } from '../support/sites/companion-site.ts'
import { sessionOf } from '../support/sites/http.ts'

const PAGES: Koa.Middleware = (ctx) => {
  sessionOf(ctx)['visits'] = Number(sessionOf(ctx)['visits'] ?? 0) + 1
  if (ctx.path === '/refused') ctx.throw(403, 'Not for you.')
  if (ctx.path === '/broken') throw new Error('as it happens')
  ctx.body = String(sessionOf(ctx)['visits'])
}

/** Answers errors by itself, so that Koa does not take the headers away. */
const errorPage: Koa.Middleware = async (ctx, next) => {
  try {
    await next()
  } catch (error) {
    ctx.status = (error as { status?: number }).status ?? 500
    ctx.body = 'an error page'
  }
}

const HEADERS = ['content-security-policy', 'strict-transport-security', 'x-content-type-options', 'x-frame-options']

function missing({ headers }: Reply): string[] {
  return HEADERS.filter((name) => headers[name] === undefined)
}

const ORDERS: Record<string, (app: Koa, sessions: Koa.Middleware) => unknown> = {
  'above the session middleware': (app, sessions) => app.use(helmet()).use(errorPage).use(sessions).use(PAGES),
  'below the session middleware': (app, sessions) => app.use(errorPage).use(sessions).use(helmet()).use(PAGES),
}

for (const [order, compose] of Object.entries(ORDERS)) {
  describe(`koa-helmet ${order}`, () => {
    it('has its headers on each answer, with the cookie and without', async (test) => {
      const { visitor } = await companionSite(test, {}, compose)
      const ada = visitor()
      for (const cookies of [1, 0]) {
        const page = await ada.visit('/')
        assert.deepEqual([missing(page), page.cookies.length], [[], cookies])
      }
    })

    it('has its headers on error pages that the application makes, and a refusal keeps its cookie', async (test) => {
      const { visitor } = await companionSite(test, {}, compose)
      const refused = await visitor().visit('/refused')
      assert.deepEqual([refused.status, missing(refused), refused.cookies.length], [403, [], 1])
      const broken = await visitor().visit('/broken')
      assert.deepEqual([broken.status, missing(broken), broken.cookies], [500, [], []])
    })
  })
}

describe('koa-helmet where Koa answers errors', () => {
  it('loses its headers to Koa, and the cookie arrives all the same', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => app.use(helmet()).use(sessions).use(PAGES))
    const ada = visitor()
    const page = await ada.visit('/refused')
    assert.deepEqual([page.status, missing(page)], [403, HEADERS])
    assert.equal(page.cookies.length, 1)
    assert.equal((await ada.visit('/')).text, '2')
  })
})
