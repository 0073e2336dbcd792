import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { crossOrigin, type CrossOriginOptions } from '../../src/index.ts'
import { discreet } from '../support/secrecy.ts'
import { serve } from '../support/sites/http.ts'

type Headers = Record<string, string>

/** What a site with this middleware answers to requests for shop.test. */
async function shop(
  test: TestContext,
  options?: CrossOriginOptions,
  settings: { proxy?: boolean } = {},
): Promise<(headers: Headers, method?: string, path?: string) => Promise<number>> {
  const app = new Koa(settings)
  app.use(crossOrigin(options)).use((ctx) => void (ctx.body = 'done'))
  const { agent } = await serve(test, app)
  return async (headers, method = 'POST', path = '/') =>
    (await agent().get(path, { method, headers: { host: 'shop.test', ...headers } })).status
}

describe('crossOrigin()', () => {
  it('lets through what browsers say comes from a page of the same origin, or from the visitor', async (test) => {
    const asked = await shop(test)
    assert.equal(await asked({ 'sec-fetch-site': 'same-origin', origin: 'http://shop.test' }), 200)
    assert.equal(await asked({ 'sec-fetch-site': 'none' }), 200)
  })

  it('refuses what comes from another site, and from another host of the same site', async (test) => {
    const asked = await shop(test)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      assert.equal(await asked({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }, method), 403)
      assert.equal(await asked({ 'sec-fetch-site': 'same-site', origin: 'https://blog.shop.test' }, method), 403)
    }
  })

  it('goes by the origin where the browser says nothing else', async (test) => {
    const asked = await shop(test)
    assert.equal(await asked({ origin: 'http://shop.test' }), 200)
    assert.equal(await asked({ origin: 'https://shop.test' }), 200, 'a proxy may have ended https')
    for (const origin of [
      'https://evil.test',
      'http://shop.test:8080',
      'http://blog.shop.test',
      'null',
      'shop.test',
      '',
    ])
      assert.equal(await asked({ origin }), 403, origin)
    assert.equal(await asked({ host: 'shop.test:8080', origin: 'http://shop.test:8080' }), 200)
    assert.equal(await asked({ host: 'SHOP.test', origin: 'http://shop.test' }), 200)
  })

  it('believes Sec-Fetch-Site and not an origin that another header makes look right', async (test) => {
    const asked = await shop(test)
    assert.equal(await asked({ 'sec-fetch-site': 'cross-site', origin: 'http://shop.test' }), 403)
    assert.equal(await asked({ 'sec-fetch-site': 'same-origin', origin: 'null' }), 200)
  })

  it('lets through clients that are no browsers, and requests that change nothing', async (test) => {
    const asked = await shop(test)
    assert.equal(await asked({}), 200)
    for (const method of ['GET', 'HEAD', 'OPTIONS'])
      assert.equal(await asked({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }, method), 200)
  })

  it('knows the host of a visitor behind a trusted proxy', async (test) => {
    const headers = { host: 'internal:3000', 'x-forwarded-host': 'shop.test', origin: 'https://shop.test' }
    assert.equal(await (await shop(test, {}, { proxy: true }))(headers), 200)
    assert.equal(await (await shop(test))(headers), 403)
  })

  it('lets the pages of trusted origins send what they like, and no others', async (test) => {
    const asked = await shop(test, { trusted: ['https://admin.test', 'http://localhost:5173'] })
    for (const site of ['cross-site', 'same-site']) {
      assert.equal(await asked({ 'sec-fetch-site': site, origin: 'https://admin.test' }), 200)
      assert.equal(await asked({ 'sec-fetch-site': site, origin: 'http://admin.test' }), 403)
    }
    assert.equal(await asked({ origin: 'http://localhost:5173' }), 200)
    assert.equal(await asked({ origin: 'http://localhost:5174' }), 403)
  })

  it('does not look at what skip leaves out', async (test) => {
    const asked = await shop(test, { skip: (ctx) => ctx.path === '/saml' })
    const headers = { 'sec-fetch-site': 'cross-site', origin: 'https://identity.test' }
    assert.equal(await asked(headers, 'POST', '/saml'), 200)
    assert.equal(await asked(headers, 'POST', '/saml/other'), 403)
  })

  it('lets nobody through if skip answers with a promise, which would be yes for everybody', async (test) => {
    const asked = await shop(test, { skip: (async () => false) as never })
    assert.equal(await asked({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }), 500)
  })

  it('says what is wrong with its options', () => {
    const cases: [unknown, RegExp][] = [
      [{ trusted: 'https://admin.test' }, /trusted must be a list of origins/],
      [{ trusted: ['https://admin.test/'] }, /such as 'https:\/\/admin\.test'; it is 'https:\/\/admin\.test\/'/],
      [{ trusted: ['*.shop.test'] }, /origins as browsers name them/],
      [{ trusted: ['null'] }, /origins as browsers name them/],
      [{ trusted: [undefined] }, /origins as browsers name them.*it is undefined/],
      [{ skip: '/saml' }, /skip must be a function/],
      [{ origins: [] }, /origins is not an option\. The origins that may send requests are trusted/],
      [{ trust: [] }, /did you mean trusted\?/],
      [{ req: 1, res: 2 }, /Write app\.use\(crossOrigin\(\)\)/],
      [null, /options must be an object/],
    ]
    for (const [options, words] of cases)
      assert.throws(
        () => crossOrigin(options as CrossOriginOptions),
        (error: Error) => discreet('ERR_SESSION_OPTION')(error) && words.test(error.message),
        JSON.stringify(options),
      )
  })
})
