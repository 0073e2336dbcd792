import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { forgetCookie, setCookie, type CheckedCookie, type CookieOptions } from '../../src/http/attributes.ts'

const PAIR = 'sid=a-value'
const DAY = 86_400_000

function attributes(options: Omit<CookieOptions, 'name'> = {}): CheckedCookie {
  return { path: '/', secure: 'auto', ...options }
}

describe('setCookie(pair, cookie, isSecure, until)', () => {
  it('writes no more attributes than asked for', () => {
    assert.equal(setCookie(PAIR, attributes(), false), `${PAIR}; Path=/; HttpOnly; SameSite=Lax`)
    assert.equal(setCookie(PAIR, attributes(), true), `${PAIR}; Path=/; HttpOnly; Secure; SameSite=Lax`)
  })

  it('writes every attribute', () => {
    const all = attributes({
      path: '/app',
      domain: 'example.com',
      sameSite: 'none',
      partitioned: true,
      priority: 'high',
    })
    assert.equal(
      setCookie(PAIR, all, true),
      `${PAIR}; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=None; Partitioned; Priority=High`,
    )
    assert.equal(
      setCookie(PAIR, attributes({ sameSite: 'strict' }), false),
      `${PAIR}; Path=/; HttpOnly; SameSite=Strict`,
    )
  })

  it('writes how long it lasts, in both of the ways that browsers know', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-01-02T03:04:05.600Z') })
    const until = Date.parse('2026-01-02T04:04:05.000Z')
    assert.equal(
      setCookie(PAIR, attributes(), false, until),
      `${PAIR}; Max-Age=3599; Expires=Fri, 02 Jan 2026 04:04:05 GMT; Path=/; HttpOnly; SameSite=Lax`,
    )
    assert.match(setCookie(PAIR, attributes(), false, 5), /Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT/)
  })

  it('lasts 400 days at most, as browsers have it', (t) => {
    const now = Date.parse('2026-01-02T03:04:05.000Z')
    t.mock.timers.enable({ apis: ['Date'], now })
    for (const life of [400 * DAY, 401 * DAY, 36_500 * DAY])
      assert.match(
        setCookie(PAIR, attributes(), false, now + life),
        /Max-Age=34560000; Expires=Sat, 06 Feb 2027 03:04:05 GMT/,
      )
  })
})

describe('forgetCookie(name, cookie, isSecure)', () => {
  it('has the same attributes, so that the browser knows which cookie to forget', () => {
    assert.equal(
      forgetCookie('sid', attributes({ path: '/app', domain: 'example.com' }), true),
      'sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax',
    )
  })
})
