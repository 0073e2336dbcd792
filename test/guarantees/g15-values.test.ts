import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Agent, sessionOf, siteWith } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function cyclic(): object {
  const node: Record<string, unknown> = { name: 'root', list: [] as unknown[] }
  node['self'] = node
  ;(node['list'] as unknown[]).push(node)
  return node
}

const shared = { n: 1 }
const VALUES: Record<string, unknown> = {
  string: 'a "quoted" text,\nwith \u2028 and \ud83d\ude00 and </script>',
  'lone surrogate': 'x\ud800y',
  empty: '',
  zero: 0,
  'minus zero': -0,
  NaN: NaN,
  Infinity: -Infinity,
  bigint: 2n ** 70n,
  true: true,
  null: null,
  'nested null': { a: null },
  Date: new Date(1e12),
  'invalid Date': new Date(NaN),
  Map: new Map<unknown, unknown>([
    [{ key: 1 }, new Set([1])],
    ['b', undefined],
  ]),
  Set: new Set(['a', { b: 1 }]),
  RegExp: /a+b/giu,
  URL: new URL('https://example.test/?a=1#b'),
  bytes: new Uint8Array([0, 255, 7]),
  floats: new Float64Array([0.1, -1e300]),
  buffer: Buffer.from([1, 2, 255]),
  'array with undefined': [1, undefined, 3],
  'object with undefined': { a: undefined, b: 1 },
  // oxlint-disable-next-line no-sparse-arrays
  'sparse array': [1, , 3],
  deep: { a: { b: { c: [[[{ d: new Date(5) }]]] } } },
  'numbers as keys': { 10: 'ten', 2: 'two', a: 'letter' },
  'looks coded': { '~': [['Date', 'x']] },
  'a key named __proto__': JSON.parse('{"__proto__":{"polluted":true},"a":1}'),
  'the same object twice': [shared, shared],
  'the same object very often': Array<object>(500).fill({ text: 'x'.repeat(50) }),
  'URL search parameters': new URLSearchParams('a=1&a=2&b=ü'),
  'a URL of many scripts': new URL('https://ünï.例え.test/é?ø=日#本'),
  'an ArrayBuffer': new Uint8Array([9, 8]).buffer,
  'a DataView': new DataView(new Uint8Array([1, 2, 3]).buffer),
  'big integers': new BigInt64Array([-1n, 2n ** 62n]),
  'an empty Buffer': Buffer.alloc(0),
  'a boxed text': Object('text'),
  'an object without a prototype': Object.assign(Object.create(null) as object, { a: 1, toString: 2 }),
  'an object without a prototype, inside': { a: [Object.assign(Object.create(null) as object, { b: new Date(0) })] },
  'a long array with one item': Object.assign([], { 100_000: 'x' }),
  'names that JSON escapes': { '"': 1, '\\': 2, '\n': { '\u0000': 3, '\ud800': 4 }, '%0022': 5, '~"': 6 },
  'names that JSON escapes, beside a Date': { '"': [new Date(1)], '\n': { '\\': new Date(2) } },
  'a Map of Maps': new Map<unknown, unknown>([[1n, new Map([[NaN, new Set([-0, undefined])]])]]),
  'a large plain value': Array.from({ length: 500 }, (_, n) => ({ n, text: 'x'.repeat(50), tags: ['a', 'b'] })),
  cycle: cyclic(),
  'many keys': Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, index])),
}

describe("G15: what you put is what you get, through HTTP, files and two processes' caches", () => {
  for (const [name, value] of Object.entries(VALUES)) {
    it(name, async (test) => {
      const store = `file:${temporaryDirectory()}`
      let got: unknown
      const writer = await siteWith(test, { store }, (ctx) => {
        if (ctx.path === '/put') sessionOf(ctx)['value'] = value
        else got = sessionOf(ctx)['value']
        ctx.body = ''
      })
      const reader = await siteWith(test, { store }, (ctx) => {
        got = sessionOf(ctx)['value']
        ctx.body = ''
      })
      const browser = writer.agent()
      assert.equal((await browser.get('/put')).status, 200)
      for (const agent of [browser, new Agent(reader.port, browser.cookies), browser]) {
        got = undefined
        await agent.get('/')
        if (name === 'cycle') assertIsCycle(got)
        // Two of them are not equal to node:assert on Node 20.
        else if (name === 'invalid Date') assert.ok(got instanceof Date && Number.isNaN(got.getTime()))
        else assert.deepStrictEqual(got, value)
        if (typeof value === 'object' && value !== null) assert.notEqual(got, value, 'a copy')
      }
      assert.equal(({} as { polluted?: boolean }).polluted, undefined)
      assert.equal(reader.sessions.stats().saves + writer.sessions.stats().saves, 1, 'reading it wrote nothing')
    })
  }

  it('functions, symbols and instances of classes are refused, with the path in the error and 500 for the visitor', async (test) => {
    class Money {
      amount = 5
    }
    const refused: [unknown, string][] = [
      [() => {}, 'session.value '],
      [Symbol('s'), 'session.value '],
      [new Money(), 'session.value '],
      [{ cart: { items: [1, { price: new Money() }] } }, 'session.value.cart.items[1].price '],
      [[() => {}], 'session.value[0] '],
      [new WeakMap(), 'session.value '],
      [Promise.resolve(), 'session.value '],
      [new Error('e'), 'session.value '],
      [{ bag: new (class Bag extends Map {})() }, 'session.value.bag '],
      [{ list: Object.assign([1], { total: 1 }) }, 'session.value.list.total '],
      [[new Date(), Object.assign(new Date(), { zone: 'UTC' })], 'session.value[1].zone '],
      [{ ids: Object.assign(new Set([1]), { total: 1 }) }, 'session.value.ids.total '],
      [Object.assign(Buffer.from('ab'), { note: 1 }), 'session.value.note '],
      [{ cart: Object.defineProperty({}, 'total', { get: () => 1, enumerable: true }) }, 'session.value.cart.total '],
      [{ cart: Object.defineProperty({}, 'total', { value: 1 }) }, 'session.value.cart.total '],
      [{ [Symbol('s')]: 1 }, 'session.value '],
      [Object.assign(/a/g, { lastIndex: 1 }), 'session.value '],
      [new Uint8Array(new SharedArrayBuffer(4)), 'session.value '],
      [new Set(Array.from({ length: 10_001 }, (_, n) => n)), 'session.value '],
      [nested(1001), 'session.value[0][0][0][0]… is nested too deeply'],
    ]
    let next: unknown
    const errors: (Error & { code?: string })[] = []
    const { agent, app } = await siteWith(test, { store: `file:${temporaryDirectory()}` }, (ctx) => {
      sessionOf(ctx)['good'] = 1
      sessionOf(ctx)['value'] = next
      ctx.body = ''
    })
    app.on('error', (error) => errors.push(error))
    const browser = agent()
    for (const [value, path] of refused) {
      next = value
      const { status, text, cookies } = await browser.get('/')
      assert.deepEqual([status, text, cookies], [500, 'Internal Server Error', []])
      const error = errors.at(-1)
      assert.equal(error?.code, 'ERR_SESSION_VALUE')
      assert.ok(error?.message.startsWith(path), error?.message)
    }
  })
})

function nested(levels: number): unknown[] {
  let value: unknown[] = []
  for (let level = 1; level < levels; level++) value = [value]
  return value
}

function assertIsCycle(value: unknown): void {
  const node = value as { name: string; self: unknown; list: unknown[] }
  assert.equal(node.name, 'root')
  assert.equal(node.self, node)
  assert.equal(node.list[0], node)
}
