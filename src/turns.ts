import { performance } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Milliseconds } from './units.ts'

/** How long work in many pieces may keep others waiting. */
const LONGEST_TURN: Milliseconds = 1

/** What to await between two pieces of work: lets others have their turn once the time of a turn is used up. */
export function takeTurns(): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < LONGEST_TURN) return
    await nextTurn()
    since = performance.now()
  }
}
