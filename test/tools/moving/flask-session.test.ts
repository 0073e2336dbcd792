import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { fromFlaskSession, type FlaskSessionSource } from '../../../src/tools/moving.ts'
import { decodeMsgpack } from '../../../src/tools/moving/msgpack.ts'
import { sessionOf, siteWith } from '../../support/sites/http.ts'
import { collectWarnings } from '../../support/warnings.ts'

/*
 * What Flask-Session 0.8.0 has written (Flask 3.1.3, msgspec 0.22.0, itsdangerous 2.2.0, cachelib 0.17.0, Python 3.11.7), read
 * from its Redis with GET and from its directory. The session was set to what DATA says; SECRET_KEY was SECRET.
 */
const SECRET = 'the secret of before'
const MSGPACK =
  '8baa5f7065726d616e656e74c3a475736572a3616461a46361727482a56974656d7392a3746561a36d7567a5746f74616ccb4029000000000000a6766973697473ce' +
  '00011170a3626967cf0020000000000001a464656274fba46e6f7465d9314772c3bcc39f652c20787878787878787878787878787878787878787878787878787878' +
  '78787878787878787878787878a573696e6365d7ff3b9aca006b081f40a4626c6f62c40300ff80a46e6f6e65c0a3796573c3'
const JSON_TEXT =
  '7b225f7065726d616e656e74223a747275652c2275736572223a22616461222c2263617274223a7b226974656d73223a5b22746561222c226d7567225d2c22746f74' +
  '616c223a31322e357d7d'
/** A file of its file system, which cachelib writes: four bytes that say when it ends, and a pickle. */
const FILE = '210b316b80059520000000000000007d94288c0a5f7065726d616e656e7494888c0475736572948c0361646194752e'
const BARE = 'session=18AqJirO7uqoSadA1B6cezdhyUeDs2Be2wknU-8_HUc'
const SIGNED = 'session=YPHdEIkbPDSPW3wjyYilCyYIOpOzo9nTa9AysENiVKw.3mQ1NwNJGmYm2vnBxq_gnhcjUi0'
const DATA = {
  user: 'ada',
  cart: { items: ['tea', 'mug'], total: 12.5 },
  visits: 70_000,
  big: 9_007_199_254_740_993n,
  debt: -5,
  note: `Grüße, ${'x'.repeat(40)}`,
  since: new Date('2026-11-26T12:00:00.250Z'),
  blob: Buffer.from([0, 255, 128]),
  none: null,
  yes: true,
}

/** A site whose visitors come from Flask, and the records that are left there. */
async function moved(test: TestContext, hex: string, cookie: string, options: Partial<FlaskSessionSource> = {}) {
  const id = /^session=([\w-]+)/.exec(cookie)?.[1]
  const records = new Map([[`session:${id}`, Buffer.from(hex, 'hex')]])
  const source = { read: (key: string) => records.get(key), remove: (key: string) => records.delete(key) }
  let seen: object = {}
  const site = await siteWith(test, { movingFrom: [fromFlaskSession({ ...source, ...options })] }, (ctx) => {
    seen = { ...sessionOf(ctx) }
    ctx.body = 'ok'
  })
  return {
    records,
    async visit(header = cookie) {
      const { cookies } = await site.agent().get('/', { cookie: header })
      return { data: seen, cookies }
    },
  }
}

describe('a visitor with a session of Flask-Session 0.8', () => {
  it('has it here, if its record is MessagePack in Redis', async (test) => {
    const { visit, records } = await moved(test, MSGPACK, BARE)
    const { data, cookies } = await visit()
    assert.deepEqual(data, DATA)
    assert.match(cookies[0] ?? '', /^sid=/)
    assert.equal(cookies[1], 'session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/')
    assert.equal(records.size, 0)
  })

  it('has it here, if its record is JSON', async (test) => {
    const { visit } = await moved(test, JSON_TEXT, BARE)
    assert.deepEqual((await visit()).data, { user: 'ada', cart: DATA.cart })
  })

  it('has it here, if its cookie is signed by any of the secrets, and not otherwise', async (test) => {
    const { visit, records } = await moved(test, MSGPACK, SIGNED, { secretKey: ['another secret', SECRET] })
    assert.deepEqual((await visit(SIGNED.replace('3mQ', '4mQ'))).data, {})
    assert.deepEqual((await visit(SIGNED.replace(/\..*/, ''))).data, {})
    assert.equal(records.size, 1)
    assert.deepEqual((await visit()).data, DATA)
  })

  it('has none here, if its record is a pickle, and a warning says once what to do', async (test) => {
    const warnings = await collectWarnings(test)
    for (const hex of [FILE, FILE.slice(8)]) {
      const { visit, records } = await moved(test, hex, BARE)
      assert.deepEqual(await visit(), { data: {}, cookies: [] })
      assert.deepEqual(await visit(), { data: {}, cookies: [] })
      assert.equal(records.size, 1, 'it is left where it is')
    }
    const told = await warnings()
    assert.deepEqual(
      told.map(({ code }) => code),
      ['SESSION_OLD_UNREADABLE', 'SESSION_OLD_UNREADABLE'],
    )
    assert.match(told[0]?.message ?? '', /pickle.*is not run here.*Flask-Session 0\.8/)
  })

  it('has none here, if its record is something else', async (test) => {
    const warnings = await collectWarnings(test)
    for (const hex of ['', '93010203', 'c1', MSGPACK.slice(0, -2), `${MSGPACK}00`, '22616461226'])
      assert.deepEqual((await (await moved(test, hex, BARE)).visit()).data, {}, hex)
    assert.ok((await warnings()).every(({ message }) => /neither MessagePack nor JSON/.test(message)))
  })

  it('is not asked about for what is no id', async (test) => {
    const { visit } = await moved(test, MSGPACK, BARE, { read: () => assert.fail('read') })
    for (const value of ['', 'short', 'x'.repeat(300), '../../etc/passwd-and-more', `${BARE.slice(8)}.sig`])
      assert.deepEqual((await visit(`session=${value}`)).data, {})
  })
})

describe('decodeMsgpack(bytes)', () => {
  const cases: [hex: string, value: unknown][] = [
    ['7f', 127],
    ['e0', -32],
    ['d080', -128],
    ['d18000', -32_768],
    ['d280000000', -2_147_483_648],
    ['d3ffffffffffffffff', -1],
    ['cc80', 128],
    ['cdffff', 65_535],
    ['cf0000000000000001', 1],
    ['ca3fc00000', 1.5],
    ['d90161', 'a'],
    ['da000161', 'a'],
    ['db0000000161', 'a'],
    ['c5000101', Buffer.from([1])],
    ['c60000000101', Buffer.from([1])],
    ['dc000101', [1]],
    ['dd0000000101', [1]],
    ['de00010102', { 1: 2 }],
    ['df00000001a9' + Buffer.from('__proto__').toString('hex') + '02', JSON.parse('{"__proto__":2}')],
    ['d6ff00000001', new Date(1000)],
    ['c70cff000000000000000000000001', new Date(1000)],
  ]
  it('reads each type of MessagePack', () => {
    for (const [hex, value] of cases) assert.deepEqual(decodeMsgpack(Buffer.from(hex, 'hex')), value, hex)
  })

  it('refuses what is cut short, too deep or of no known type, before it takes the memory that it asks for', () => {
    for (const hex of [
      '',
      'd9',
      'dbffffffff61',
      'ddffffffff01',
      'dfffffffff',
      'c6ffffffff',
      'c1',
      'd4057f',
      '91'.repeat(600),
    ])
      assert.throws(() => decodeMsgpack(Buffer.from(hex, 'hex')), Error, hex.slice(0, 20))
  })
})
