import {
  DevalueError,
  defaultStringifyOperations,
  stringify as devalueStringify,
  unflatten,
  type ParseOperations,
  type StringifyOperations,
} from 'devalue'
import { tooDeepAt } from './depth.ts'
import { SessionError } from '../errors.ts'

/**
 * How values become text and come back, for applications with needs of their own (a schema, compression, classes).
 * Both functions are synchronous; what they throw becomes `ERR_SESSION_VALUE` when writing.
 */
export interface Serializer {
  /** The text of one value of a session. What it throws becomes `ERR_SESSION_VALUE`. */
  stringify(value: unknown): string
  /** The value of a text that `stringify` made: a new one at every call. */
  parse(text: string): unknown
}

/**
 * Marks the text of a value that plain JSON would change (or that a custom serializer wrote):
 * `{"~":[["Date","2026-01-01T00:00:00.000Z"]]}`. The text of every value is JSON, so that a record is one document.
 */
export const CODED = '{"~":'

/** Deeper data goes through devalue, which also follows cycles. */
export const MAX_PLAIN_DEPTH = 32

// A Buffer is a Uint8Array to devalue. In a list, because devalue takes a falsy answer, such as '', for "not mine".
const REDUCERS = { Buffer: (value: unknown): unknown => Buffer.isBuffer(value) && [value.toString('base64')] }
const REVIVERS = { Buffer: ([base64]: [string]): Buffer => Buffer.from(base64, 'base64') }

/**
 * Names that travel as others: `__proto__`, which devalue refuses; one character that JSON or devalue escapes, because
 * Node 24 and 26 now and then read such a name as a backslash; and the names that look like those others.
 */
const ESCAPED = /^~*(?:__proto__|[^ !#-;=-[\]-\u2027\u202a-\ud7ff\ue000-\uffff])$/

/** Where devalue would give back something else than what it was given. */
const WRITING: Partial<StringifyOperations> = {
  // An instance of a class that extends Map would come back as a Map: as 'Object' it is refused by `shapeOf`.
  tagOf: (value) => (isIntrinsic(value) ? tagOf(value) : 'Object'),
  shapeOf(value) {
    const prototype = Object.getPrototypeOf(value) as object | null
    const isPlainObject =
      prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
    if (!isPlainObject || tagOf(value) !== 'Object') return { kind: 'not-plain' }
    if (Object.getOwnPropertySymbols(value).length > 0) return { kind: 'symbol-keys' }
    const keys = Object.keys(value).map((name) => (ESCAPED.test(name) ? `~${name}` : name))
    return { kind: prototype === null ? 'null-proto' : 'plain', keys }
  },
  get: (value, name) => (value as Record<string, unknown>)[typeof name === 'string' ? unescaped(name) : name],
  // What is beside a view in its memory is somebody else's: Node keeps many short byte strings in one piece.
  viewInfo: (view) =>
    defaultStringifyOperations.viewInfo(view.byteLength === view.buffer.byteLength ? view : withoutNeighbours(view)),
}
const READING: Partial<ParseOperations> = {
  set(target, name, value) {
    const own = typeof name === 'string' ? unescaped(name) : name
    if (own !== '__proto__') target[own] = value
    else Object.defineProperty(target, own, { value, writable: true, enumerable: true, configurable: true })
  },
}

/** Text to value and back. One per middleware, because it holds the custom serializer. */
export class Codec {
  readonly #serializer: Serializer | undefined

  constructor(serializer?: Serializer) {
    this.#serializer = serializer
  }

  /** The text of `value`; throws `ERR_SESSION_VALUE` that names the path, such as `cart.items[0]`, if it has none. */
  encode(value: unknown, name: string): string {
    try {
      if (this.#serializer) {
        const text: unknown = this.#serializer.stringify(value)
        if (typeof text !== 'string') throw new TypeError('The serializer did not return a string.')
        return `${CODED}${JSON.stringify(text)}}`
      }
      if (isPlain(value, 0)) {
        const text = JSON.stringify(value)
        if (!text.startsWith(CODED)) return text
      }
      const place = tooDeepAt(value)
      if (place !== undefined) throw new TooDeep(place)
      return `${CODED}${devalueStringify(value, REDUCERS, { operations: WRITING })}}`
    } catch (cause) {
      throw unstorable(name, cause)
    }
  }

  /** The value that this text stands for: a new one at every call. */
  decode(text: string): unknown {
    const parsed: unknown = JSON.parse(text)
    if (!text.startsWith(CODED)) return parsed
    const coded = (parsed as { '~': unknown })['~']
    if (typeof coded !== 'string') return unflatten(coded as number | unknown[], REVIVERS, { operations: READING })
    if (this.#serializer) return this.#serializer.parse(coded)
    throw new SessionError(
      'ERR_SESSION_UNREADABLE',
      'A value in this session was written by a custom serializer. Pass the same `serializer` option again.',
    )
  }
}

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
  if (Object.getPrototypeOf(value) !== Object.prototype || typeof (value as { toJSON?: unknown }).toJSON === 'function')
    return false
  for (const name of Object.keys(value)) {
    if (name.length === 1 && ESCAPED.test(name)) return false
    if (!isPlain((value as Record<string, unknown>)[name], depth + 1)) return false
  }
  return Object.getOwnPropertySymbols(value).length === 0
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

/** Whether it was made by the language's own class of this name, in whatever realm, and not by one that extends it. */
function isIntrinsic(value: object): boolean {
  const { constructor } = (Object.getPrototypeOf(value) ?? {}) as { constructor?: unknown }
  return typeof constructor === 'function' && tagOf(value).split('.').at(-1) === constructor.name
}

function withoutNeighbours(view: ArrayBufferView): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = view
  const View = view.constructor as new (buffer: ArrayBufferLike) => ArrayBufferView
  return new View(buffer.slice(byteOffset, byteOffset + byteLength))
}

function unescaped(name: string): string {
  return name.startsWith('~') && ESCAPED.test(name) ? name.slice(1) : name
}

/** The place is the message. */
class TooDeep extends Error {}

function unstorable(name: string, cause: unknown): SessionError {
  if (cause instanceof TooDeep || cause instanceof RangeError) {
    const place = cause instanceof TooDeep ? cause.message : ''
    return new SessionError('ERR_SESSION_VALUE', `session.${name}${place} is nested too deeply to be stored.`)
  }
  if (cause instanceof DevalueError) {
    // Its fields hold the value itself, and its path the keys of a Map: neither may reach a log.
    const path = cause.path.replace(/\.get\(.*/s, ' (inside a Map)')
    return new SessionError(
      'ERR_SESSION_VALUE',
      `session.${name}${path} cannot be stored: it is ${kindOf(cause.value)}. Store plain data, or pass a \`serializer\`.`,
    )
  }
  return new SessionError('ERR_SESSION_VALUE', `session.${name} cannot be stored: it could not be turned into text.`, {
    cause,
  })
}

function kindOf(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  const { constructor } = (Object.getPrototypeOf(value) ?? {}) as { constructor?: unknown }
  if (typeof constructor !== 'function' || constructor === Object) return 'an object that is more than plain data'
  return `an instance of the class ${constructor.name}`
}
