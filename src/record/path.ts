/**
 * How deep data may be nested. Reading and writing take one call per level, and nobody can know how many calls the stack
 * has room for: some thousands of levels could be written and not be read back.
 */
export const MAX_DEPTH = 1000

/** Longer paths, and longer names in them, are cut: these many are enough to find the place. */
const MAX_PARTS = 20
const MAX_PARTS_OF_DEEP_DATA = 4
const MAX_NAME_LENGTH = 40

const IDENTIFIER = /^[a-zA-Z_$][\w$]*$/

/** The keys of a Map may be secrets, and the items of a Set have no names, so an error tells no more than this. */
export const IN_MAP: unique symbol = Symbol('inside a Map')
export const IN_SET: unique symbol = Symbol('inside a Set')

type Part = string | number | typeof IN_MAP | typeof IN_SET

/** Where in a value the writer or the reader is, for the errors: `.items[0].price`. */
export class Path {
  readonly #parts: Part[] = []

  /** Whether an object here would be deeper than data may be. */
  get isTooDeep(): boolean {
    return this.#parts.length >= MAX_DEPTH
  }

  /** Goes one level down; the caller leaves again. */
  enter(part: Part): void {
    this.#parts.push(part)
  }

  leave(): void {
    this.#parts.pop()
  }

  toString(): string {
    return textOf(this.#parts, MAX_PARTS)
  }

  /** The beginning of a path that goes too deep. */
  beginning(): string {
    return textOf(this.#parts, MAX_PARTS_OF_DEEP_DATA)
  }
}

function textOf(parts: readonly Part[], limit: number): string {
  // What lies inside of a Map may be a secret by its names as well.
  const inside = parts.findIndex((part) => typeof part === 'symbol')
  const shown = parts.slice(0, limit).filter((part, at) => typeof part !== 'string' || inside === -1 || at < inside)
  const text = shown.map(partText).join('')
  return parts.length > limit ? `${text}…` : text
}

function partText(part: Part): string {
  if (typeof part === 'symbol') return ` (${part.description})`
  if (typeof part === 'number') return `[${part}]`
  if (part.length > MAX_NAME_LENGTH) return `[${JSON.stringify(part.slice(0, MAX_NAME_LENGTH))}…]`
  return IDENTIFIER.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`
}
