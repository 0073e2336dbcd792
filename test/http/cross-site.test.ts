import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { mayWithholdCookie } from '../../src/http/cross-site.ts'

const WINDOW = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

function asked(headers: Record<string, string>, method = 'GET'): IncomingMessage {
  return { headers, method } as unknown as IncomingMessage
}

describe('mayWithholdCookie(sameSite, request)', () => {
  const CASES: [string, Record<string, string>, string, { strict: boolean; lax: boolean }][] = [
    ['a link on another site', WINDOW, 'GET', { strict: true, lax: false }],
    ['a HEAD of a window from another site', WINDOW, 'HEAD', { strict: true, lax: false }],
    ['a form on another site', WINDOW, 'POST', { strict: true, lax: true }],
    ['a frame on another site', { ...WINDOW, 'sec-fetch-dest': 'iframe' }, 'GET', { strict: true, lax: true }],
    [
      'an image on another site',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      'GET',
      { strict: true, lax: true },
    ],
    [
      'a fetch of another site',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
      'GET',
      { strict: true, lax: true },
    ],
    ['a window of the same site', { ...WINDOW, 'sec-fetch-site': 'same-site' }, 'POST', { strict: false, lax: false }],
    ['a window of this origin', { ...WINDOW, 'sec-fetch-site': 'same-origin' }, 'POST', { strict: false, lax: false }],
    ['an address that was typed', { ...WINDOW, 'sec-fetch-site': 'none' }, 'GET', { strict: false, lax: false }],
    ['a client that says nothing', {}, 'POST', { strict: false, lax: false }],
  ]
  for (const [name, headers, method, { strict, lax }] of CASES) {
    it(`knows ${name}`, () => {
      assert.equal(mayWithholdCookie('strict', asked(headers, method)), strict)
      assert.equal(mayWithholdCookie('lax', asked(headers, method)), lax)
      assert.equal(mayWithholdCookie(undefined, asked(headers, method)), lax, 'lax is the default')
      assert.equal(mayWithholdCookie('none', asked(headers, method)), false)
    })
  }
})
