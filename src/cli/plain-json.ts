import { isSessionError } from '../errors.ts'
import { Codec, isCoded } from '../record/codec.ts'
import type { Entry } from '../record/entry.ts'
import { kindOf } from '../record/kinds.ts'

const CODEC = new Codec()
/** How many times longer than its text a value may become. */
const MOST_GROWTH = 10
/** What stands around a part of a value: brackets, commas and quotes. */
const AROUND = 4

/** Why a value stays as it is stored. */
class NotPlain extends Error {}

/**
 * The value as JSON that means the same to any program: a Date by its instant, a Map as an object or as pairs, a Set as a
 * list, bytes in base64, and what JSON has no form for as text or as null. Its stored text, `{"~": …}`, if only the
 * application's own serializer can read it, if it contains itself, or if it would become far longer, as what is referred
 * to many times and the holes of an array do.
 */
export function plainJson(name: string, entry: Entry): string {
  if (!isCoded(entry.text)) return entry.text
  try {
    const value = entry.read(CODEC, name)
    return JSON.stringify(new PlainForm(entry.text.length * MOST_GROWTH).of(value))
  } catch (error) {
    if (error instanceof NotPlain || isSessionError(error, 'ERR_SESSION_UNREADABLE')) return entry.text
    throw error
  }
}

/** Makes values of JSON, of so many characters altogether. */
class PlainForm {
  #left: number
  /** The objects around the one that is looked at. */
  readonly #around = new Set<object>()

  constructor(size: number) {
    this.#left = size
  }

  of(value: unknown): unknown {
    this.#take(AROUND)
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'bigint':
        return this.#text(String(value))
      case 'number':
        return Number.isFinite(value) ? value : this.#text(String(value))
      case 'object':
        return value === null ? null : this.#object(value)
      default:
        return value === undefined ? null : value
    }
  }

  #object(value: object): unknown {
    if (this.#around.has(value)) throw new NotPlain('it contains itself')
    this.#around.add(value)
    const plain = Array.isArray(value) ? this.#list(value.length, value) : this.#instance(value)
    this.#around.delete(value)
    return plain
  }

  #instance(value: object): unknown {
    switch (kindOf(value)?.kind) {
      case 'Date':
        return Number.isNaN((value as Date).getTime()) ? null : this.#text((value as Date).toISOString())
      case 'Map':
        return this.#map(value as Map<unknown, unknown>)
      case 'Set':
        return this.#list((value as Set<unknown>).size, value as Set<unknown>)
      case 'Boxed':
        return this.of(value.valueOf())
      case 'Buffer':
      case 'ArrayBuffer':
      case 'View':
        return this.#bytes(value as ArrayBuffer | ArrayBufferView)
      case 'RegExp':
      case 'Text':
      case 'Temporal':
        return this.#text((value as URL).toString())
      case undefined:
        return this.#members(Object.entries(value))
    }
  }

  /** Holes count too: an array of thirty million of them has a short text. */
  #list(length: number, items: Iterable<unknown>): unknown[] {
    this.#take(length)
    return Array.from(items, (item) => this.of(item))
  }

  #map(map: Map<unknown, unknown>): unknown {
    const pairs = [...map]
    return pairs.every((pair): pair is [string, unknown] => typeof pair[0] === 'string')
      ? this.#members(pairs)
      : this.#list(pairs.length, pairs)
  }

  #members(entries: [name: string, value: unknown][]): object {
    return Object.fromEntries(entries.map(([name, value]) => [this.#text(name), this.of(value)]))
  }

  #bytes(value: ArrayBuffer | ArrayBufferView): unknown {
    if (ArrayBuffer.isView(value) && 'BYTES_PER_ELEMENT' in value && !(value instanceof Uint8Array)) {
      const numbers = value as unknown as ArrayLike<unknown> & Iterable<unknown>
      return this.#list(numbers.length, numbers)
    }
    const bytes = ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.from(value)
    return this.#text(bytes.toString('base64'))
  }

  #text(text: string): string {
    this.#take(text.length)
    return text
  }

  #take(size: number): void {
    this.#left -= size
    if (this.#left < 0) throw new NotPlain('it would become far longer than its text')
  }
}
