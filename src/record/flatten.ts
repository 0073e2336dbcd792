import { types } from 'node:util'
import {
  MAX_HASHED_NUMBERS,
  NumberBudget,
  PatternBudget,
  isArrayPrototype,
  isObjectPrototype,
  kindOf,
  temporalClass,
} from './kinds.ts'
import { escapeName, needsEscape } from './names.ts'
import { IN_MAP, IN_SET, Path } from './path.ts'

/** References to what has no place in the list; all others are positions in it, from 0 on. */
export const UNDEFINED = -1
export const HOLE = -2
export const NOT_A_NUMBER = -3
export const INFINITE = -4
export const NEGATIVE_INFINITE = -5
export const NEGATIVE_ZERO = -6
/** What a sparse array begins with: its length follows, and then only the items that are there. */
export const SPARSE = -7

/** A part of a value would not come back as it was. The message goes on after a name: `.items[0] cannot be stored: …`. */
export class Unstorable extends Error {}

/** A value as a list of its parts, in JSON. */
export interface Flat {
  readonly text: string
  /** Whether the names in it were written by `escapeName`. */
  readonly areNamesEscaped: boolean
}

/**
 * The value as JSON that keeps what JSON alone would lose, in the format of the package devalue, which wrote the records
 * of version 0.1.0: a list of all parts, in which each part names its own parts by their positions. Throws `Unstorable`
 * for whatever `unflatten` would not give back as it was, hidden properties and getters included. That an object is
 * frozen is no data: what comes back is a copy that the reader may change.
 */
export function flatten(value: unknown): Flat {
  const flattener = new Flattener(String)
  const text = flattener.write(value)
  if (!flattener.hasOddName) return { text, areNamesEscaped: false }
  return { text: new Flattener(escapeName).write(value), areNamesEscaped: true }
}

class Flattener {
  /** Whether a name was met that must be escaped, or that the reader would take for one marked by version 0.1.0. */
  hasOddName = false
  readonly #nameText: (name: string) => string
  readonly #texts: string[] = []
  readonly #positions = new Map<unknown, number>()
  /** By their text: anybody can find numbers that share a bucket of a Map, and a crowded bucket is slow. */
  readonly #positionsOfNumbers = new Map<string, number>()
  readonly #path = new Path()
  readonly #patterns = new PatternBudget()

  constructor(nameText: (name: string) => string) {
    this.#nameText = nameText
  }

  write(value: unknown): string {
    const reference = this.#add(value)
    return reference < 0 ? String(reference) : `[${this.#texts.join(',')}]`
  }

  /** The reference to this value, which is put into the list unless it is there. Three calls a level: see `MAX_DEPTH`. */
  #add(value: unknown): number {
    if (value === undefined) return UNDEFINED
    if (typeof value === 'number') return this.#addNumber(value)
    const known = this.#positions.get(value)
    if (known !== undefined) return known
    // Before its parts, so that they may refer to it.
    const position = this.#texts.push('') - 1
    this.#positions.set(value, position)
    this.#texts[position] =
      typeof value === 'object' && value !== null ? this.#objectText(value) : this.#leafText(value)
    return position
  }

  #addNumber(value: number): number {
    if (Number.isNaN(value)) return NOT_A_NUMBER
    if (!Number.isFinite(value)) return value > 0 ? INFINITE : NEGATIVE_INFINITE
    if (Object.is(value, -0)) return NEGATIVE_ZERO
    const name = `number ${value}`
    const known = this.#positionsOfNumbers.get(name)
    if (known !== undefined) return known
    const position = this.#texts.push(String(value)) - 1
    this.#positionsOfNumbers.set(name, position)
    return position
  }

  #leafText(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return stringText(value)
      case 'bigint':
        return `["BigInt","${value}"]`
      case 'function':
        throw this.#unstorable('it is a function')
      case 'symbol':
        throw this.#unstorable('it is a symbol')
      default:
        return String(value)
    }
  }

  #objectText(value: object): string {
    if (this.#path.isTooDeep) throw new Unstorable(`${this.#path.beginning()} is nested too deeply to be stored.`)
    if (Array.isArray(value)) return this.#arrayText(value)
    const prototype = Object.getPrototypeOf(value) as object | null
    if (prototype === null) return `["null"${this.#propertiesText(value, ',', ',')}]`
    if (isObjectPrototype(prototype)) return `{${this.#propertiesText(value, '', ':')}}`
    return this.#instanceText(value)
  }

  #propertiesText(object: object, beginning: string, separator: string): string {
    let text = ''
    for (const name of Reflect.ownKeys(object)) {
      if (typeof name === 'symbol') throw this.#unstorable('it has a property whose name is a symbol')
      this.hasOddName ||= needsEscape(name) || name.startsWith('~')
      this.#path.enter(name)
      const reference = this.#add(this.#ownValue(object, name))
      this.#path.leave()
      text += `${text === '' ? beginning : ','}${JSON.stringify(this.#nameText(name))}${separator}${reference}`
    }
    return text
  }

  #ownValue(object: object, name: string): unknown {
    const property = Object.getOwnPropertyDescriptor(object, name) as PropertyDescriptor
    if (!('value' in property)) throw this.#unstorable('it is a getter or a setter')
    if (!property.enumerable) throw this.#unstorable('it is hidden, that is not enumerable')
    return property.value
  }

  #arrayText(items: unknown[]): string {
    if (!isArrayPrototype(Object.getPrototypeOf(items) as object | null)) throw this.#unstorable(whatIs(items))
    const indexes = this.#indexesOf(items)
    const { length } = items
    const isListedSparsely = isSparse(length, indexes.length)
    let text = isListedSparsely ? `${SPARSE},${length}` : ''
    let next = 0
    for (const index of indexes) {
      this.#path.enter(Number(index))
      const reference = this.#add(this.#ownValue(items, index))
      this.#path.leave()
      if (isListedSparsely) text += `,${index},${reference}`
      else {
        for (; next < Number(index); next++) text += `${HOLE},`
        text += `${reference},`
        next++
      }
    }
    if (isListedSparsely) return `[${text}]`
    for (; next < length; next++) text += `${HOLE},`
    return `[${text.slice(0, -1)}]`
  }

  /** The indexes of the items that are there. Refuses an array that has other properties. */
  #indexesOf(items: unknown[]): string[] {
    // The indexes come first, and then the names in the order in which they were made: every array begins with `length`.
    const names = Reflect.ownKeys(items)
    const end = names.indexOf('length')
    const other = names[end + 1]
    if (other !== undefined) throw this.#addedProperty(other, 'an array')
    return names.slice(0, end) as string[]
  }

  /** Few objects in a session are more than arrays and plain objects, so these may take a call more. */
  #instanceText(value: object): string {
    const known = kindOf(value)
    if (!known) throw this.#unstorable(whatIs(value))
    const { kind, name } = known
    const added = addedName(value)
    if (added !== undefined) throw this.#addedProperty(added, `a ${name}`)
    switch (kind) {
      case 'Date':
        return `["Date","${isoText(value as Date)}"]`
      case 'Map':
        this.#refuseCrowd(value as Map<unknown, unknown>, 'a Map with')
        return `["Map"${this.#membersText([...(value as Map<unknown, unknown>)].flat(), IN_MAP)}]`
      case 'Set':
        this.#refuseCrowd(value as Set<unknown>, 'a Set of')
        return `["Set"${this.#membersText([...(value as Set<unknown>)], IN_SET)}]`
      case 'RegExp':
        return this.#patternText(value as RegExp)
      case 'Boxed':
        return `["Object",${this.#add(value.valueOf())}]`
      case 'Buffer':
        return `["Buffer",${this.#add([base64Of(value as Buffer)])}]`
      case 'ArrayBuffer':
        return `["ArrayBuffer","${base64Of(new Uint8Array(this.#ordinaryMemory(value as ArrayBuffer)))}"]`
      case 'View':
        return `["${name}",${this.#add(this.#memoryOf(value as ArrayBufferView))}]`
      case 'Temporal':
        return this.#temporalText(value, name)
      case 'Text':
        return `["${name}",${stringText((value as URL | URLSearchParams).toString())}]`
    }
  }

  #refuseCrowd(collection: Map<unknown, unknown> | Set<unknown>, what: string): void {
    if (collection.size <= MAX_HASHED_NUMBERS) return
    const numbers = new NumberBudget()
    for (const key of collection.keys())
      if (!numbers.take(key)) throw this.#unstorable(`it is ${what} more than ${MAX_HASHED_NUMBERS} numbers`)
  }

  #membersText(members: unknown[], where: typeof IN_MAP | typeof IN_SET): string {
    let text = ''
    this.#path.enter(where)
    for (const member of members) text += `,${this.#add(member)}`
    this.#path.leave()
    return text
  }

  #patternText({ source, flags, lastIndex }: RegExp): string {
    if (lastIndex !== 0) throw this.#unstorable('it is a RegExp in use, whose lastIndex is not 0')
    if (!this.#patterns.take(source, flags)) throw this.#unstorable('it is a RegExp that takes too long to compile')
    return `["RegExp",${stringText(source)}${flags === '' ? '' : `,"${flags}"`}]`
  }

  /** What is beside a view in its memory is not its own: Node keeps many short byte strings in one piece. */
  #memoryOf({ buffer, byteOffset, byteLength }: ArrayBufferView): ArrayBuffer {
    const memory = this.#ordinaryMemory(buffer)
    return byteLength === memory.byteLength ? memory : memory.slice(byteOffset, byteOffset + byteLength)
  }

  #ordinaryMemory(buffer: ArrayBufferLike): ArrayBuffer {
    if (!types.isArrayBuffer(buffer)) throw this.#unstorable('its memory is a SharedArrayBuffer')
    if ((buffer as { resizable?: boolean }).resizable) throw this.#unstorable('its memory can be resized')
    return buffer
  }

  #temporalText(value: object, name: string): string {
    const text = (value as URL).toString()
    const back = temporalClass(name)?.from(text)
    if (!back || wholeText(back) !== wholeText(value)) throw this.#unstorable('it is more than its text tells')
    return `["Temporal.${name}",${stringText(text)}]`
  }

  #addedProperty(name: string | symbol, owner: string): Unstorable {
    if (typeof name === 'symbol') return this.#unstorable('it has a property whose name is a symbol')
    this.#path.enter(name)
    return this.#unstorable(`it is a property that was added to ${owner}`)
  }

  #unstorable(why: string): Unstorable {
    return new Unstorable(
      `${this.#path.toString()} cannot be stored: ${why}. Store plain data, or pass a \`serializer\`.`,
    )
  }
}

/** Whether naming the items that are there is shorter than naming each hole. */
function isSparse(length: number, present: number): boolean {
  const digits = String(length).length
  return present < length && (length - present) * 3 > 4 + digits + present * (digits + 1)
}

/** A name that not every instance of its class has, as a typed array has indexes. */
function addedName(value: object): string | symbol | undefined {
  const names = Reflect.ownKeys(value)
  // Indexes come first, and none can be added to those of a typed array.
  if (types.isTypedArray(value)) return INDEX.test(String(names.at(-1) ?? 0)) ? undefined : names.at(-1)
  if (types.isRegExp(value)) return names.find((name) => name !== 'lastIndex')
  if (!types.isStringObject(value)) return names[0]
  const original = new Set(Reflect.ownKeys(Object(String.prototype.valueOf.call(value)) as object))
  return names.find((name) => !original.has(name))
}

function isoText(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}

function base64Of({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}

/** All that a value of Temporal consists of, in which a duration's own text adds up seconds and milliseconds. */
function wholeText(value: object): string {
  const { years, months, weeks, days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds } =
    value as Record<string, unknown>
  const lengths = [years, months, weeks, days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds]
  return `${lengths.join()} ${(value as { toString(options: object): string }).toString({ calendarName: 'always' })}`
}

const INDEX = /^\d+$/
const RAW_IN_JSON = /[<\u2028\u2029]/g
const WRITTEN: Readonly<Record<string, string>> = { '<': '\\u003C', '\u2028': '\\u2028', '\u2029': '\\u2029' }

/** As devalue writes it, so that what version 0.1.0 stored has the same text when it is read and written again. */
function stringText(text: string): string {
  return JSON.stringify(text).replace(RAW_IN_JSON, (character) => WRITTEN[character] as string)
}

function whatIs(value: object): string {
  const prototype = Object.getPrototypeOf(value) as object | null
  const constructor: unknown = prototype && Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value
  if (typeof constructor !== 'function' || constructor === Object) return 'it is an object that is more than plain data'
  return `it is an instance of the class ${constructor.name}`
}
