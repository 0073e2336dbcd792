import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { isToken, keyOf, newToken } from '../../src/session/token.ts'

describe('newToken()', () => {
  it('draws 256 bits that never come twice, also when the pool of random bytes is drawn anew', () => {
    const tokens = Array.from({ length: 1000 }, newToken)
    assert.equal(new Set(tokens).size, tokens.length)
    for (const token of tokens) assert.equal(Buffer.from(token, 'base64url').length, 32)
  })

  it('makes well-formed tokens', () => {
    assert.ok(Array.from({ length: 1000 }, newToken).every(isToken))
  })
})

describe('isToken(token)', () => {
  it('refuses every other length and every other alphabet', () => {
    const token = newToken()
    for (const wrong of [
      '',
      token.slice(1),
      `${token}A`,
      `${token}\n`,
      `+${token.slice(1)}`,
      `${token.slice(1)}=`,
      `é${token.slice(1)}`,
    ]) {
      assert.equal(isToken(wrong), false)
    }
  })
})

describe('keyOf(token)', () => {
  it('is the SHA-256 of the token in hexadecimal, always the same', () => {
    const token = newToken()
    assert.equal(keyOf(token), createHash('sha256').update(token).digest('hex'))
    assert.equal(keyOf(token), keyOf(token))
  })
})
