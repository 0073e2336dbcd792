import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import compress from 'koa-compress'
import { getSession, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { sessionOf, type AnySession } from '../support/sites/http.ts'

/** What browsers say of themselves. */
const COMPRESSED = { 'accept-encoding': 'gzip, deflate' }
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

function words(header: string | undefined): string[] {
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
        const page = await ada.get(`/${kind}`, { headers: COMPRESSED })
        assert.equal(page.headers['content-encoding'], 'gzip')
        assert.deepEqual(words(page.headers.vary), ['accept-encoding', 'cookie'])
        assert.equal(page.headers['cache-control'], 'no-store')
        assert.equal(page.cookies.length, 1)
        if (kind === 'json') assert.equal(JSON.parse(page.text).text, TEXT)
        else assert.equal(page.text, TEXT + (kind === 'stream' ? kind : ''))
        assert.match((await ada.get('/plain', { headers: COMPRESSED })).text, /^a line/)
      })
    }

    it('adds to what else the answer varies by', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().get('/varies', { headers: COMPRESSED })
      assert.deepEqual(words(page.headers.vary), ['accept-encoding', 'accept-language', 'cookie'])
    })

    const isShared = order.startsWith('above')
    it(`${isShared ? 'lets everybody share' : 'takes for a stream that may use the session'} an answer for which the session was not asked`, async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().get('/plain', { headers: COMPRESSED })
      assert.equal(page.headers['content-encoding'], 'gzip')
      assert.deepEqual(words(page.headers.vary), ['accept-encoding', ...(isShared ? [] : ['cookie'])])
      assert.equal(page.headers['cache-control'], isShared ? undefined : 'private')
      assert.deepEqual(page.cookies, [])
    })

    it('sends the cookie with an error', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().get('/throw', { headers: COMPRESSED })
      assert.deepEqual([page.status, page.cookies.length], [418, 1])
      assert.ok(words(page.headers.vary).includes('cookie'))
    })

    it('answers HEAD with the headers of GET', async (test) => {
      const { visitor } = await site(test)
      const page = await visitor().get('/text', { method: 'HEAD', headers: COMPRESSED })
      assert.deepEqual([page.status, page.cookies.length, page.text], [200, 1, ''])
      assert.deepEqual(words(page.headers.vary), ['accept-encoding', 'cookie'])
    })
  })
}
