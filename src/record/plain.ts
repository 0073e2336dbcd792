import { MAX_DEPTH } from './path.ts'
import { needsEscape } from './names.ts'

/** Data that JSON alone gives back exactly. */
export type Tree = Record<string, unknown> | unknown[]

/** Deeper data is flattened, which also follows cycles. */
const MAX_PLAIN_DEPTH = 32

/**
 * JSON writes what is referred to twice twice, so two hundred characters of references can become a text without end. Up
 * to so many characters, items and properties nobody looks for that. A larger value is plain only if no object stands in
 * it twice; otherwise it is flattened, each object once.
 */
const MAX_UNWATCHED_SIZE = 1 << 13
/** The same for texts that stand in a value again and again. */
const MAX_PLAIN_SIZE = 1 << 20

/** Objects with more names are hash tables to V8, and parsing their text is cheaper than copying them. */
const MAX_COPIED_NAMES = 64
const NOT_COPIED = /^\d|^__proto__$/

const { getOwnPropertyDescriptor, getOwnPropertyNames, getOwnPropertySymbols, getPrototypeOf, keys } = Object
const NOTHING: { toJSON?: unknown } & unknown[] = []

let sizeLeft = 0
/** The objects of a large value that were met so far. */
let met: Set<object> | undefined

/**
 * Whether JSON gives back exactly this value. Two things are not looked for, because that would cost more than writing
 * the text: a getter as an item of an array, which is stored as its value, and a hidden property of an array.
 */
export function isPlain(value: unknown): boolean {
  // Somebody may have given all objects a toJSON, which would speak for them.
  if (NOTHING.toJSON !== undefined) return false
  sizeLeft = MAX_UNWATCHED_SIZE
  if (isLeaf(value) || isPlainTree(value, 0)) return true
  if (sizeLeft >= 0) return false
  sizeLeft = MAX_PLAIN_SIZE
  met = new Set()
  try {
    return isLeaf(value) || isPlainTree(value, 0)
  } finally {
    met = undefined
  }
}

function isLeaf(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return (sizeLeft -= value.length) >= 0
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'boolean':
      return true
    default:
      return value === null
  }
}

function isPlainTree(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || depth === MAX_PLAIN_DEPTH) return false
  if (met) {
    if (met.has(value)) return false
    met.add(value)
  }
  return Array.isArray(value) ? isPlainArray(value, depth) : isPlainObject(value, depth)
}

function isPlainArray(items: unknown[], depth: number): boolean {
  const { length } = items
  if (getPrototypeOf(items) !== Array.prototype || (sizeLeft -= length + 1) < 0) return false
  // An index loop, because `every` skips the holes of a sparse array, which JSON turns into null.
  for (let index = 0; index < length; index++) {
    const item = items[index]
    if (!isLeaf(item) && !isPlainTree(item, depth + 1)) return false
  }
  return keys(items).length === length && getOwnPropertySymbols(items).length === 0
}

function isPlainObject(value: object, depth: number): boolean {
  if (getPrototypeOf(value) !== Object.prototype) return false
  const names = getOwnPropertyNames(value)
  if ((sizeLeft -= names.length + 1) < 0) return false
  for (const name of names) {
    // The value of a getter is `undefined` here, which is not plain either.
    const { value: part, enumerable } = getOwnPropertyDescriptor(value, name) as PropertyDescriptor
    if (!enumerable || (!isLeaf(part) && !isPlainTree(part, depth + 1))) return false
  }
  return getOwnPropertySymbols(value).length === 0
}

/** Whether JSON would write a name in this plain value with a backslash. */
export function hasNameToEscape(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(hasNameToEscape)
  return Object.entries(value).some(([name, part]) => needsEscape(name) || hasNameToEscape(part))
}

/** What to do with a value from `JSON.parse`: copy it, parse it anew for each reader, or refuse it. */
export type Shape = 'copyable' | 'parsable' | 'too deep'

export function shapeOf(value: unknown): Shape {
  if (isCopyable(value, 0)) return 'copyable'
  return isTooDeep(value, 0) ? 'too deep' : 'parsable'
}

/** Whether this is cheaper to copy than to parse again. */
function isCopyable(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === MAX_PLAIN_DEPTH) return false
  if (Array.isArray(value)) return value.every((item) => isCopyable(item, depth + 1))
  const names = keys(value)
  return (
    names.length <= MAX_COPIED_NAMES &&
    names.every((name) => !NOT_COPIED.test(name) && isCopyable((value as Record<string, unknown>)[name], depth + 1))
  )
}

function isTooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return depth === MAX_DEPTH || Object.values(value).some((part) => isTooDeep(part, depth + 1))
}

export function copy(master: Tree): Tree {
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

/**
 * Whether the data is the same: the same names in the same order, the same kinds of object, the same primitives. This is
 * asked of everything that a request reads, so it does not look for what handlers do not do to data: a symbol or a hidden
 * property added to an object that was read, or a getter in the place of the same value.
 */
export function isSame(mine: Tree, master: Tree): boolean {
  if (Array.isArray(master)) {
    if (!Array.isArray(mine) || mine.length !== master.length || getPrototypeOf(mine) !== Array.prototype) return false
    for (let index = 0; index < master.length; index++) if (!isSameValue(mine[index], master[index])) return false
    return keys(mine).length === master.length
  }
  if (Array.isArray(mine) || getPrototypeOf(mine) !== Object.prototype) return false
  const names = keys(mine)
  const masterNames = keys(master)
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
