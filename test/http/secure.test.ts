import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { siteWith } from '../support/sites/http.ts'
import { collectWarnings } from '../support/warnings.ts'
import type { CookieOptions } from '../../src/index.ts'

describe('a request over plain http', () => {
  const https: Record<string, string>[] = [
    { 'x-forwarded-proto': 'https' },
    { 'x-forwarded-proto': 'https, https' },
    { 'x-forwarded-proto': 'https,http' },
    { 'x-forwarded-proto': 'HTTPS' },
    { 'x-forwarded-proto': ' https ' },
    { 'x-forwarded-proto': 'wss' },
    { 'x-forwarded-protocol': 'https' },
    { 'x-forwarded-scheme': 'https' },
    { 'x-forwarded-ssl': 'on' },
    { 'front-end-https': 'On' },
    { 'x-arr-ssl': '2048|256|CN=somebody' },
    { 'cf-visitor': '{"scheme":"https"}' },
    { 'cloudfront-forwarded-proto': 'https' },
    { forwarded: 'for=192.0.2.60;proto=https;by=203.0.113.43' },
    { forwarded: 'proto="https"; for=192.0.2.60, proto=http' },
    { Forwarded: 'Proto=HTTPS' },
  ]
  const http: Record<string, string>[] = [
    {},
    { 'x-forwarded-proto': 'http' },
    { 'x-forwarded-proto': 'http, https' },
    { 'x-forwarded-proto': '' },
    { 'x-forwarded-ssl': 'off' },
    { 'cf-visitor': '{"scheme":"http"}' },
    { forwarded: 'for=192.0.2.60;proto=http' },
    { forwarded: 'for=192.0.2.60;host=proto=https.example' },
  ]
  const cases: [
    title: string,
    headers: Record<string, string>[],
    cookie: CookieOptions,
    proxy: boolean,
    code: string | undefined,
  ][] = [
    ['whose proxy says https, without app.proxy', https, {}, false, 'SESSION_PROXY_NOT_TRUSTED'],
    [
      'whose proxy says https, without app.proxy, to a Secure cookie',
      https,
      { secure: true },
      false,
      'SESSION_PROXY_NOT_TRUSTED',
    ],
    ['whose proxy says https, to a cookie that is not Secure on purpose', https, { secure: false }, false, undefined],
    ['whose proxy says http', http, {}, false, undefined],
    ['whose proxy says http, with app.proxy', http, {}, true, undefined],
    ['whose proxy says http, to a Secure cookie', http, { secure: true }, false, 'SESSION_SECURE_OVER_HTTP'],
    ['whose proxy says https in a way that Koa does not know', https.slice(5), {}, true, 'SESSION_PROXY_NOT_TRUSTED'],
  ]
  for (const [title, all, cookie, proxy, code] of cases) {
    it(`${title}: ${code ? `the warning ${code}, once` : 'no warning'}`, async (test) => {
      const warnings = await collectWarnings(test)
      for (const headers of all) {
        const before = (await warnings()).length
        const { agent } = await siteWith(
          test,
          { cookie },
          (ctx) => void ((ctx.session as { a?: number }).a = 1),
          (app) => (app.proxy = proxy),
        )
        for (let visit = 0; visit < 2; visit++) {
          const { cookies } = await agent().get('/', { headers })
          assert.equal(/; Secure/.test(cookies[0] ?? ''), cookie.secure === true, JSON.stringify(headers))
        }
        assert.deepEqual(
          (await warnings()).slice(before).map((warning) => warning.code),
          code ? [code] : [],
          JSON.stringify(headers),
        )
      }
    })
  }

  it('gets a Secure cookie if a proxy that is trusted says https first', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent } = await siteWith(
      test,
      {},
      (ctx) => void ((ctx.session as { a?: number }).a = 1),
      (app) => (app.proxy = true),
    )
    for (const said of ['https', 'https, https', 'https,http']) {
      const { cookies } = await agent().get('/', { headers: { 'x-forwarded-proto': said } })
      assert.match(cookies[0] ?? '', /; Secure/)
    }
    assert.deepEqual(await warnings(), [])
  })

  it('is told what to do', async (test) => {
    const warnings = await collectWarnings(test)
    const write = (ctx: { session: object }): void => void ((ctx.session as { a?: number }).a = 1)
    const trusting = await siteWith(test, {}, write, (app) => (app.proxy = true))
    await trusting.agent().get('/', { headers: { 'x-forwarded-ssl': 'on' } })
    const secure = await siteWith(test, { cookie: { secure: true } }, write)
    await secure.agent().get('/')
    const [unheard, overHttp] = await warnings()
    assert.match(unheard?.message ?? '', /Have the proxy send "X-Forwarded-Proto: https"/)
    assert.match(overHttp?.message ?? '', /leave cookie\.secure at 'auto'.*app\.proxy = true/)
  })
})
