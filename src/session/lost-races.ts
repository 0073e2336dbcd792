import type { Milliseconds } from '../units.ts'

const LONGEST: Milliseconds = 2000
const FEWEST = 5

/** The races for one session that a writer has lost, one after the other. */
export class LostRaces {
  readonly #since = performance.now()
  #count = 0

  /**
   * Notes one more, and says whether that is enough. The time by itself is not: a process that stood still for two
   * seconds has lost no race meanwhile.
   */
  add(): boolean {
    this.#count++
    return this.#count >= FEWEST && performance.now() - this.#since > LONGEST
  }
}
