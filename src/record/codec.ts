import { SessionError } from '../errors.ts'
import { Unstorable, flatten } from './flatten.ts'
import { hasNameToEscape, isPlain } from './plain.ts'
import { Misread, unflatten } from './unflatten.ts'

/**
 * How values become text and come back, for applications with needs of their own (a schema, compression, classes).
 * Both functions are synchronous. What they return is theirs to answer for: the library checks neither.
 */
export interface Serializer {
  /** The text of one value of a session. What it throws becomes `ERR_SESSION_VALUE`, with the error as its `cause`. */
  stringify(value: unknown): string
  /**
   * The value of a text that `stringify` made: a new one at every call. What it throws becomes `ERR_SESSION_UNREADABLE`,
   * without a `cause`, because errors of parsers quote what they were given.
   */
  parse(text: string): unknown
}

/**
 * Marks the text of a value that is not plain JSON. The text of every value is JSON, so that a record is one document:
 * - `{"~":[["Date","2026-01-01T00:00:00.000Z"]]}`, or `{"~":-1}`: see `flatten`;
 * - `{"~":{"escaped":[…]}}`: the same, with names written by `escapeName`;
 * - `{"~":"…"}`: the text of the application's own serializer.
 */
const CODED = '{"~":'

/** Whether this is the text of a value that is not plain JSON. */
export function isCoded(text: string): boolean {
  return text.startsWith(CODED)
}

/** Value to text and back. One per middleware, because it holds the application's serializer. */
export class Codec {
  readonly #serializer: Serializer | undefined

  constructor(serializer?: Serializer) {
    this.#serializer = serializer
  }

  /**
   * The text of a value. `name` is where it stands, such as `cart` or `flash.note`. Throws `ERR_SESSION_VALUE`, with the
   * path of the part that would not come back as it was.
   */
  encode(value: unknown, name: string): string {
    if (this.#serializer) return this.#encodeByOwner(this.#serializer, value, name)
    try {
      if (isPlain(value)) {
        const text = JSON.stringify(value)
        if (!isCoded(text) && !(text.includes('\\') && hasNameToEscape(value))) return text
      }
      const { text, areNamesEscaped } = flatten(value)
      return areNamesEscaped ? `${CODED}{"escaped":${text}}}` : `${CODED}${text}}`
    } catch (error) {
      throw unstorable(name, error)
    }
  }

  #encodeByOwner(serializer: Serializer, value: unknown, name: string): string {
    let text: unknown
    try {
      text = serializer.stringify(value)
    } catch (cause) {
      throw new SessionError('ERR_SESSION_VALUE', `session.${name} cannot be stored: the serializer failed.`, { cause })
    }
    if (typeof text !== 'string') {
      throw new SessionError(
        'ERR_SESSION_VALUE',
        `session.${name} cannot be stored: the serializer's stringify must return a string at once, and no promise.`,
      )
    }
    return `${CODED}${JSON.stringify(text)}}`
  }

  /** The value that a text stands for, a new one at every call. Throws `ERR_SESSION_UNREADABLE` with the path. */
  decode(text: string, name: string): unknown {
    const parsed = parsedText(text, name)
    if (!isCoded(text)) return parsed
    const { '~': coded } = parsed as { '~': unknown }
    if (typeof coded === 'string') return this.#decodeByOwner(coded, name)
    const { escaped } = (coded ?? {}) as { escaped?: unknown }
    try {
      return escaped === undefined ? unflatten(coded, false) : unflatten(escaped, true)
    } catch (error) {
      throw unreadable(name, error instanceof Misread ? error.message : DAMAGED)
    }
  }

  #decodeByOwner(text: string, name: string): unknown {
    if (!this.#serializer) {
      throw unreadable(name, ' was written by a custom serializer. Pass the same `serializer` option again.')
    }
    try {
      return this.#serializer.parse(text)
    } catch (error) {
      throw unreadable(name, ` cannot be read: the serializer's parse threw ${classOf(error)}.`)
    }
  }
}

const DAMAGED = ' cannot be read: it is damaged, or another program wrote it.'

function parsedText(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw unreadable(name, DAMAGED)
  }
}

/** What is said of a value that cannot be read. `what` goes on after the name, and tells no value. */
export function unreadable(name: string, what: string): SessionError {
  return new SessionError('ERR_SESSION_UNREADABLE', `session.${name}${what}`)
}

function unstorable(name: string, error: unknown): SessionError {
  const what =
    error instanceof Unstorable
      ? error.message
      : error instanceof RangeError
        ? ' is nested too deeply to be stored.'
        : ` cannot be stored: turning it into text threw ${classOf(error)}.`
  return new SessionError('ERR_SESSION_VALUE', `session.${name}${what}`)
}

/** All that may be told of an error that somebody else's code threw. */
function classOf(error: unknown): string {
  return error instanceof Error ? `a ${error.constructor.name}` : `a ${typeof error}`
}
