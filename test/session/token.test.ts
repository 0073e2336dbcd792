import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { isToken, keyOf, newToken } from '../../src/session/token.ts'

describe('newToken()', () => {
  it('draws 256 bits that never come twice, also when the pool of random bytes is drawn anew', () => {
    const ids = Array.from({ length: 1000 }, newToken)
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.equal(Buffer.from(id, 'base64url').length, 32)
  })

  it('makes well-formed ids', () => {
    assert.ok(Array.from({ length: 1000 }, newToken).every(isToken))
  })
})

describe('isToken(id)', () => {
  it('refuses every other length and every other alphabet', () => {
    const id = newToken()
    for (const wrong of [
      '',
      id.slice(1),
      `${id}A`,
      `${id}\n`,
      `+${id.slice(1)}`,
      `${id.slice(1)}=`,
      `é${id.slice(1)}`,
    ]) {
      assert.equal(isToken(wrong), false)
    }
  })
})

describe('keyOf(id)', () => {
  it('is the SHA-256 of the id in hexadecimal, always the same', () => {
    const id = newToken()
    assert.equal(keyOf(id), createHash('sha256').update(id).digest('hex'))
    assert.equal(keyOf(id), keyOf(id))
  })
})
