import { SessionError } from './errors.ts'
import { isPromise } from './units.ts'

/** What to write instead of a name that does not exist, by that name. Whole sentences. */
export type Cures = Readonly<Record<string, string>>

/**
 * The checks of one group of options or arguments. Everything is refused in one form: `ERR_SESSION_OPTION`, and a message
 * that begins with the group and names the option, the rule and the value.
 */
export class Checks {
  readonly #group: string

  /** `group`: what the options belong to, such as `store redis` or `session.remember`. */
  constructor(group: string) {
    this.#group = group
  }

  /** The error for a mistake that needs sentences of its own. */
  refusal(sentences: string, options?: { cause?: unknown }): SessionError {
    return new SessionError('ERR_SESSION_OPTION', `${this.#group}: ${sentences}`, options)
  }

  /** The error for an option that breaks a rule. Leave the value out if it may be secret. */
  wrong(name: string, rule: string, ...value: [unknown?]): SessionError {
    return this.refusal(`${name} ${rule}${value.length > 0 ? `; it is ${shown(value[0])}` : ''}.`)
  }

  /** Throws unless it is an object. It is not shown, because it may be a secret in the wrong place. */
  object(name: string, value: unknown, rule = 'must be an object'): void {
    if (!isOptions(value)) throw this.wrong(name, rule)
  }

  /** Throws if the object has a name that is not known. `path`: the object's own name, if it is a part of another. */
  names(
    options: object,
    known: readonly string[],
    { path = '', cures = {} }: { path?: string; cures?: Cures } = {},
  ): void {
    for (const name of Object.keys(options)) {
      if (known.includes(name)) continue
      throw this.refusal(`${path}${path && '.'}${name} is not an option${instead(name, known, cures)}`)
    }
  }

  /** Throws unless it is a finite number above 0. */
  positive(name: string, value: unknown): void {
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw this.wrong(name, 'must be a number above 0', value)
  }

  /** Throws unless it is a whole number above 0. */
  whole(name: string, value: unknown): void {
    if (!Number.isSafeInteger(value) || (value as number) <= 0)
      throw this.wrong(name, 'must be a whole number above 0', value)
  }

  /** Throws unless it is one of these values. */
  oneOf(name: string, value: unknown, values: readonly unknown[]): void {
    if (!values.includes(value)) throw this.wrong(name, `must be one of ${values.map(String).join(', ')}`, value)
  }

  /** Throws unless it is a function. */
  callable(name: string, value: unknown): void {
    if (typeof value !== 'function') throw this.wrong(name, 'must be a function', value)
  }

  /**
   * What is asked of the application about each request, if it is. Throws unless it is a function. The answer is checked when
   * it comes: a promise would count as yes, whatever becomes of it.
   */
  question<Asked>(name: string, ask: ((about: Asked) => boolean) | undefined): ((about: Asked) => boolean) | undefined {
    if (ask === undefined) return undefined
    this.callable(name, ask)
    return (about) => {
      const answer: unknown = ask(about)
      if (isPromise(answer)) throw this.refusal(`${name} must answer at once, and returned a promise.`)
      return Boolean(answer)
    }
  }
}

/** Whether it is an object of options, which may be a module. Lists, maps, dates and promises are not. */
export function isOptions(value: unknown): value is Record<string, unknown> {
  return /^\[object (?:Object|Module)\]$/.test(Object.prototype.toString.call(value))
}

function instead(name: string, known: readonly string[], cures: Cures): string {
  if (Object.hasOwn(cures, name)) return `. ${cures[name]}`
  const similar = nearest(name, known)
  return similar === undefined ? `; there are ${known.join(', ')}.` : `; did you mean ${similar}?`
}

/** The value as far as a message may show it: objects may hold secrets, and long texts help nobody. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** The known name that was probably meant: at most a third of its letters differ. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, typos: typosBetween(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, typos }) => typos <= candidate.length / 3)
    .sort((one, other) => one.typos - other.typos)
  return best?.candidate
}

/** How many letters were left out, put in, changed or swapped with their neighbour (optimal string alignment). */
function typosBetween(typed: string, meant: string): number {
  // Row by row: what the first letters of `typed` cost against the first letters of `meant`.
  const rows = [Array.from({ length: meant.length + 1 }, (_, column) => column)]
  const cost = (row: number, column: number): number => rows[row]?.[column] ?? Infinity
  for (let row = 1; row <= typed.length; row++) {
    rows[row] = [row]
    for (let column = 1; column <= meant.length; column++) {
      const isSame = typed[row - 1] === meant[column - 1]
      const isSwapped = typed[row - 1] === meant[column - 2] && typed[row - 2] === meant[column - 1]
      rows[row]![column] = Math.min(
        cost(row - 1, column) + 1,
        cost(row, column - 1) + 1,
        cost(row - 1, column - 1) + (isSame ? 0 : 1),
        isSwapped ? cost(row - 2, column - 2) + 1 : Infinity,
      )
    }
  }
  return cost(typed.length, meant.length)
}
