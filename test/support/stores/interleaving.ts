import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Store } from '../../../src/store.ts'
import type { Awaitable, Instant } from '../../../src/units.ts'

/** Numbers from a seed, always the same ones. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761 + 1) >>> 0
  }

  /** A whole number from 0 to below `count`. */
  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % count
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item
  }
}

/**
 * Lets several processes take steps, one at a time, in an order that chance decides. A step is one call of a store. What
 * is killed never takes its next step.
 */
export class Interleaving {
  readonly #chance: Chance
  readonly #waiting = new Map<string, () => void>()

  constructor(chance: Chance) {
    this.#chance = chance
  }

  /** Resolves when this process may take its next step. */
  turn(process: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(process, resolve))
  }

  /** The store as this process calls it. */
  over(store: Store, process: string): Store {
    const step = async <Answer>(work: () => Awaitable<Answer>): Promise<Answer> => {
      await this.turn(process)
      return work()
    }
    return {
      ...store,
      load: (...of) => step(() => store.load(...of)),
      save: (...of) => step(() => store.save(...of)),
      touch: (...of) => step(() => store.touch(...of)),
      delete: (...of) => step(() => store.delete(...of)),
    }
  }

  /** Runs all processes to their ends; `kills`: how many of a hundred steps are the last ones of their process. */
  async run(kills: number, afterEach: () => void): Promise<void> {
    for (;;) {
      await nextTurn()
      afterEach()
      if (this.#waiting.size === 0) return
      const [process, go] = this.#chance.of([...this.#waiting])
      this.#waiting.delete(process)
      if (this.#chance.below(100) >= kills) go()
    }
  }
}

/** What a caller may know of a record, without its version. */
export interface Seen {
  readonly text: string
  readonly expiresAt: Instant
}

/** One call, and its answer: absent if nobody has received one. */
export type Call = { readonly began: number; ended: number } & (
  | { readonly method: 'load'; answer?: Seen | 'none' }
  | {
      readonly method: 'save'
      readonly expected: string | undefined
      readonly made: Seen
      answer?: Seen | 'saved' | 'gone'
    }
  | { readonly method: 'touch'; readonly expiresAt: Instant; answer?: boolean }
  | { readonly method: 'delete'; readonly expected: string | undefined; answer?: Seen | boolean }
)

/**
 * Throws unless there is an order of all calls in which one single store would have given these answers, and in which
 * every call comes after those that had been answered before it began. A call without an answer may have happened at any
 * time after it began, or not at all. All texts must be different.
 */
export function assertLinearizable(calls: readonly Call[], first: Seen | undefined): void {
  const known = new Set<string>()
  const all = (1n << BigInt(calls.length)) - 1n
  const unanswered = calls.reduce((bits, call, index) => (isAnswered(call) ? bits : bits | (1n << BigInt(index))), 0n)

  function search(done: bigint, state: Seen | undefined): boolean {
    if ((done | unanswered) === all) return true
    const place = `${done} ${state?.text} ${state?.expiresAt}`
    if (known.has(place)) return false
    known.add(place)
    // Nothing that begins after another open call has been answered can come next.
    const limit = Math.min(...calls.filter((_, index) => !isDone(done, index)).map(({ ended }) => ended))
    return calls.some((call, index) => {
      if (isDone(done, index) || call.began > limit) return false
      const next = after(call, state)
      return next !== 'impossible' && search(done | (1n << BigInt(index)), next)
    })
  }

  assert.ok(search(0n, first), 'no single store gives these answers')
}

function isDone(done: bigint, index: number): boolean {
  return ((done >> BigInt(index)) & 1n) === 1n
}

function isAnswered({ answer }: Call): boolean {
  return answer !== undefined
}

/** The state after this call, or that the call cannot have had its answer in this state. */
function after(call: Call, state: Seen | undefined): Seen | undefined | 'impossible' {
  const { answer } = call
  const isHere = typeof answer === 'object' && answer.text === state?.text && answer.expiresAt === state.expiresAt
  switch (call.method) {
    case 'load':
      return (answer === 'none' ? state === undefined : isHere) ? state : 'impossible'
    case 'save': {
      const fits = state?.text === call.expected
      if (answer === 'saved' || answer === undefined) return fits ? call.made : 'impossible'
      if (answer === 'gone') return state === undefined && call.expected !== undefined ? state : 'impossible'
      return isHere && !fits ? state : 'impossible'
    }
    case 'touch': {
      if (answer === false) return state === undefined ? state : 'impossible'
      return state ? { ...state, expiresAt: Math.max(state.expiresAt, call.expiresAt) } : 'impossible'
    }
    case 'delete': {
      const fits = state !== undefined && (call.expected === undefined || call.expected === state.text)
      if (answer === true || answer === undefined) return fits ? undefined : 'impossible'
      if (answer === false) return state === undefined ? state : 'impossible'
      return isHere && !fits ? state : 'impossible'
    }
  }
}
