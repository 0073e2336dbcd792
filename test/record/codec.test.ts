import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { discreet } from '../support/secrecy.ts'

const codec = new Codec()
const SECRET = 'the-value-nobody-may-read'

/** What a later request gets for this value: through text, as every store keeps it. */
function stored(value: unknown): unknown {
  const text = codec.encode(value, 'key')
  JSON.parse(text)
  return new Entry(text).read(codec)
}

/** JSON data with every name that could do harm: as `JSON.parse` gives it, `__proto__` an own property. */
const json = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }).map((value) => {
  const names = ['__proto__', 'constructor', 'toJSON', '~', '1', 'ordinary']
  const text = JSON.stringify(value, (_name, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner).map(([name, item], index) => [name.length % 2 ? names[index % 6] : name, item]),
        )
      : inner,
  )
  return JSON.parse(text) as unknown
})

const rich = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constantFrom(null, undefined, -0, NaN, Infinity),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
    fc.float64Array(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
  node: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.sparseArray(tie('node'), { maxLength: 6 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('__proto__', '~__proto__', '~', 'then', '\n', '~"')),
      tie('node'),
      {
        maxKeys: 4,
      },
    ),
    fc.array(fc.tuple(fc.string(), tie('node')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie('node'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
})).node

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

  it('has no name of one character that JSON escapes in its text, because some Nodes misread it', () => {
    for (const name of ['\n', '"', '\\', '\u001f', '\udfff', '<', '\u2028']) {
      const text = codec.encode([{ a: { [name]: 1 } }], 'key')
      assert.ok(!text.includes(JSON.stringify(name)), JSON.stringify(name))
    }
    assert.equal(codec.encode({ '~': { é: 1, ']': 2 } }, 'key'), '{"~":[{"~":1},{"é":2,"]":3},1,2]}')
    assert.equal(codec.encode({ é: 1, ' ': 2 }, 'key'), '{"é":1," ":2}')
  })

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

  it('comes back, whatever richer value it is', () => {
    fc.assert(
      fc.property(rich, (value) => assert.deepStrictEqual(stored(value), value)),
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
  class Forged {
    secret = SECRET
    get [Symbol.toStringTag](): string {
      return 'Map'
    }
  }
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
      'it is an object that is more than plain data',
    ],
    ['an object with a symbol as a name', { [Symbol(SECRET)]: SECRET }, 'it is an object that is more than plain data'],
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
  const reversed = {
    stringify: (value: unknown) => [...JSON.stringify(value)].reverse().join(''),
    parse: (text: string) => JSON.parse([...text].reverse().join('')) as unknown,
  }

  it('writes and reads every value, in a text that is JSON', () => {
    const custom = new Codec(reversed)
    const text = custom.encode({ a: 'x"y' }, 'key')
    assert.deepEqual(JSON.parse(text), { '~': '}"y\\"\\x":"a"{'.replace('\\"\\', '"\\') })
    assert.deepEqual(custom.decode(text), { a: 'x"y' })
  })

  it('still reads what was written before there was one', () => {
    const custom = new Codec(reversed)
    for (const value of [{ a: 1 }, new Date(5), 'text', new Map([[1, 2]])]) {
      assert.deepEqual(custom.decode(codec.encode(value, 'key')), value)
    }
  })

  it('is missed when it is taken away', () => {
    assert.throws(
      () => codec.decode(new Codec(reversed).encode(SECRET, 'key')),
      discreet('ERR_SESSION_UNREADABLE', SECRET),
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

describe('a value that is read', () => {
  it('is a copy, so that nothing that is done to it reaches the next reader', () => {
    fc.assert(
      fc.property(json, fc.func(fc.anything()), fc.array(fc.nat()), (value, invent, path) => {
        const text = codec.encode(value, 'key')
        const entry = new Entry(text)
        mutate(entry.read(codec), path, invent)
        assert.deepStrictEqual(entry.read(codec), value)
      }),
      { numRuns: 3000 },
    )
  })

  it('is a copy of its own kind where it is no JSON', () => {
    const entry = new Entry(codec.encode({ tags: new Set(['a']), bytes: Buffer.from('ab') }, 'key'))
    const mine = entry.read(codec) as { tags: Set<string>; bytes: Buffer }
    mine.tags.add('b')
    mine.bytes[0] = 0
    assert.deepStrictEqual(entry.read(codec), { tags: new Set(['a']), bytes: Buffer.from('ab') })
  })

  it('is the same whether the text was decoded by the entry or before it was made', () => {
    for (const text of ['{"a":[1]}', '"x"', 'null', '5', '{"~":[["Date","1970-01-01T00:00:00.000Z"]]}']) {
      assert.deepStrictEqual(new Entry(text, JSON.parse(text)).read(codec), new Entry(text).read(codec))
    }
  })
})

describe('Entry.isUntouched(value)', () => {
  it('is true of a copy nobody touched, for the data that most sessions hold', () => {
    for (const value of [{ a: { b: [1, 'x', null, true] } }, [], {}, [[{}]], 'text', 5, true, null]) {
      const entry = new Entry(codec.encode(value, 'key'))
      assert.equal(entry.isUntouched(entry.read(codec)), true)
    }
  })

  it('is never true of a value whose text would be another, whatever was done to it', () => {
    let untouched = 0
    fc.assert(
      fc.property(json, fc.func(fc.anything()), fc.array(fc.nat(), { maxLength: 8 }), (value, invent, path) => {
        const text = codec.encode(value, 'key')
        const entry = new Entry(text)
        const mine = entry.read(codec)
        if (path.length > 0) mutate(mine, path, invent)
        if (!entry.isUntouched(mine)) return
        untouched++
        assert.equal(codec.encode(mine, 'key'), text)
      }),
      { numRuns: 20_000 },
    )
    assert.ok(untouched > 100, 'the property was about something')
  })

  it('notices a change of the kind of an object, of order, of holes and of names', () => {
    const changes: Record<string, (value: { a: unknown[]; b: Record<string, unknown> }) => void> = {
      'names in another order': (value) => {
        const { a } = value
        delete (value as { a?: unknown }).a
        value.a = a
      },
      'a name more': (value) => (value.b['z'] = 1),
      'a name less': (value) => delete value.b['x'],
      'undefined instead of a value': (value) => (value.b['x'] = undefined),
      'a name hidden': (value) => Object.defineProperty(value.b, 'x', { enumerable: false }),
      'a prototype': (value) => Object.setPrototypeOf(value.b, { inherited: true }),
      'no prototype': (value) => Object.setPrototypeOf(value.b, null),
      'an array for an object': (value) =>
        (value.b = Object.setPrototypeOf([], Object.prototype) as Record<string, unknown>),
      'an object for an array': (value) => (value.a = { 0: 1, 1: 2, length: 2 } as unknown as unknown[]),
      'a prototype of an array': (value) => Object.setPrototypeOf(value.a, null),
      'a hole': (value) => delete value.a[0],
      'a hole at the end': (value) => value.a.length++,
      'a name on an array': (value) => Object.assign(value.a, { toJSON: () => 1 }),
      'negative zero': (value) => (value.b['zero'] = -0),
      'a Date': (value) => (value.b['x'] = new Date()),
      toJSON: (value) => (value.b['toJSON'] = () => 1),
    }
    for (const [what, change] of Object.entries(changes)) {
      const entry = new Entry(codec.encode({ a: [1, 2], b: { x: 1, y: {}, zero: 0 } }, 'key'))
      const mine = entry.read(codec) as Parameters<typeof change>[0]
      change(mine)
      assert.equal(entry.isUntouched(mine), false, what)
    }
  })

  it('is false of a value of another kind', () => {
    assert.equal(new Entry('{}').isUntouched(null), false)
    const entry = new Entry('{"a":1}', { a: 1 })
    for (const other of [null, undefined, 'text', 5, []]) assert.equal(entry.isUntouched(other), false)
  })
})

/** One change somewhere inside: which one and where is up to the numbers. */
function mutate(root: unknown, path: number[], invent: (...args: unknown[]) => unknown): void {
  let target = root
  let inner: unknown = root
  const steps = [...path]
  while (typeof inner === 'object' && inner !== null) {
    target = inner
    if (steps.length <= 2) break
    const values: unknown[] = Object.values(inner)
    inner = values[(steps.pop() as number) % Math.max(values.length, 1)]
  }
  if (typeof target !== 'object' || target === null) return
  const object = target as Record<string, unknown>
  const names = Object.keys(object)
  const name = names[(steps[1] ?? 0) % Math.max(names.length, 1)] ?? 'new'
  const kinds: (() => unknown)[] = [
    () => (object[name] = invent(name)),
    () => delete object[name],
    () => (object['added'] = invent(name)),
    () => {
      const value = object[name]
      delete object[name]
      object[name] = value
    },
    () => (Array.isArray(object) ? object.push(1) : (object['length'] = 1)),
    () => Array.isArray(object) && object.reverse(),
    () => Array.isArray(object) && (object.length = 0),
    () =>
      Object.setPrototypeOf(
        object,
        [null, Array.prototype, Object.prototype, Map.prototype][(steps[1] ?? 0) % 4] as object | null,
      ),
    () => Object.assign(object, { toJSON: () => 'another' }),
    () => (object[name] = structuredClone(object[name])),
    () => Object.defineProperty(object, name, { get: () => 1, enumerable: true, configurable: true }),
    () =>
      Object.defineProperty(object, '__proto__', { value: 1, enumerable: true, configurable: true, writable: true }),
    () => Object.freeze(object),
  ]
  try {
    kinds[(steps[0] ?? 0) % kinds.length]?.()
  } catch {} // a frozen object, a length that cannot be: nothing was changed
}
