import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Keygrip from 'keygrip'
import { keyringOf, noKeys, type Keys } from '../../src/http/keyring.ts'
import { discreet } from '../support/secrecy.ts'

const NEW = 'the newest signing secret'
const OLD = 'an older signing secret'

describe('keys', () => {
  it('sign and verify as Keygrip does with SHA-256, in both directions', () => {
    for (const key of [NEW, Buffer.from(NEW)]) {
      const keyring = keyringOf([key])
      const keygrip = new Keygrip([NEW], 'sha256')
      for (const text of ['sid=abc', '', 'ü', 'x'.repeat(1000)]) {
        assert.equal(keyring.sign(text), keygrip.sign(text))
        assert.ok(keygrip.verify(text, keyring.sign(text)))
        assert.equal(keyring.indexOf(text, keygrip.sign(text)), 0)
      }
    }
  })

  it('sign with the newest, and say which of them signed', () => {
    const keyring = keyringOf([NEW, Buffer.from(OLD)])
    assert.equal(keyring.indexOf('text', keyring.sign('text')), 0)
    assert.equal(keyring.indexOf('text', keyringOf([OLD]).sign('text')), 1)
    assert.equal(keyring.indexOf('text', keyringOf(['some other signing secret']).sign('text')), -1)
    assert.equal(keyring.indexOf('another text', keyring.sign('text')), -1)
    assert.equal(keyring.indexOf('text', ''), -1)
  })

  it('may be a Keygrip, of any kind', () => {
    const keygrip = new Keygrip([NEW, OLD], 'sha512', 'hex')
    const keyring = keyringOf(keygrip)
    assert.equal(keyring.sign('text'), keygrip.sign('text'))
    assert.equal(keyring.indexOf('text', new Keygrip([OLD], 'sha512', 'hex').sign('text')), 1)
    assert.equal(keyring.indexOf('text', 'nonsense'), -1)
  })

  it('stay what they were, whatever becomes of the list and the buffer they were given in', () => {
    const buffer = Buffer.from(NEW)
    const list = [buffer]
    const keyring = keyringOf(list)
    const signature = keyring.sign('text')
    buffer.fill(0)
    list.length = 0
    assert.equal(keyring.sign('text'), signature)
  })

  it('that are not set are left out', () => {
    assert.equal(keyringOf([NEW, undefined]).sign('text'), keyringOf([NEW]).sign('text'))
    assert.equal(keyringOf([undefined, NEW]).indexOf('text', keyringOf([NEW]).sign('text')), 0)
  })

  const SHORT = 'ünder-16-bytes'
  const wrong: [what: string, keys: unknown, said: RegExp][] = [
    ['an empty list', [], /no secret.*environment variable.*npx koa-server-session secret/],
    ['a list of nothing', [undefined, undefined], /no secret.*environment variable/],
    ['a short secret', [NEW, SHORT], /keys\[1\] has 15 bytes.*at least 16.*npx koa-server-session secret/],
    ['a short secret after one that is not set', [undefined, Buffer.from(SHORT)], /keys\[1\] has 15 bytes/],
    ['a list of empty texts', ['', ''], /no secret.*environment variable/],
    ['a number', [NEW, 5], /keys\[1\] must be a string or a Buffer/],
    ['null in the list', [null], /keys\[0\] must be a string or a Buffer/],
    ['one secret without a list', NEW, /keys must be a list/],
    ['null', null, /keys must be a list/],
    ['an object', { secret: NEW }, /keys must be a list/],
  ]
  for (const [what, keys, said] of wrong) {
    it(`are refused, with what to do and without the secret: ${what}`, () => {
      assert.throws(
        () => keyringOf(keys as Keys),
        (error: Error) => discreet('ERR_SESSION_OPTION', NEW, SHORT)(error) && said.test(error.message),
      )
    })
  }

  it('that are nowhere: the error says how to make one', () => {
    assert.throws(noKeys, discreet('ERR_SESSION_OPTION'))
    assert.throws(noKeys, /app\.keys.*npx koa-server-session secret/)
  })
})
