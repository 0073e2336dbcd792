import type { TestContext } from 'node:test'
import type { Milliseconds } from '../../src/units.ts'

/** Both clocks of this process, which stand still but for what a test says. Timers stay as they are. */
export interface Clocks {
  /** Time passes. */
  pass(length: Milliseconds): void
  /** Somebody sets the wall clock, forward or back. */
  set(by: Milliseconds): void
}

/** Until the test is over. Once in a test. */
export function clocksOf(test: TestContext): Clocks {
  let wall = Date.now()
  let monotonic = Math.floor(performance.now())
  test.mock.method(Date, 'now', () => wall)
  test.mock.method(performance, 'now', () => monotonic)
  return {
    pass(length) {
      wall += length
      monotonic += length
    },
    set: (by) => void (wall += by),
  }
}
