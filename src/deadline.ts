import { AsyncResource } from 'node:async_hooks'
import { performance } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Milliseconds } from './units.ts'

/** An instant by which an operation must have settled, as `performance.now()` counts. */
export type Until = number

/** One operation under way. */
export interface Operation {
  /** When it is late. */
  readonly until: Until
  giveUp: () => void
}

/**
 * A length of time that each of many operations is given. They all wait on one timer: since all are given the same time,
 * the one that began first is late first, and a timer of its own would cost an operation more than all else about it.
 * Keeps the process alive while something is under way, and no longer.
 */
export class Deadline {
  readonly length: Milliseconds
  /** In the order in which they will be late. */
  readonly #underWay = new Set<Operation>()
  #timer: NodeJS.Timeout | undefined
  // A timer belongs to the request in which it is set, and would keep it for as long as there is one.
  readonly #place = new AsyncResource('Deadline')

  constructor(length: Milliseconds) {
    this.length = length
  }

  /** Calls `giveUp` when the time is over, unless `end` comes first. */
  begin(giveUp: () => void): Operation {
    const operation: Operation = { until: performance.now() + this.length, giveUp }
    this.#underWay.add(operation)
    if (!this.#timer) this.#wait(this.length)
    else if (this.#underWay.size === 1) this.#timer.ref()
    return operation
  }

  /** `false`: too late, it was given up. */
  end(operation: Operation): boolean {
    const isInTime = this.#underWay.delete(operation)
    // A set that has grown old keeps what was in it until a full collection: let that not be a whole request.
    operation.giveUp = nothing
    // The timer stays set, because the next operation will want it again.
    if (isInTime && this.#underWay.size === 0) this.#timer?.unref()
    return isInTime
  }

  #wait(length: Milliseconds): void {
    this.#timer = this.#place.runInAsyncScope(() => setTimeout(() => this.#look(), length))
  }

  #look(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const operation of this.#underWay) {
      // A timer may be early, and this one was set for an operation that has settled since.
      if (operation.until > now) return this.#wait(Math.ceil(operation.until - now))
      this.#underWay.delete(operation)
      operation.giveUp()
    }
  }
}

function nothing(): void {}

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
