import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Keygrip from 'keygrip'
import { SessionCookie } from '../../src/http/cookie.ts'
import { Diagnostics } from '../../src/diagnostics.ts'
import { keyOf, newToken } from '../../src/session/token.ts'
import { keyringOf, type Keys } from '../../src/http/keyring.ts'

const KEY = 'the newest signing secret'
const OLD = 'an older signing secret'
const OTHER = 'somebody else his secret'

function cookieWith({ keys = [KEY], name = 'sid' }: { keys?: Keys; name?: string } = {}): {
  cookie: SessionCookie
  diagnostics: Diagnostics
} {
  const diagnostics = new Diagnostics('sid')
  const cookie = new SessionCookie(name, diagnostics)
  cookie.useKeys(keyringOf(keys))
  return { cookie, diagnostics }
}

/** `<token>.<signature>`, as Keygrip makes it. */
function valueOf(token: string, { key = KEY, name = 'sid' } = {}): string {
  return `${token}.${new Keygrip([key], 'sha256').sign(`${name}=${token}`)}`
}

describe('SessionCookie.read(header)', () => {
  const token = newToken()
  const value = valueOf(token)

  it('finds what we signed: the token, its key in the store, and which key signed', () => {
    const { cookie } = cookieWith({ keys: [KEY, OLD] })
    assert.deepEqual(cookie.read(`sid=${value}`), [
      { name: 'sid', token, key: keyOf(token), keyIndex: 0, label: 'sid' },
    ])
    assert.deepEqual(cookie.read(`sid=${valueOf(token, { key: OLD })}`), [
      { name: 'sid', token, key: keyOf(token), keyIndex: 1, label: 'sid' },
    ])
    assert.deepEqual(
      cookie.read(`sid=${value}`),
      [{ name: 'sid', token, key: keyOf(token), keyIndex: 0, label: 'sid' }],
      'also when it is known already',
    )
  })

  it('finds it wherever it stands', () => {
    const { cookie } = cookieWith()
    for (const header of [
      `a=b; sid=${value}`,
      `sid=${value}; a=b`,
      `a=b; sid=${value}; c=d`,
      `a=b;sid=${value};c=d`,
      `a=b;   sid=${value}`,
      `  sid=${value}`,
      `a=b ; sid=${value} ; c=d`,
      `a=b\t;\tsid=${value}\t;\tc=d`,
      `sid= ${value} `,
      `;;; sid=${value};;`,
      `a; sid=${value}; b`,
      `asid=x; sid2=y; my-sid=z; sid=${value}`,
      `a=sid=; sid=${value}`,
      `a="sid=x"; sid=${value}`,
      `${'x=y; '.repeat(2000)}sid=${value}`,
    ]) {
      assert.equal(cookie.read(header)[0]?.token, token, header.slice(-100))
      assert.equal(cookie.isIn(header), true)
    }
  })

  it('takes no other cookie for it', () => {
    const { cookie } = cookieWith()
    for (const header of [
      undefined,
      '',
      'sid',
      ';',
      `asid=${value}`,
      `sid2=${value}`,
      `a=sid=${value}`,
      `a sid=${value}`,
      `SID=${value}`,
      `sid =${value}`,
    ]) {
      assert.deepEqual(cookie.read(header), [])
      assert.equal(cookie.isIn(header), false, header)
    }
  })

  it('takes exactly what we write, and spends no crypto and no word on what looks otherwise', () => {
    let questions = 0
    const keygrip = new Keygrip([KEY], 'sha256')
    const keys = {
      sign: (text: string) => keygrip.sign(text),
      index: () => (questions++, 0),
      verify: () => true,
    } as unknown as Keygrip
    const { cookie, diagnostics } = cookieWith({ keys })
    const signature = value.slice(44)
    for (const wrong of [
      '',
      token,
      `${token}.`,
      `.${signature}`,
      value.slice(1),
      value.slice(0, -1),
      `${value}x`,
      `"${value}"`,
      value.replace('.', '-'),
      value.replace('.', '%'),
      `+${value.slice(1)}`,
      `${value.slice(0, -1)}=`,
      `${value.slice(0, -1)}/`,
      `é${value.slice(1)}`,
      `${value.slice(0, -1)}é`,
      `${value.slice(0, -1)}\u0000`,
      `${value},`,
      'x'.repeat(10_000),
      `${token.repeat(100)}.${signature}`,
    ]) {
      assert.deepEqual(cookie.read(`sid=${wrong}`), [], wrong.slice(0, 100))
    }
    assert.equal(questions, 0)
    assert.equal(diagnostics.stats.suspicious, 0)
    assert.equal(cookie.read(`sid=${value}`).length, 1)
    assert.equal(questions, 1)
  })

  it('refuses a wrong signature, and counts it as suspicious', () => {
    const { cookie, diagnostics } = cookieWith()
    const forged = [
      valueOf(token, { key: OTHER }),
      valueOf(token, { name: 'admin' }),
      valueOf(token, { name: '' }),
      `${newToken()}${value.slice(43)}`,
      `${token}.${new Keygrip([KEY], 'sha256').sign(token)}`,
      `${token}.${'A'.repeat(43)}`,
    ]
    for (const value of forged) assert.deepEqual(cookie.read(`sid=${value}`), [])
    assert.equal(diagnostics.stats.suspicious, forged.length)
  })

  it('gives the first four that are signed, in the order of the browser, and no more', () => {
    const { cookie } = cookieWith()
    const tokens = Array.from({ length: 6 }, newToken)
    const header = tokens.map((token) => `sid=${valueOf(token)}`).join('; ')
    assert.deepEqual(
      cookie.read(header).map((found) => found.token),
      tokens.slice(0, 4),
    )
  })

  it('is not kept from its own by forgeries, however many a header has room for', () => {
    const { cookie, diagnostics } = cookieWith()
    const forged = Array.from({ length: 100 }, () => `sid=${valueOf(newToken(), { key: OTHER })}`).join('; ')
    assert.deepEqual(
      cookie.read(`${forged}; sid=${value}`).map((found) => found.token),
      [token],
    )
    assert.equal(diagnostics.stats.suspicious, 100)
  })

  it('is not kept from its own by cookies of its name that have another form', () => {
    const { cookie, diagnostics } = cookieWith()
    const others = [
      'a',
      '',
      `${'a'.repeat(43)}.${'*'.repeat(43)}`,
      `${'*'.repeat(43)}.${'a'.repeat(43)}`,
      'x'.repeat(87),
    ]
    const header = [...others, ...others, value].map((other) => `sid=${other}`).join('; ')
    assert.deepEqual(
      cookie.read(header).map((found) => found.token),
      [token],
    )
    assert.equal(diagnostics.stats.suspicious, 0)
  })

  it('names one session once, however often the cookie was sent', () => {
    assert.equal(cookieWith().cookie.read(`sid=${value}; sid=${value}`).length, 1)
  })

  it('reads names that mean something to regular expressions', () => {
    const { cookie } = cookieWith({ name: '__Host-a.b*c' })
    const value = valueOf(token, { name: '__Host-a.b*c' })
    assert.equal(cookie.read(`__Host-axbbc=${value}; __Host-a.b*c=${value}`).length, 1)
    assert.equal(cookie.read(`__Host-axbbc=${value}`).length, 0)
  })

  it('is done with whatever somebody sends, in no more than some steps for each character', () => {
    const { cookie } = cookieWith()
    for (const header of [
      'sid='.repeat(400_000),
      'sid=;'.repeat(400_000),
      `${' '.repeat(1_600_000)}sid=`,
      'a sid='.repeat(250_000),
      `sid=${'x'.repeat(1_600_000)}`,
    ]) {
      // A hundred times what Node takes for headers: with steps for each pair of characters, this would take hours.
      assert.deepEqual(cookie.read(header), [])
    }
  })
})

describe('SessionCookie.known(header)', () => {
  const token = newToken()
  const value = valueOf(token)
  const planted = valueOf(token, { name: 'plain:sid' })

  it('gives the one cookie that was verified or written before, wherever browsers put it', () => {
    const { cookie } = cookieWith()
    const headers = [`sid=${value}`, `a=b; sid=${value}`, `sid=${value}; a=b`, `a=b; sid=${value}; c=d`]
    for (const header of headers) assert.equal(cookie.known(header), undefined, 'nothing is known yet')
    const [verified] = cookie.read(`sid=${value}`)
    for (const header of headers) assert.equal(cookie.known(header), verified, header)
    const own = cookie.write(newToken())
    assert.equal(cookie.known(own), cookie.read(own)[0])
  })

  it('says nothing of any other header, and so never anything else than read(header)', () => {
    for (const isAuto of [false, true]) {
      const cookie = new SessionCookie('sid', new Diagnostics('sid'), isAuto)
      cookie.useKeys(keyringOf([KEY]))
      const other = cookie.write(newToken(), true)
      for (const known of [`sid=${value}`, `sid=${planted}`, other]) cookie.read(known)
      const values = [
        value,
        planted,
        `${value}x`,
        value.slice(0, -1),
        `${value.slice(0, 12)}${'A'.repeat(75)}`,
        '',
        '"',
      ]
      for (const one of values) {
        for (const header of [
          `sid=${one}`,
          `asid=${one}`,
          ` sid=${one}`,
          `a=b;sid=${one}`,
          `a=b\t; sid=${one}`,
          `sid=${one} ; a=b`,
          `sid= ${one}`,
          `sid=${one}; sid=${value}`,
          `sid=${value}; sid=${one}`,
          `x=sid=${one}; sid=${value}`,
          `sid=${one}, sid=${value}`,
          `${other}; sid=${one}`,
          `sid=${one}; ${other}`,
          `__Host-sid=${one}`,
        ]) {
          for (const isPrefixed of [true, false, undefined]) {
            const known = cookie.known(header, isPrefixed)
            if (known) assert.deepEqual([known], cookie.read(header, isPrefixed), header)
          }
        }
      }
    }
  })

  it('forgets what was verified by keys that are gone, and remembers nothing for keys that may change', () => {
    const { cookie } = cookieWith()
    cookie.read(`sid=${value}`)
    cookie.useKeys(keyringOf([OTHER]))
    assert.equal(cookie.known(`sid=${value}`), undefined)
    const changing = cookieWith({ keys: new Keygrip([KEY], 'sha256') }).cookie
    assert.equal(changing.read(`sid=${value}`).length, 1)
    assert.equal(changing.known(`sid=${value}`), undefined)
  })
})

describe('SessionCookie.rotate(keys)', () => {
  const token = newToken()

  it('accepts the keys that are still there and forgets what it knew of the others', () => {
    const { cookie } = cookieWith({ keys: [OLD] })
    const header = `sid=${valueOf(token, { key: OLD })}`
    assert.equal(cookie.read(header)[0]?.keyIndex, 0)
    cookie.useKeys(keyringOf([KEY, OLD]))
    assert.equal(cookie.read(header)[0]?.keyIndex, 1)
    assert.equal(cookie.read(cookie.write(token))[0]?.keyIndex, 0)
    cookie.useKeys(keyringOf([KEY]))
    assert.deepEqual(cookie.read(header), [])
  })

  it('may change the length of signatures', () => {
    const { cookie } = cookieWith()
    cookie.useKeys(keyringOf(new Keygrip([KEY], 'sha512')))
    assert.equal(cookie.read(cookie.write(token)).length, 1)
  })

  it('is not needed for a Keygrip whose own keys change: a retired key is refused at once', () => {
    const secrets = [KEY, OLD]
    const { cookie } = cookieWith({ keys: new Keygrip(secrets, 'sha256') })
    const header = `sid=${valueOf(token, { key: OLD })}`
    assert.equal(cookie.read(header)[0]?.keyIndex, 1)
    secrets.pop()
    assert.deepEqual(cookie.read(header), [])
  })
})

describe('SessionCookie.write(token)', () => {
  it('writes what Keygrip verifies', () => {
    const token = newToken()
    assert.equal(cookieWith().cookie.write(token), `sid=${valueOf(token)}`)
  })
})
