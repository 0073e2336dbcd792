import type { Key, Milliseconds } from '../../units.ts'

/** For how long a destroyed key is remembered: longer than any save takes that was under way at that moment. */
const REMEMBERED: Milliseconds = 10 * 60_000

/**
 * What this process knows of one express-session store, for all that use the store: whose turn it is to write a key, and
 * which keys were destroyed lately.
 */
export class Shared {
  readonly #turns = new Map<Key, Promise<void>>()
  /** Until when each is remembered, as `performance.now()` counts: a clock that was set must bring nothing back. */
  readonly #destroyed = new Map<Key, Milliseconds>()

  /** Runs the step once all earlier steps for this key have settled. */
  async inTurn<Answer>(key: Key, step: () => Promise<Answer>): Promise<Answer> {
    const before = this.#turns.get(key)
    const answer = before === undefined ? step() : before.then(step)
    const settled = answer.then(
      () => {},
      () => {},
    )
    this.#turns.set(key, settled)
    try {
      return await answer
    } finally {
      if (this.#turns.get(key) === settled) this.#turns.delete(key)
    }
  }

  /** From now on the key counts as destroyed, whatever the store says. */
  bury(key: Key): void {
    const now = performance.now()
    this.#destroyed.delete(key)
    this.#destroyed.set(key, now + REMEMBERED)
    // A Map keeps its entries in the order in which they were set, so the oldest come first.
    for (const [oldest, until] of this.#destroyed) {
      if (until > now) break
      this.#destroyed.delete(oldest)
    }
  }

  isBuried(key: Key): boolean {
    return (this.#destroyed.get(key) ?? 0) > performance.now()
  }

  /** Only a create may call this: the key has a new session. */
  unbury(key: Key): void {
    this.#destroyed.delete(key)
  }
}

const states = new WeakMap<object, Shared>()

/** What is shared about this store. `isNew`: nobody has asked before. */
export function sharedOf(store: object): { shared: Shared; isNew: boolean } {
  const known = states.get(store)
  if (known) return { shared: known, isNew: false }
  const shared = new Shared()
  states.set(store, shared)
  return { shared, isNew: true }
}
