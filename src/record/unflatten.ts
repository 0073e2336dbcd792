import { HOLE, INFINITE, NEGATIVE_INFINITE, NEGATIVE_ZERO, NOT_A_NUMBER, SPARSE, UNDEFINED } from './flatten.ts'
import { NumberBudget, PatternBudget, TEMPORAL, VIEWS, temporalClass } from './kinds.ts'
import { unescapeName, unmarkedName } from './names.ts'
import { IN_MAP, IN_SET, Path } from './path.ts'

/** A text is not what `flatten` writes. The message goes on after a name: `.items[0] cannot be read: …`. */
export class Misread extends Error {}

/** What is not in the list. */
const SPECIAL = new Map<unknown, unknown>([
  [UNDEFINED, undefined],
  [NOT_A_NUMBER, Number.NaN],
  [INFINITE, Infinity],
  [NEGATIVE_INFINITE, -Infinity],
  [NEGATIVE_ZERO, -0],
])
const NOT_MADE = Symbol('not made')
const MAX_LENGTH = 2 ** 32 - 1
const WHOLE_NUMBER = /^-?\d+$/
/** What a URL says of itself has no other characters, and a host with other ones takes long to translate. */
const URL_TEXT = /^[\x20-\x7e]*$/

/**
 * The value that `flatten` wrote, of its parsed text. Throws `Misread` for any other text, whoever wrote it. What is made
 * here takes no more memory and time than in proportion to the text.
 */
export function unflatten(list: unknown, areNamesEscaped: boolean): unknown {
  if (SPECIAL.has(list)) return SPECIAL.get(list)
  const unflattener = new Unflattener(Array.isArray(list) ? list : [], areNamesEscaped ? unescapeName : unmarkedName)
  try {
    return unflattener.at(0)
  } catch (error) {
    // What the constructors of the language throw quotes what they were given.
    throw error instanceof Misread ? error : unflattener.misread()
  }
}

class Unflattener {
  readonly #list: readonly unknown[]
  readonly #made: unknown[]
  readonly #nameOf: (text: string) => string
  readonly #path = new Path()
  readonly #patterns = new PatternBudget()

  constructor(list: readonly unknown[], nameOf: (text: string) => string) {
    this.#list = list
    this.#made = Array.from(list, () => NOT_MADE)
    this.#nameOf = nameOf
  }

  /** The value that a reference stands for: the same one for the same reference. Two calls a level: see `MAX_DEPTH`. */
  at(reference: unknown): unknown {
    if (SPECIAL.has(reference)) return SPECIAL.get(reference)
    const position = this.#position(reference)
    const made = this.#made[position]
    if (made !== NOT_MADE) return made
    const part = this.#list[position]
    if (typeof part !== 'object' || part === null) return (this.#made[position] = part)
    if (this.#path.isTooDeep) throw new Misread(`${this.#path.beginning()} cannot be read: it is nested too deeply.`)
    if (!Array.isArray(part)) return this.#readProperties(position, {}, Object.entries(part))
    if (typeof part[0] === 'string') return this.#readTagged(position, part[0], part)
    return part[0] === SPARSE ? this.#readSparse(position, part) : this.#readItems(position, part)
  }

  #position(reference: unknown): number {
    if (Number.isInteger(reference) && (reference as number) >= 0 && (reference as number) < this.#list.length)
      return reference as number
    throw this.misread()
  }

  misread(why = 'it is damaged, or another program wrote it'): Misread {
    return new Misread(`${this.#path.toString()} cannot be read: ${why}.`)
  }

  /** The object is known before its parts, which may refer to it. */
  #readProperties(position: number, object: object, properties: Iterable<readonly [unknown, unknown]>): object {
    this.#made[position] = object
    for (const [text, reference] of properties) {
      if (typeof text !== 'string') throw this.misread()
      const name = this.#nameOf(text)
      this.#path.enter(name)
      const value = this.at(reference)
      this.#path.leave()
      if (name !== '__proto__') (object as Record<string, unknown>)[name] = value
      else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
    }
    return object
  }

  #readItems(position: number, references: readonly unknown[]): unknown[] {
    const items: unknown[] = []
    items.length = references.length
    this.#made[position] = items
    for (const [index, reference] of references.entries())
      if (reference !== HOLE) this.#readItem(items, index, reference)
    return items
  }

  #readSparse(position: number, [, length, ...pairs]: readonly unknown[]): unknown[] {
    if (!Number.isInteger(length) || (length as number) < 0 || (length as number) > MAX_LENGTH) throw this.misread()
    // V8 reserves memory for each item of a new length, unless the array has been a very long one: then it is a table.
    const items: unknown[] = []
    items[MAX_LENGTH - 1] = undefined
    items.length = length as number
    this.#made[position] = items
    for (const [index, reference] of pairsOf(pairs)) {
      if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= items.length) throw this.misread()
      this.#readItem(items, index as number, reference)
    }
    return items
  }

  #readItem(items: unknown[], index: number, reference: unknown): void {
    this.#path.enter(index)
    items[index] = this.at(reference)
    this.#path.leave()
  }

  #readTagged(position: number, tag: string, [, ...parts]: readonly unknown[]): unknown {
    switch (tag) {
      case 'null':
        return this.#readProperties(position, Object.create(null) as object, pairsOf(parts))
      case 'Map':
        return this.#readMap(position, parts)
      case 'Set':
        return this.#readSet(position, parts)
      default:
        return (this.#made[position] = this.#readLeaf(tag, parts))
    }
  }

  #readMap(position: number, parts: readonly unknown[]): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>()
    this.#made[position] = map
    this.#path.enter(IN_MAP)
    const numbers = new NumberBudget()
    for (const [key, value] of pairsOf(parts)) map.set(this.#readKey(key, numbers), this.at(value))
    this.#path.leave()
    return map
  }

  #readSet(position: number, parts: readonly unknown[]): Set<unknown> {
    const set = new Set<unknown>()
    this.#made[position] = set
    this.#path.enter(IN_SET)
    const numbers = new NumberBudget()
    for (const reference of parts) set.add(this.#readKey(reference, numbers))
    this.#path.leave()
    return set
  }

  #readKey(reference: unknown, numbers: NumberBudget): unknown {
    const key = this.at(reference)
    if (!numbers.take(key)) throw this.misread('there are too many numbers')
    return key
  }

  /** What has no parts that could refer to it. */
  #readLeaf(tag: string, [first, second, third]: readonly unknown[]): unknown {
    if (VIEWS.includes(tag)) return this.#readView(tag, first, second, third)
    if (tag.startsWith('Temporal.')) return this.#readTemporal(tag, this.#text(first))
    switch (tag) {
      case 'BigInt':
        return this.#readBigInt(this.#text(first))
      case 'Date':
        return this.#readDate(this.#text(first))
      case 'RegExp':
        return this.#readPattern(this.#text(first), second === undefined ? '' : this.#text(second))
      case 'Object':
        return this.#readBoxed(first)
      case 'ArrayBuffer':
        return new Uint8Array(Buffer.from(this.#text(first), 'base64')).buffer
      case 'Buffer':
        return Buffer.from(this.#wrappedText(first), 'base64')
      case 'URL':
        return this.#readUrl(this.#text(first))
      case 'URLSearchParams':
        return new URLSearchParams(this.#text(first))
      default:
        throw this.misread('this release does not know its type')
    }
  }

  #text(part: unknown): string {
    if (typeof part === 'string') return part
    throw this.misread()
  }

  #wrappedText(reference: unknown): string {
    const wrapper = this.#list[this.#position(reference)]
    if (!Array.isArray(wrapper)) throw this.misread()
    return this.#text(this.#list[this.#position(wrapper[0])])
  }

  #readBigInt(text: string): bigint {
    if (!WHOLE_NUMBER.test(text)) throw this.misread()
    return BigInt(text)
  }

  #readDate(text: string): Date {
    const date = new Date(text === '' ? Number.NaN : text)
    if (text !== '' && Number.isNaN(date.getTime())) throw this.misread()
    return date
  }

  #readPattern(source: string, flags: string): RegExp {
    if (!this.#patterns.take(source, flags)) throw this.misread('it is a RegExp that takes too long to compile')
    return new RegExp(source, flags)
  }

  #readUrl(text: string): URL {
    if (!URL_TEXT.test(text)) throw this.misread()
    return new URL(text)
  }

  #readBoxed(reference: unknown): unknown {
    const part = SPECIAL.has(reference) ? undefined : this.#list[this.#position(reference)]
    if (typeof part === 'object' && !(Array.isArray(part) && part[0] === 'BigInt')) throw this.misread()
    const value = this.at(reference)
    if (value === undefined) throw this.misread()
    return Object(value)
  }

  #readView(tag: string, reference: unknown, offset: unknown, length: unknown): unknown {
    const part = this.#list[this.#position(reference)]
    if (!Array.isArray(part) || part[0] !== 'ArrayBuffer') throw this.misread()
    const View = (globalThis as unknown as Record<string, ViewClass | undefined>)[tag]
    if (!View) throw this.misread(`this version of Node has no ${tag}`)
    const buffer = this.at(reference) as ArrayBuffer
    return offset === undefined ? new View(buffer) : new View(buffer, Number(offset), Number(length))
  }

  #readTemporal(tag: string, text: string): object {
    const name = tag.slice('Temporal.'.length)
    if (!TEMPORAL.includes(name)) throw this.misread('this release does not know its type')
    const Class = temporalClass(name)
    if (!Class) throw this.misread(`this version of Node has no ${tag}`)
    return Class.from(text)
  }
}

type ViewClass = new (buffer: ArrayBuffer, offset?: number, length?: number) => ArrayBufferView

/** References two by two; one that has no partner is `undefined`, which no reference is. */
function* pairsOf(references: readonly unknown[]): Generator<readonly [unknown, unknown]> {
  for (let index = 0; index < references.length; index += 2) yield [references[index], references[index + 1]]
}
