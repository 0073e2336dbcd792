/** A sequence of numbers that looks random and is the same for the same seed, so that a run can be repeated. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** `undefined` only of an empty list. */
  oneOf<T>(things: readonly T[]): T | undefined {
    return things[Math.floor(this.next() * things.length)]
  }

  /** By weight: a thing of weight 2 is chosen twice as often as one of weight 1. */
  weighted<T extends { readonly weight: number }>(things: readonly T[]): T {
    let rest = this.next() * things.reduce((sum, { weight }) => sum + weight, 0)
    for (const thing of things) {
      rest -= thing.weight
      if (rest < 0) return thing
    }
    return things.at(-1) as T
  }
}
