import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { json } from '../support/records/values.ts'

const codec = new Codec()

describe('a value that is read', () => {
  it('is a copy, so that nothing that is done to it reaches the next reader', () => {
    fc.assert(
      fc.property(json, fc.func(fc.anything()), fc.array(fc.nat()), (value, invent, path) => {
        const text = codec.encode(value, 'key')
        const entry = new Entry(text)
        mutate(entry.read(codec, 'key'), path, invent)
        assert.deepStrictEqual(entry.read(codec, 'key'), value)
      }),
      { numRuns: 3000 },
    )
  })

  it('is a copy of its own kind where it is no JSON', () => {
    const entry = new Entry(codec.encode({ tags: new Set(['a']), bytes: Buffer.from('ab') }, 'key'))
    const mine = entry.read(codec, 'key') as { tags: Set<string>; bytes: Buffer }
    mine.tags.add('b')
    mine.bytes[0] = 0
    assert.deepStrictEqual(entry.read(codec, 'key'), { tags: new Set(['a']), bytes: Buffer.from('ab') })
  })

  it('is the same whether the text was decoded by the entry or before it was made', () => {
    for (const text of ['{"a":[1]}', '"x"', 'null', '5', '{"~":[["Date","1970-01-01T00:00:00.000Z"]]}']) {
      assert.deepStrictEqual(new Entry(text, JSON.parse(text)).read(codec, 'key'), new Entry(text).read(codec, 'key'))
    }
  })
})

describe('Entry.isUntouched(value)', () => {
  it('is true of a copy nobody touched, for the data that most sessions hold', () => {
    for (const value of [{ a: { b: [1, 'x', null, true] } }, [], {}, [[{}]], 'text', 5, true, null]) {
      const entry = new Entry(codec.encode(value, 'key'))
      assert.equal(entry.isUntouched(entry.read(codec, 'key')), true)
    }
  })

  it('is never true of a value whose text would be another, whatever was done to it', () => {
    let untouched = 0
    fc.assert(
      fc.property(json, fc.func(fc.anything()), fc.array(fc.nat(), { maxLength: 8 }), (value, invent, path) => {
        const text = codec.encode(value, 'key')
        const entry = new Entry(text)
        const mine = entry.read(codec, 'key')
        if (path.length > 0) mutate(mine, path, invent)
        if (!entry.isUntouched(mine)) return
        untouched++
        assert.equal(codec.encode(mine, 'key'), text)
      }),
      { numRuns: 5000 },
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
      const mine = entry.read(codec, 'key') as Parameters<typeof change>[0]
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
