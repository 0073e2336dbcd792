import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Instant, Milliseconds } from '../../src/units.ts'

/** How many promises wait for each other at most before something happens, or a little more. */
const LONGEST_CHAIN = 24
/** When the simulated time begins, by the wall clock. */
const BEGINNING: Instant = Date.UTC(2026, 0, 1)

/** Something that happens at an instant. */
interface Due {
  readonly at: Milliseconds
  /** Of two that are due at once, the one that was planned first comes first. */
  readonly order: number
  /** Absent once it was called off. */
  run: (() => void) | undefined
}

/** What a timer of Node can do, as far as it is used. */
class Timer {
  due: Due | undefined

  unref(): this {
    return this
  }

  ref(): this {
    return this
  }
}

const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate } = globalThis
const ORIGINALS = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate }
const dateNow = Date.now
const performanceNow = performance.now

/**
 * The clocks and timers of this process, driven by hand: from `install` until `restore`, time passes only as `pass` says,
 * as fast as what happens in it can be worked off. The same happens in the same order each time.
 */
export class SimulatedClock {
  /** A binary heap. */
  readonly #dues: Due[] = []
  #now: Milliseconds = 0
  #order = 0
  #ahead: Milliseconds = 0
  #isStirred = false

  /** Since the beginning, by the clock that nobody sets. */
  get now(): Milliseconds {
    return this.#now
  }

  install(): void {
    Date.now = () => BEGINNING + Math.floor(this.#now + this.#ahead)
    performance.now = () => this.#now
    const clear = (timer: unknown): void => {
      if (timer instanceof Timer && timer.due) timer.due.run = undefined
    }
    Object.assign(globalThis, {
      setTimeout: (run: () => void, length = 1) => this.#start(run, Math.max(1, length)),
      setInterval: (run: () => void, length = 1) => this.#repeat(run, Math.max(1, length)),
      setImmediate: (run: () => void) => this.#start(run, 0),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    })
  }

  restore(): void {
    Date.now = dateNow
    performance.now = performanceNow
    Object.assign(globalThis, ORIGINALS)
  }

  /** Sets the wall clock: by this much, forward or back. */
  set(by: Milliseconds): void {
    this.#ahead += by
  }

  /** Plans something. It must call `stir` if a promise is settled by it. */
  at(at: Milliseconds, run: () => void): Due {
    const due: Due = { at: Math.max(at, this.#now), order: this.#order++, run }
    this.#push(due)
    return due
  }

  /** Before anything else happens, what waits for promises goes on. */
  stir(): void {
    this.#isStirred = true
  }

  async pass(length: Milliseconds): Promise<void> {
    const end = this.#now + length
    await nextTurn()
    while (this.#dues.length > 0 && this.#dues[0]!.at <= end) {
      const { at, run } = this.#pop()
      this.#now = at
      run?.()
      if (!this.#isStirred) continue
      this.#isStirred = false
      // A turn of the event loop would go through them all, and takes many times as long.
      for (let step = 0; step < LONGEST_CHAIN; step++) await undefined
    }
    this.#now = end
    await nextTurn()
  }

  #start(run: () => void, length: Milliseconds): Timer {
    const timer = new Timer()
    timer.due = this.at(this.#now + length, () => {
      this.stir()
      run()
    })
    return timer
  }

  #repeat(run: () => void, length: Milliseconds): Timer {
    const timer = new Timer()
    const again = (): void => {
      timer.due = this.at(this.#now + length, () => {
        again()
        this.stir()
        run()
      })
    }
    again()
    return timer
  }

  #push(due: Due): void {
    const heap = this.#dues
    let index = heap.push(due) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(due, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = due
  }

  #pop(): Due {
    const heap = this.#dues
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
