import { inspect } from 'node:util'
import { Codec } from '../record/codec.ts'
import type { Entry } from '../record/entry.ts'

const CODEC = new Codec()
/** How many times longer than its text a value may become. */
const MOST_GROWTH = 10

/**
 * The value as JavaScript writes it, or its text if only the application's own serializer can read it. Its text too if
 * the value would become far longer: what is referred to twice is written twice, so two hundred characters of references
 * could be written without end.
 */
export function pretty(name: string, entry: Entry): string {
  let value: unknown
  try {
    value = entry.read(CODEC, name)
    if (!new Room(entry.text.length * MOST_GROWTH).holds(value)) value = entry.text
  } catch {
    value = entry.text
  }
  return inspect(value, { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity })
}

/** Room for a value that is written out: for its characters, and for each part and the blanks before it. */
class Room {
  #left: number
  /** The objects around the one that is looked at. One that contains itself is written as a reference. */
  readonly #around = new Set<object>()

  constructor(size: number) {
    this.#left = size
  }

  /** Looks at no more parts than there is room for. */
  holds(value: unknown): boolean {
    this.#left -= 1 + this.#around.size + lengthOf(value)
    if (this.#left < 0) return false
    if (typeof value !== 'object' || value === null || this.#around.has(value)) return true
    this.#around.add(value)
    const isHeld = partsOf(value).every((part) => this.holds(part))
    this.#around.delete(value)
    return isHeld
  }
}

/** The length of what has no parts, or of what is not its parts. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value === 'bigint') return value.toString(16).length
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength
  if (value instanceof RegExp) return value.source.length
  if (value instanceof URL || value instanceof URLSearchParams) return value.toString().length
  return 0
}

function partsOf(value: object): unknown[] {
  if (ArrayBuffer.isView(value)) return []
  if (value instanceof Map) return [...value].flat()
  if (value instanceof Set) return [...value]
  return Object.entries(value).flat()
}
