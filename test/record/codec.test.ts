import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { json } from '../support/records/values.ts'
import { discreet } from '../support/secrecy.ts'

const codec = new Codec()
const SECRET = 'the-value-nobody-may-read'

/** What a later request gets for this value: through text, as every store keeps it. */
function stored(value: unknown): unknown {
  const text = codec.encode(value, 'key')
  JSON.parse(text)
  return new Entry(text).read(codec, 'key')
}

describe('what is put into a session', () => {
  const cyclic: { self?: unknown; when: Date } = { when: new Date(0) }
  cyclic.self = cyclic
  const deep: unknown[] = []
  for (let depth = 0, inner = deep; depth < 500; depth++) inner.push((inner = []))
  const values: Record<string, unknown> = {
    'a Date': new Date('2026-01-02T03:04:05.678Z'),
    'a Map of Maps': new Map<unknown, unknown>([[1, new Map([['a', new Date(1)]])]]),
    'a Map with objects as keys': new Map([[{ a: 1 }, 'x']]),
    'a Set': new Set([1, '1', null, undefined]),
    'a Set of ten thousand numbers': new Set(Array.from({ length: 10_000 }, (_, n) => n / 2)),
    'a Set of more texts': new Set(Array.from({ length: 10_001 }, (_, n) => `${n}`)),
    'a URL of many scripts': new URL('https://ünï.例え.test/é?ø=日#本 語'),
    'a URL with blanks': new URL('data:text/plain,a b c'),
    'a value in which one object stands a hundred times': Array<object>(100).fill({ name: 'x'.repeat(100) }),
    'a long value in which each object stands once': Array.from({ length: 300 }, (_, n) => ({
      name: 'x'.repeat(100),
      n,
    })),
    'a BigInt': 12345678901234567890n,
    'a regular expression': /a"[/\n]/giu,
    'a URL': new URL('https://user@example.com/a?b=%20#c'),
    'URL search parameters': new URLSearchParams('a=1&a=2'),
    'a Buffer': Buffer.from([0, 1, 254, 255]),
    'an empty Buffer': Buffer.alloc(0),
    'a Uint8Array': new Uint8Array([1, 2, 3]),
    'an empty Uint8Array': new Uint8Array(),
    'a Float64Array': new Float64Array([0.1, -0, NaN]),
    'a BigInt64Array': new BigInt64Array([-1n]),
    'an ArrayBuffer': new Uint8Array([9, 8]).buffer,
    'a DataView': new DataView(new Uint8Array([1, 2, 3]).buffer),
    'undefined in an array': [undefined, 1, undefined],
    'undefined in an object': { a: undefined, b: 1 },
    'the empty text': '',
    'negative zero': -0,
    'negative zero inside': { a: [-0] },
    'not a number': NaN,
    'infinity inside': { a: -Infinity },
    'an array with holes': [1, , 3, , ,], // oxlint-disable-line no-sparse-arrays
    'a long array with one item': Object.assign([], { 100_000: 'x' }),
    'an object without a prototype': Object.assign(Object.create(null) as object, { a: 1, toString: 2 }),
    'a boxed number': Object(5),
    'a half of a surrogate pair': '\ud800',
    'a half of a surrogate pair as a name': { '\udc00': '\ud83d' },
    'what looks like our own mark': { '~': [1, 2] },
    'what looks like our own mark, as a text': { '~': 'text' },
    'what looks like our own mark, beside a Date': { '~': [new Date(0)] },
    '__proto__ as a name': JSON.parse('{"__proto__":{"polluted":true},"a":{"__proto__":1}}'),
    'names of one character that JSON escapes': { q: { '\n': 1 }, '\n': { '"': 2, '\\': 3, '\u0000': 4, '\ud800': 5 } },
    'names that look like those': { '~"': 1, '"': 2, '~~"': 3, '~': 4, é: 5, '\u2028': 6 },
    '__proto__ as a name beside a Date': {
      when: new Date(0),
      deep: [JSON.parse('{"__proto__":{"polluted":true},"~__proto__":2}')],
    },
    '__proto__ as a name without a prototype': {
      a: [
        new Date(0),
        Object.defineProperty(Object.create(null) as object, '__proto__', { value: 1, enumerable: true }),
      ],
    },
    'a hundred keys': Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key${index}`, { index }])),
    'keys that are numbers': { 10: 'a', 9: 'b', '-1': 'c', '01': 'd' },
    'lines and quotes': { 'a"\n\\:': '"\r\n\u2028\\":' },
    'five hundred levels': deep,
    null: null,
  }
  for (const [what, value] of Object.entries(values)) {
    it(`comes back: ${what}`, () => {
      assert.deepStrictEqual(stored(value), value)
      assert.deepStrictEqual(stored([value, { value }]), [value, { value }])
    })
  }

  it('comes back: an invalid Date', () => {
    assert.equal((stored(new Date(NaN)) as Date).getTime(), NaN)
  })

  it('comes back: a cycle', () => {
    const back = stored(cyclic) as typeof cyclic
    assert.equal(back.self, back)
    assert.deepEqual(back.when, new Date(0))
    const list: unknown[] = []
    list.push(list, new Map([['list', list]]))
    const backList = stored(list) as [unknown, Map<string, unknown>]
    assert.equal(backList[0], backList)
    assert.equal(backList[1].get('list'), backList)
  })

  it('comes back as what it was: the kind of byte strings, and of objects', () => {
    assert.ok(Buffer.isBuffer(stored(Buffer.alloc(0))))
    assert.ok(!Buffer.isBuffer(stored(new Uint8Array(1))))
    assert.equal(Object.getPrototypeOf(stored(Object.create(null))), null)
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
  })

  it('comes back without what lies beside it in memory', () => {
    const pool = Buffer.from(`${SECRET}abcdefgh`)
    const view = new Uint8Array(pool.buffer, pool.byteOffset + SECRET.length, 8)
    const data = new DataView(pool.buffer, pool.byteOffset + SECRET.length, 8)
    for (const part of [view, data, new Uint16Array(view.buffer.slice(0), 0, 1)]) {
      assert.deepStrictEqual(stored({ part }), { part })
      assert.ok(codec.encode({ part }, 'key').length < 200, 'only the eight bytes')
    }
  })

  it('comes back, whatever JSON it is', () => {
    fc.assert(
      fc.property(json, (value) => assert.deepStrictEqual(stored(value), value)),
      { numRuns: 2000 },
    )
  })
})

describe('what cannot be put into a session', () => {
  class Money {
    amount = SECRET
  }
  class Bag extends Map<string, string> {}
  class List extends Array<string> {}
  function argumentsOf(..._given: unknown[]): unknown {
    return arguments
  }
  const resizable = (length: number): ArrayBuffer =>
    new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer)(length, { maxByteLength: 99 })
  class Forged {
    secret = SECRET
    get [Symbol.toStringTag](): string {
      return 'Map'
    }
  }
  const at = 'session.cart.items[0]'
  const refused: [what: string, value: unknown, said: string][] = [
    ['a function', () => SECRET, 'session.cart.items[0] cannot be stored: it is a function'],
    ['a symbol', Symbol(SECRET), 'session.cart.items[0] cannot be stored: it is a symbol'],
    [
      'an instance of a class',
      new Money(),
      'session.cart.items[0] cannot be stored: it is an instance of the class Money',
    ],
    ['an instance of a class that extends Map', new Bag([['a', SECRET]]), 'it is an instance of the class Bag'],
    ['an instance of a class that extends Array', List.from([SECRET]), 'it is an instance of the class List'],
    ['an instance of a class that says it is a Map', new Forged(), 'it is an instance of the class Forged'],
    [
      'an object that says it is a Date',
      { [Symbol.toStringTag]: 'Date', a: SECRET },
      'it has a property whose name is a symbol',
    ],
    ['an object with a symbol as a name', { [Symbol(SECRET)]: SECRET }, 'it has a property whose name is a symbol'],
    ['an error', new TypeError(SECRET), 'it is an instance of the class TypeError'],
    ['a promise', Promise.resolve(SECRET), 'it is an instance of the class Promise'],
    ['a WeakMap', new WeakMap(), 'it is an instance of the class WeakMap'],
    [
      'an object with a method',
      { secret: SECRET, method() {} },
      'session.cart.items[0].method cannot be stored: it is a function',
    ],
    [
      'an object with toJSON',
      { secret: SECRET, toJSON: () => SECRET },
      'session.cart.items[0].toJSON cannot be stored',
    ],
    [
      'something in a Map, whose keys may be secrets',
      new Map([[SECRET, () => 1]]),
      'session.cart.items[0] (inside a Map) cannot be',
    ],
    [
      'a match of a RegExp, which has names beside its items',
      /(?<id>.+)/.exec(SECRET),
      `${at}.index cannot be stored: it is a property that was added to an array`,
    ],
    ['an array with a symbol as a name', Object.assign([1], { [Symbol(SECRET)]: 1 }), 'whose name is a symbol'],
    [
      'an array with a hidden property, beside what is not plain JSON',
      [new Date(0), Object.defineProperty([1], 'hidden', { value: SECRET })],
      `${at}[1].hidden cannot be stored: it is a property that was added to an array`,
    ],
    [
      'a getter',
      {
        get total() {
          return SECRET
        },
      },
      `${at}.total cannot be stored: it is a getter or a setter`,
    ],
    ['a setter', { set total(_: string) {} }, `${at}.total cannot be stored: it is a getter or a setter`],
    [
      'a getter as an item, beside what is not plain JSON',
      [new Date(0), Object.defineProperty([1], '0', { get: () => SECRET })],
      `${at}[1][0] cannot be stored: it is a getter or a setter`,
    ],
    [
      'a hidden property',
      Object.defineProperty({ a: 1 }, 'hidden', { value: SECRET }),
      `${at}.hidden cannot be stored: it is hidden, that is not enumerable`,
    ],
    [
      'a hidden item',
      Object.defineProperty([1, 2], '1', { value: SECRET, enumerable: false }),
      `${at}[1] cannot be stored: it is hidden, that is not enumerable`,
    ],
    ['the arguments of a function', argumentsOf(SECRET), `${at}.length cannot be stored: it is hidden`],
    [
      'a RegExp in the middle of a search',
      Object.assign(/a/g, { lastIndex: 3 }),
      `${at} cannot be stored: it is a RegExp in use`,
    ],
    ['a Date with a property', Object.assign(new Date(), { zone: SECRET }), `${at}.zone cannot be stored`],
    ['a Map with a property', Object.assign(new Map(), { total: SECRET }), `${at}.total cannot be stored`],
    ['a Set with a hidden property', Object.defineProperty(new Set(), 'a', { value: SECRET }), `${at}.a cannot be`],
    ['a RegExp with a property', Object.assign(/a/, { note: SECRET }), `${at}.note cannot be stored`],
    ['a Buffer with a property', Object.assign(Buffer.from('ab'), { note: SECRET }), `${at}.note cannot be stored`],
    [
      'a typed array with a property',
      Object.assign(new Float64Array(3), { note: SECRET }),
      `${at}.note cannot be stored: it is a property that was added to a Float64Array`,
    ],
    ['an ArrayBuffer with a property', Object.assign(new ArrayBuffer(3), { note: SECRET }), `${at}.note cannot be`],
    ['a boxed text with a property', Object.assign(Object('ab') as object, { note: SECRET }), `${at}.note cannot be`],
    ['a URL with a property', Object.assign(new URL('http://a'), { note: SECRET }), `${at}.note cannot be stored`],
    ['a boxed symbol', Object(Symbol(SECRET)), 'it is an instance of the class Symbol'],
    ['shared memory', new Uint8Array(new SharedArrayBuffer(4)), 'its memory is a SharedArrayBuffer'],
    ['memory that can be resized', resizable(4), 'its memory can be resized'],
    ['a view of memory that can be resized', new Uint8Array(resizable(4), 0, 2), 'its memory can be resized'],
    [
      'a Set of very many numbers',
      new Set(Array.from({ length: 10_001 }, (_, n) => n)),
      'a Set of more than 10000 numbers',
    ],
    [
      'a Map with very many numbers as keys',
      new Map(Array.from({ length: 10_001 }, (_, n) => [BigInt(n), SECRET])),
      `${at} cannot be stored: it is a Map with more than 10000 numbers`,
    ],
    ['what only has the prototype of a Date', Object.create(Date.prototype), 'it is an instance of the class Date'],
    ['a Date with another prototype', Object.setPrototypeOf(new Date(), Map.prototype), 'an instance of the class Map'],
    ['an array with another prototype', Object.setPrototypeOf([1], null), 'an object that is more than plain data'],
    ['a RegExp that takes long to compile', new RegExp(`[${'\\w'.repeat(600)}]`, 'iu'), 'takes too long to compile'],
    [
      'many RegExps that take long to compile',
      Array.from({ length: 30 }, (_, index) => new RegExp(`${index}${'\\p{L}'.repeat(10)}`, 'u')),
      'takes too long to compile',
    ],
    [
      'something under a name that is not fit for a log',
      { ['a\nb']: { [`${'x'.repeat(100)}`]: () => 1 } },
      `${at}["a\\nb"]["${'x'.repeat(40)}"…] cannot be stored: it is a function`,
    ],
    [
      'something at the end of a long path',
      Array.from({ length: 30 }).reduce((inner) => ({ a: inner }), Symbol()),
      `session.cart.items[0]${'.a'.repeat(18)}… cannot be stored: it is a symbol`,
    ],
  ]
  for (const [what, value, said] of refused) {
    it(`is ${what}: the error names the place and tells no value`, () => {
      assert.throws(
        () => codec.encode({ secret: SECRET, items: [value] }, 'cart'),
        (error: Error) =>
          discreet('ERR_SESSION_VALUE', SECRET)(error) && error.message.includes(said) && error.cause === undefined,
      )
    })
  }

  it('is data without end', () => {
    const deep: unknown[] = []
    for (let depth = 0, inner = deep; depth < 100_000; depth++) inner.push((inner = []))
    assert.throws(() => codec.encode({ items: deep }, 'cart'), {
      code: 'ERR_SESSION_VALUE',
      message: 'session.cart.items[0][0][0]… is nested too deeply to be stored.',
    })
  })
})

describe('a serializer of the user', () => {
  it('that gives a promise, or no text, is told what to give', () => {
    for (const stringify of [async () => '', () => undefined, () => Buffer.alloc(0)]) {
      const codec = new Codec({ stringify: stringify as never, parse: JSON.parse })
      assert.throws(() => codec.encode({ a: 1 }, 'cart'), {
        code: 'ERR_SESSION_VALUE',
        message: /^session\.cart cannot be stored: .* must return a string at once/,
      })
    }
  })

  const reversed = {
    stringify: (value: unknown) => [...JSON.stringify(value)].reverse().join(''),
    parse: (text: string) => JSON.parse([...text].reverse().join('')) as unknown,
  }

  it('writes and reads every value, in a text that is JSON', () => {
    const custom = new Codec(reversed)
    const text = custom.encode({ a: 'x"y' }, 'key')
    assert.deepEqual(JSON.parse(text), { '~': '}"y\\"\\x":"a"{'.replace('\\"\\', '"\\') })
    assert.deepEqual(custom.decode(text, 'key'), { a: 'x"y' })
  })

  it('still reads what was written before there was one', () => {
    const custom = new Codec(reversed)
    for (const value of [{ a: 1 }, new Date(5), 'text', new Map([[1, 2]])]) {
      assert.deepEqual(custom.decode(codec.encode(value, 'key'), 'key'), value)
    }
  })

  it('is missed when it is taken away', () => {
    assert.throws(
      () => codec.decode(new Codec(reversed).encode(SECRET, 'key'), 'key'),
      (error: Error) =>
        discreet('ERR_SESSION_UNREADABLE', SECRET)(error) &&
        error.message === 'session.key was written by a custom serializer. Pass the same `serializer` option again.',
    )
  })

  it('whose parse throws makes the value unreadable; its error, which may quote the value, goes no further', () => {
    const json = new Codec({ stringify: (value) => `v1 ${JSON.stringify(value)}`, parse: JSON.parse })
    assert.throws(
      () => json.decode(json.encode(SECRET, 'key'), 'cart'),
      (error: Error) =>
        discreet('ERR_SESSION_UNREADABLE', SECRET)(error) &&
        error.cause === undefined &&
        error.message === "session.cart cannot be read: the serializer's parse threw a SyntaxError.",
    )
  })

  it('that throws refuses the value, and its error is the cause', () => {
    const cause = new Error('a reason')
    const throwing = new Codec({
      ...reversed,
      stringify: () => {
        throw cause
      },
    })
    assert.throws(
      () => throwing.encode(SECRET, 'name'),
      (error: Error) =>
        discreet('ERR_SESSION_VALUE', SECRET)(error) && error.cause === cause && error.message.includes('session.name'),
    )
  })

  it('that returns no text is refused, and makes no record that nobody can read', () => {
    for (const nothing of [undefined, null, 5, Buffer.from('x')]) {
      const wrong = new Codec({ ...reversed, stringify: () => nothing as unknown as string })
      assert.throws(() => wrong.encode({ a: SECRET }, 'name'), discreet('ERR_SESSION_VALUE', SECRET))
    }
  })
})
