import { isCoded, unreadable, type Codec } from './codec.ts'
import { copy, isSame, shapeOf, type Tree } from './plain.ts'

/** What a reader may do with an entry's decoded value. */
const UNKNOWN = 0
const PRIMITIVE = 1
const COPYABLE = 2
const PARSABLE = 3
const CODED = 4
const TOO_DEEP = 5

/** One stored value: its text, and a decoded master copy that is never handed out. Immutable for its users. */
export class Entry {
  readonly text: string
  #kind = UNKNOWN
  #master: unknown

  /** `parsed` is what `JSON.parse(text)` gives, if the caller has it anyway. */
  constructor(text: string, parsed?: unknown) {
    this.text = text
    if (parsed !== undefined && !isCoded(text)) this.#keep(parsed)
  }

  /**
   * A value for one request alone: the primitive itself, or a private copy. `name` is for the errors, such as `cart`.
   * Throws `ERR_SESSION_UNREADABLE` with the path of what cannot be read.
   */
  read(codec: Codec, name: string): unknown {
    if (this.#kind === UNKNOWN) {
      const value = codec.decode(this.text, name)
      this.#keep(value)
      if (isCoded(this.text)) return value
    }
    switch (this.#kind) {
      case PRIMITIVE:
        return this.#master
      case COPYABLE:
        return copy(this.#master as Tree)
      case TOO_DEEP:
        throw unreadable(name, ' cannot be read: it is nested too deeply.')
      default:
        return codec.decode(this.text, name)
    }
  }

  /** Whether `value` is certain to have this very text. `false` means: encode it to find out. */
  isUntouched(value: unknown): boolean {
    if (this.#kind === PRIMITIVE) return Object.is(value, this.#master)
    if (this.#kind !== COPYABLE && this.#kind !== PARSABLE) return false
    return typeof value === 'object' && value !== null && isSame(value as Tree, this.#master as Tree)
  }

  #keep(value: unknown): void {
    if (typeof value !== 'object' || value === null) this.#kind = PRIMITIVE
    else if (isCoded(this.text)) this.#kind = CODED
    else {
      const shape = shapeOf(value)
      this.#kind = shape === 'copyable' ? COPYABLE : shape === 'parsable' ? PARSABLE : TOO_DEEP
    }
    this.#master = this.#kind === CODED || this.#kind === TOO_DEEP ? undefined : value
  }
}
