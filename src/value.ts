import { DevalueError, stringify as devalueStringify, unflatten } from 'devalue'
import { SessionError } from './errors.ts'

/**
 * How values become text and come back, for applications with needs of their own (a schema, compression, classes).
 * Both functions are synchronous; what they throw becomes `ERR_SESSION_VALUE` when writing.
 */
export interface Serializer {
  stringify(value: unknown): string
  parse(text: string): unknown
}

/**
 * Marks the text of a value that plain JSON would change (or that a custom serializer wrote):
 * `{"~":[["Date","2026-01-01T00:00:00.000Z"]]}`. The text of every value is JSON, so that a record is one document.
 */
const CODED = '{"~":'

/** Beyond these V8 keeps an object as a hash table, and parsing its text is cheaper than copying it. */
const MAX_COPIED_KEYS = 64
/** Deeper data goes through devalue, which also follows cycles. */
const MAX_PLAIN_DEPTH = 32

const NOT_COPIED = /^\d|^__proto__$/
// A Buffer is a Uint8Array to devalue. In a list, because devalue takes a falsy answer, such as '', for "not mine".
const REDUCERS = { Buffer: (value: unknown): unknown => Buffer.isBuffer(value) && [value.toString('base64')] }
const REVIVERS = { Buffer: ([base64]: [string]): Buffer => Buffer.from(base64, 'base64') }

/** Text to value and back. One per middleware, because it holds the custom serializer. */
export class Codec {
  readonly #serializer: Serializer | undefined

  constructor(serializer?: Serializer) {
    this.#serializer = serializer
  }

  /** The text of `value`; throws `ERR_SESSION_VALUE` that names the path, such as `cart.items[0]`, if it has none. */
  encode(value: unknown, name: string): string {
    try {
      if (this.#serializer) return `${CODED}${JSON.stringify(this.#serializer.stringify(value))}}`
      if (isPlain(value, 0)) {
        const text = JSON.stringify(value)
        if (!text.startsWith(CODED)) return text
      }
      return `${CODED}${devalueStringify(value, REDUCERS)}}`
    } catch (cause) {
      throw unstorable(name, cause)
    }
  }

  /** The value that this text stands for: a new one at every call. */
  decode(text: string): unknown {
    const parsed: unknown = JSON.parse(text)
    if (!text.startsWith(CODED)) return parsed
    const coded = (parsed as { '~': unknown })['~']
    if (typeof coded !== 'string') return unflatten(coded as number | unknown[], REVIVERS)
    if (this.#serializer) return this.#serializer.parse(coded)
    throw new SessionError(
      'ERR_SESSION_UNREADABLE',
      'A value in this session was written by a custom serializer. Pass the same `serializer` option again.',
    )
  }
}

/** What a reader may do with an entry's decoded value. */
const UNKNOWN = 0
const PRIMITIVE = 1
const COPYABLE = 2
const DECODED_EACH_TIME = 3

/** One stored value: its text, and a decoded master copy that is never handed out. Immutable for its users. */
export class Entry {
  readonly text: string
  #kind = UNKNOWN
  #master: unknown

  /** `parsed` is what `JSON.parse(text)` gives, where the caller has it anyway. */
  constructor(text: string, parsed?: unknown) {
    this.text = text
    if (parsed !== undefined && !text.startsWith(CODED)) this.#keep(parsed)
  }

  /** A value for one request alone: the primitive itself, or a plain private copy. */
  read(codec: Codec): unknown {
    if (this.#kind === UNKNOWN) this.#keep(codec.decode(this.text))
    if (this.#kind === PRIMITIVE) return this.#master
    if (this.#kind === COPYABLE) return copy(this.#master as Tree)
    return codec.decode(this.text)
  }

  /** Whether `value` is certain to have this very text. `false` means: encode it to find out. */
  isUntouched(value: unknown): boolean {
    if (this.#kind === COPYABLE) return typeof value === 'object' && value !== null && isSame(value as Tree, this.#master as Tree)
    return this.#kind === PRIMITIVE && Object.is(value, this.#master)
  }

  #keep(master: unknown): void {
    if (typeof master !== 'object' || master === null) this.#kind = PRIMITIVE
    else this.#kind = !this.text.startsWith(CODED) && isCopyable(master, 0) ? COPYABLE : DECODED_EACH_TIME
    this.#master = this.#kind === DECODED_EACH_TIME ? undefined : master
  }
}

type Tree = Record<string, unknown> | unknown[]

/** Whether JSON gives back exactly this value. Cycles exceed the depth, and so end here too. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      break
    default:
      return false
  }
  if (value === null) return true
  if (depth === MAX_PLAIN_DEPTH) return false
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) return false
    // An index loop, because `every` skips the holes of a sparse array, which JSON turns into null.
    for (let index = 0; index < value.length; index++) if (!isPlain(value[index], depth + 1)) return false
    return Object.keys(value).length === value.length
  }
  if (Object.getPrototypeOf(value) !== Object.prototype || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false
  for (const name of Object.keys(value)) if (!isPlain((value as Record<string, unknown>)[name], depth + 1)) return false
  return Object.getOwnPropertySymbols(value).length === 0
}

/** Whether a value from `JSON.parse` has a shape that is cheaper to copy than to parse again. */
function isCopyable(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === MAX_PLAIN_DEPTH) return false
  if (Array.isArray(value)) return value.every((item) => isCopyable(item, depth + 1))
  const names = Object.keys(value)
  return (
    names.length <= MAX_COPIED_KEYS &&
    names.every((name) => !NOT_COPIED.test(name) && isCopyable((value as Record<string, unknown>)[name], depth + 1))
  )
}

function copy(master: Tree): Tree {
  if (Array.isArray(master)) {
    const items = master.slice()
    for (let index = 0; index < items.length; index++) {
      const item = items[index]
      if (typeof item === 'object' && item !== null) items[index] = copy(item as Tree)
    }
    return items
  }
  const object = { ...master }
  for (const name in object) {
    const value = object[name]
    if (typeof value === 'object' && value !== null) object[name] = copy(value as Tree)
  }
  return object
}

/** Exact: the same names in the same order, the same kinds of object, the same primitives. */
function isSame(mine: Tree, master: Tree): boolean {
  if (Array.isArray(master)) {
    if (!Array.isArray(mine) || mine.length !== master.length || Object.getPrototypeOf(mine) !== Array.prototype) return false
    for (let index = 0; index < master.length; index++) if (!isSameValue(mine[index], master[index])) return false
    return Object.keys(mine).length === master.length
  }
  if (Array.isArray(mine) || Object.getPrototypeOf(mine) !== Object.prototype) return false
  const names = Object.keys(mine)
  const masterNames = Object.keys(master)
  if (names.length !== masterNames.length) return false
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string
    if (name !== masterNames[index] || !isSameValue(mine[name], master[name])) return false
  }
  return true
}

function isSameValue(mine: unknown, master: unknown): boolean {
  if (typeof mine !== 'object' || typeof master !== 'object' || mine === null || master === null) return Object.is(mine, master)
  return isSame(mine as Tree, master as Tree)
}

function unstorable(name: string, cause: unknown): SessionError {
  if (cause instanceof RangeError) {
    return new SessionError('ERR_SESSION_VALUE', `session.${name} is nested too deeply to be stored.`)
  }
  if (cause instanceof DevalueError) {
    // Its fields hold the value itself, and its path the keys of a Map: neither may reach a log.
    const path = cause.path.replace(/\.get\(.*/s, ' (inside a Map)')
    return new SessionError(
      'ERR_SESSION_VALUE',
      `session.${name}${path} cannot be stored: it is a function, a symbol or an instance of a class. ` +
        'Store plain data, or pass a `serializer`.',
    )
  }
  return new SessionError('ERR_SESSION_VALUE', `session.${name} cannot be stored: its serializer threw.`, { cause })
}
