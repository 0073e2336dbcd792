import { CODED, MAX_PLAIN_DEPTH, type Codec } from './codec.ts'

/** Beyond these V8 keeps an object as a hash table, and parsing its text is cheaper than copying it. */
const MAX_COPIED_KEYS = 64
const NOT_COPIED = /^\d|^__proto__$/

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
    if (this.#kind === COPYABLE)
      return typeof value === 'object' && value !== null && isSame(value as Tree, this.#master as Tree)
    return this.#kind === PRIMITIVE && Object.is(value, this.#master)
  }

  #keep(master: unknown): void {
    if (typeof master !== 'object' || master === null) this.#kind = PRIMITIVE
    else this.#kind = !this.text.startsWith(CODED) && isCopyable(master, 0) ? COPYABLE : DECODED_EACH_TIME
    this.#master = this.#kind === DECODED_EACH_TIME ? undefined : master
  }
}

type Tree = Record<string, unknown> | unknown[]

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
    if (!Array.isArray(mine) || mine.length !== master.length || Object.getPrototypeOf(mine) !== Array.prototype)
      return false
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
  if (typeof mine !== 'object' || typeof master !== 'object' || mine === null || master === null)
    return Object.is(mine, master)
  return isSame(mine as Tree, master as Tree)
}
