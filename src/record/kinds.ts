import { types } from 'node:util'

/**
 * What instances can be stored, beside plain objects and arrays: a `View` is a typed array or a DataView, `Boxed` is
 * `Object(5)`, and `Text` is a class that its own text makes anew.
 */
export type Kind = 'Buffer' | 'Date' | 'Map' | 'Set' | 'RegExp' | 'Boxed' | 'ArrayBuffer' | 'View' | 'Text' | 'Temporal'

export const VIEWS: readonly string[] = [
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float16Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
]

export const TEMPORAL: readonly string[] = [
  'Instant',
  'ZonedDateTime',
  'PlainDateTime',
  'PlainDate',
  'PlainTime',
  'PlainYearMonth',
  'PlainMonthDay',
  'Duration',
]

/** What Node itself knows an object to be, whatever the object says of itself. */
const MADE_AS: readonly (readonly [is: (value: object) => boolean, kind: Kind])[] = [
  [types.isDate, 'Date'],
  [types.isMap, 'Map'],
  [types.isSet, 'Set'],
  [types.isArrayBufferView, 'View'],
  [types.isRegExp, 'RegExp'],
  [types.isBoxedPrimitive, 'Boxed'],
  [types.isArrayBuffer, 'ArrayBuffer'],
]

/** The kind of an object, and the name of its class; `undefined` for other classes, and for what extends one of these. */
export function kindOf(value: object): { readonly kind: Kind; readonly name: string } | undefined {
  const kind = MADE_AS.find(([is]) => is(value))?.[1]
  const prototype = Object.getPrototypeOf(value) as object | null
  if (kind === undefined) return kindByPrototype(prototype)
  if (prototype === Buffer.prototype) return { kind: 'Buffer', name: 'Buffer' }
  const name = nameOf(value, kind)
  return isPrototypeOfClass(prototype, name) ? { kind, name } : undefined
}

function nameOf(value: object, kind: Kind): string {
  if (kind === 'View') return Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (kind !== 'Boxed') return kind
  if (types.isNumberObject(value)) return 'Number'
  if (types.isStringObject(value)) return 'String'
  if (types.isBooleanObject(value)) return 'Boolean'
  return types.isBigIntObject(value) ? 'BigInt' : '' // a symbol
}

function kindByPrototype(prototype: object | null): { readonly kind: Kind; readonly name: string } | undefined {
  if (prototype === URL.prototype) return { kind: 'Text', name: 'URL' }
  if (prototype === URLSearchParams.prototype) return { kind: 'Text', name: 'URLSearchParams' }
  const name = TEMPORAL.find((one) => prototype === temporalClass(one)?.prototype)
  return name === undefined ? undefined : { kind: 'Temporal', name }
}

/** A class of Temporal, of which TypeScript's library for Node 20 knows nothing. */
export interface TemporalClass {
  readonly prototype: object
  from(text: string): object
}

/** `undefined` on versions of Node without Temporal. */
export function temporalClass(name: string): TemporalClass | undefined {
  const { Temporal } = globalThis as { Temporal?: Record<string, TemporalClass> }
  return Temporal?.[name]
}

/** Whether this is the prototype of the language's own class, of this realm or of another one, such as Jest's. */
function isPrototypeOfClass(prototype: object | null, name: string): boolean {
  if (prototype === null || name === '') return false
  const own = (globalThis as unknown as Record<string, { prototype: object } | undefined>)[name]
  if (prototype === own?.prototype) return true
  const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value
  return typeof constructor === 'function' && constructor.name === name && isNative(constructor)
}

function isNative(constructor: object): boolean {
  return Function.prototype.toString.call(constructor).endsWith('{ [native code] }')
}

/** Whether this is `Object.prototype`, of this realm or of another one. */
export function isObjectPrototype(prototype: object): boolean {
  return (
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
  )
}

/** Whether this is `Array.prototype`, of this realm or of another one. */
export function isArrayPrototype(prototype: object | null): boolean {
  return isPrototypeOfClass(prototype, 'Array')
}

/**
 * Compiling a pattern can take a thousand times as long as reading it: each `\w` of an `iu` pattern takes up to 0.1
 * milliseconds, each property of strings, such as `\p{RGI_Emoji}`, ten. So the patterns of one value are limited.
 */
const MAX_PATTERN_COST = 1000
const COST_OF_STRINGS = 100

/** How much more the patterns of one value may cost. */
export class PatternBudget {
  #left = MAX_PATTERN_COST

  take(source: string, flags: string): boolean {
    const properties = flags.includes('v') ? source.split(/\\p/i).length - 1 : 0
    this.#left -= source.length + properties * COST_OF_STRINGS
    return this.#left >= 0
  }
}

/**
 * V8 hashes numbers without a secret, so anybody can find many that share a bucket of a Map or a Set, and then each one
 * is compared with all before it. Ten thousand of them take a tenth of a second.
 */
export const MAX_HASHED_NUMBERS = 10_000

/** Counts the numbers that go into one Map or Set. */
export class NumberBudget {
  #left = MAX_HASHED_NUMBERS

  /** Whether this key may be added too. One that is added again counts again, because it is looked for again. */
  take(key: unknown): boolean {
    return (typeof key !== 'number' && typeof key !== 'bigint') || --this.#left >= 0
  }
}
