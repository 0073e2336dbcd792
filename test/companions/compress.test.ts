import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import compress from 'koa-compress'
import { getSession, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { sessionOf, type AnySession } from '../support/sites/http.ts'

const TEXT = 'a line that comes again and again\n'.repeat(1000)

const BODIES: Record<string, () => unknown> = {
  text: () => TEXT,
  buffer: () => Buffer.from(TEXT),
  json: () => ({ text: TEXT }),
  stream: () =>
    Readable.from(
      (async function* () {
        for (const line of TEXT.split(/(?<=\n)/)) yield line
        yield String((getSession() as AnySession)['kind'])
      })(),
    ),
}

const PAGES: Koa.Middleware = (ctx) => {
  const kind = ctx.path.slice(1)
  if (kind === 'throw') sessionOf(ctx)['tries'] = 1
  if (kind === 'throw') ctx.throw(418)
  if (kind in BODIES) sessionOf(ctx)['kind'] = kind
  if (kind === 'varies') {
    ctx.vary('Accept-Language')
    sessionOf(ctx)['kind'] = kind
  }
  ctx.type = kind === 'json' ? 'json' : 'text'
  ctx.body = (BODIES[kind] ?? (() => TEXT))()
}

const ORDERS: Record<string, (app: Koa, sessions: Koa.Middleware) => unknown> = {
  'above the session middleware': (app, sessions) => app.use(compress()).use(sessions).use(PAGES),
  'below the session middleware': (app, sessions) => app.use(sessions).use(compress()).use(PAGES),
}

function words(header: string | null): string[] {
  return (header ?? '')
    .split(',')
    .map((word) => word.trim().toLowerCase())
    .toSorted()
}

for (const [order, compose] of Object.entries(ORDERS)) {
  const site = (test: TestContext, options: SessionOptions = {}): Promise<CompanionSite> =>
    companionSite(test, options, compose)

  describe(`koa-compress ${order}`, () => {
    for (const kind of Object.keys(BODIES)) {
      it(`compresses a body (${kind}); cookie, Vary and Cache-Control stay whole`, async (test) => {
        const { visitor } = await site(test)
        const ada = visitor()
        const page = await ada.visit(`/${kind}`)
        assert.equal(page.headers.get('content-encoding'), 'gzip')
        assert.deepEqual(words(page.headers.get('vary')), ['accept-encoding', 'cookie'])
        assert.equal(page.headers.get('cache-control'), 'no-store')
        assert.equal(page.headers.getSetCookie().length, 1)
        if (kind === 'json') assert.equal(JSON.parse(page.html).text, TEXT)
        else assert.equal(page.html, TEXT + (kind === 'stream' ? kind : ''))
        assert.match((await ada.visit('/plain')).html, /^a line/)
      })
    }

    it('adds to what else the answer varies by', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().visit('/varies')
      assert.deepEqual(words(page.headers.get('vary')), ['accept-encoding', 'accept-language', 'cookie'])
    })

    const isShared = order.startsWith('above')
    it(`${isShared ? 'lets everybody share' : 'takes for a stream that may use the session'} an answer for which the session was not asked`, async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().visit('/plain')
      assert.equal(page.headers.get('content-encoding'), 'gzip')
      assert.deepEqual(words(page.headers.get('vary')), ['accept-encoding', ...(isShared ? [] : ['cookie'])])
      assert.equal(page.headers.get('cache-control'), isShared ? null : 'private')
      assert.deepEqual(page.headers.getSetCookie(), [])
    })

    it('sends the cookie with an error', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().visit('/throw')
      assert.deepEqual([page.status, page.headers.getSetCookie().length], [418, 1])
      assert.ok(words(page.headers.get('vary')).includes('cookie'))
    })

    it('answers HEAD with the headers of GET', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().request('/text', { method: 'HEAD' })
      assert.deepEqual([page.status, page.headers.getSetCookie().length, page.html], [200, 1, ''])
      assert.deepEqual(words(page.headers.get('vary')), ['accept-encoding', 'cookie'])
    })
  })
}
