import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { types } from 'node:util'
import fc from 'fast-check'
import { SessionError } from '../../src/errors.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'

const codec = new Codec()

const names = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.string({ unit: 'binary', maxLength: 3 }),
  fc.constantFrom('__proto__', '~__proto__', '~"', '~', '"', '\\', '\n', '%000a', '%', '\ud800', '<', '0', '10', '-1'),
  fc.constantFrom('length', 'index', 'lastIndex', 'toJSON', 'constructor', 'then', 'escaped'),
)

const leaves: fc.Arbitrary<unknown> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.double(),
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined, -0, '~', '<\u2028>'),
  fc.date(),
  fc.uint8Array({ maxLength: 4 }),
  fc.float64Array({ maxLength: 3 }),
  fc.bigInt64Array({ maxLength: 3 }),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => Uint8Array.from([1, ...bytes, 1]).subarray(1, bytes.length + 1)),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => bytes.slice().buffer),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => new DataView(bytes.slice().buffer)),
  fc.webUrl({ withQueryParameters: true, withFragments: true }).map((text) => new URL(text)),
  fc.array(fc.tuple(fc.string(), fc.string())).map((pairs) => new URLSearchParams(pairs)),
  fc
    .tuple(fc.constantFrom('a', '[/\n"<]', '(?:)', '\\d+\u2028'), fc.constantFrom('', 'g', 'giu', 'y', 's'))
    .map(([source, flags]) => new RegExp(source, flags)),
  fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.bigInt()).map(Object),
  fc.constantFrom<unknown>(Symbol('s'), () => 1, new Error('e'), new WeakMap(), Promise.resolve(), new (class A {})()),
)

/** What somebody could do to an object that JSON, or a list of its parts, would not show. */
const deeds: Record<string, (object: object, name: PropertyKey) => unknown> = {
  'a property': (object, name) => Object.assign(object, { [name]: 'added' }),
  'a property, however it is named': (object, name) =>
    Object.defineProperty(object, name, { value: 1, enumerable: true, configurable: true, writable: true }),
  'a hidden property': (object, name) => Object.defineProperty(object, name, { value: 1, configurable: true }),
  'a getter': (object, name) => Object.defineProperty(object, name, { get: () => 1, enumerable: true }),
  'a setter': (object, name) => Object.defineProperty(object, name, { set() {}, enumerable: true }),
  'a symbol': (object) => Object.assign(object, { [Symbol('s')]: 1 }),
  'a hidden symbol': (object) => Object.defineProperty(object, Symbol('s'), { value: 1 }),
  'a tag': (object) => Object.defineProperty(object, Symbol.toStringTag, { value: 'Map' }),
  // What an object is, its prototype says: a Map without one is nothing that anybody can use as a Map.
  'no prototype': (object) => isData(object) && Object.setPrototypeOf(object, null),
  'another prototype': (object) => Object.setPrototypeOf(object, Map.prototype),
  'a prototype of its own': (object) => Object.setPrototypeOf(object, { inherited: 1 }),
  'the prototype of a subclass': (object) =>
    Object.setPrototypeOf(object, Object.create(Object.getPrototypeOf(object) as object) as object),
  frozen: (object) => Object.freeze(object),
  sealed: (object) => Object.seal(object),
  longer: (object) => Array.isArray(object) && (object.length += 3),
  'much longer': (object) => Array.isArray(object) && (object.length = 4e9),
  'a hole': (object) => Array.isArray(object) && delete object[0],
  lastIndex: (object) => types.isRegExp(object) && (object.lastIndex = 1),
  'itself inside': (object, name) => Object.assign(object, { [name]: object }),
}

const values = fc.letrec<{ node: unknown; any: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    leaves,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.sparseArray(tie('any'), { maxLength: 6 }),
    fc.dictionary(names, tie('any'), { maxKeys: 4, noNullPrototype: true }),
    fc.dictionary(names, tie('any'), { maxKeys: 4 }),
    fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie('any'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
  // One in four has something done to it.
  any: fc
    .tuple(tie('node'), fc.nat(3), fc.constantFrom(...Object.keys(deeds)), names)
    .map(([value, chance, deed, name]) => (chance === 0 ? done(value, deed, name) : value)),
})).any

function isData(object: object): boolean {
  return Array.isArray(object) || Object.getPrototypeOf(object) === Object.prototype
}

function done(given: unknown, deed: string, name: string): unknown {
  if (typeof given !== 'object' || given === null) return given
  // A copy, because the generator goes on with its own arrays and objects.
  const value = Array.isArray(given) ? given.slice() : isData(given) ? { ...given } : given
  try {
    deeds[deed]?.(value, name)
  } catch {} // of a typed array with items, for example, which cannot be frozen: nothing was done
  return value
}

describe('whatever is put into a session', () => {
  it('comes back as it was, or is refused with its path', () => {
    let [kept, refused] = [0, 0]
    fc.assert(
      fc.property(values, (value) => {
        let text: string
        try {
          text = codec.encode(value, 'cart')
        } catch (error) {
          assert.ok(error instanceof SessionError && error.code === 'ERR_SESSION_VALUE', String(error))
          assert.match(error.message, /^session\.cart.* cannot be stored: i?t|^session\.cart.* is nested too deeply/s)
          refused++
          return
        }
        kept++
        assertSame(new Entry(text).read(codec, 'cart'), value)
        assert.equal(
          codec.encode(new Entry(text).read(codec, 'cart'), 'cart'),
          text,
          'an untouched value costs nothing',
        )
      }),
      { numRuns: 5000 },
    )
    assert.ok(kept > 500 && refused > 500, 'the property was about something')
  })
})

/** The same kind, prototype, names, values and visibility, all the way down; two cycles at the same places are the same. */
function assertSame(actual: unknown, expected: unknown, met = new Map<object, object>()): void {
  if (typeof expected !== 'object' || expected === null) return assert.ok(Object.is(actual, expected))
  assert.ok(typeof actual === 'object' && actual !== null)
  if (met.has(expected)) return
  met.set(expected, actual)
  assert.equal(Object.getPrototypeOf(actual), Object.getPrototypeOf(expected))
  assert.deepEqual(insides(actual).length, insides(expected).length)
  for (const [index, inside] of insides(expected).entries()) assertSame(insides(actual)[index], inside, met)
  const own = ownNames(expected)
  assert.deepEqual(ownNames(actual), own)
  for (const name of own) {
    const there = Object.getOwnPropertyDescriptor(expected, name)
    const back = Object.getOwnPropertyDescriptor(actual, name)
    // Of an array, an item that a getter gives is stored as what it gives.
    if (Array.isArray(expected))
      assertSame(back?.value, (expected as unknown as Record<PropertyKey, unknown>)[name], met)
    else {
      assert.equal(back?.enumerable, there?.enumerable)
      assert.ok(there && 'value' in there, 'a getter is refused')
      assertSame(back?.value, there.value, met)
    }
  }
}

/** Of an array, without the hidden ones, which nobody looks for. */
function ownNames(object: object): PropertyKey[] {
  const own = Reflect.ownKeys(object)
  return Array.isArray(object) ? own.filter((name) => Object.getOwnPropertyDescriptor(object, name)?.enumerable) : own
}

/** What an object holds beside its properties. */
function insides(object: object): unknown[] {
  if (types.isMap(object)) return [...object].flat()
  if (types.isSet(object)) return [...object]
  if (types.isDate(object)) return [object.getTime()]
  if (types.isRegExp(object)) return [object.source, object.flags]
  if (types.isBoxedPrimitive(object)) return [object.valueOf()]
  if (types.isArrayBuffer(object)) return [Buffer.from(object).toString('hex')]
  if (types.isDataView(object))
    return [Buffer.from(object.buffer, object.byteOffset, object.byteLength).toString('hex')]
  if (object instanceof URL || object instanceof URLSearchParams) return [object.toString()]
  return Array.isArray(object) ? [object.length] : []
}
