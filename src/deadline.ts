import { AsyncResource } from 'node:async_hooks'
import { performance } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Milliseconds } from './units.ts'

/** How long an operation of a store may take, unless the store says otherwise: see `Store.deadline`. */
export const DEFAULT_DEADLINE: Milliseconds = 2000

/** A timer of Node waits no longer than this. */
export const LONGEST_TIMER: Milliseconds = 2 ** 31 - 1

/** Whether an operation can have this deadline. */
export function isDeadline(value: unknown): value is Milliseconds {
  return typeof value === 'number' && value >= 1 && value <= LONGEST_TIMER
}

/**
 * As `setTimeout`, for what gives up on an answer. A process that stood still comes to its timers before it reads its
 * sockets, so the answers that have come meanwhile are read first.
 */
export function whenLate(giveUp: () => void, length: Milliseconds): NodeJS.Timeout {
  return setTimeout(() => setImmediate(giveUp), length)
}

/**
 * An async context to go back to, such as one outside of every request. It keeps no process alive, and says so as handles
 * of Node do, for tools that look for open handles (`jest --detectOpenHandles`).
 */
export class Place extends AsyncResource {
  hasRef(): boolean {
    return false
  }
}

/** An instant by which an operation must have settled, as `performance.now()` counts. */
export type Until = number

/** The time that one operation has left. */
export interface Countdown {
  /** When the operation is late. */
  readonly until: Until
  giveUp: () => void
}

/**
 * A length of time that each of many operations is given. All of them wait on one timer: since all are given the same
 * time, the one that began first is late first, and a timer for each would cost more than the rest of the operation.
 * Keeps the process alive while an operation is under way, and no longer.
 */
export class Deadline {
  readonly length: Milliseconds
  /** In the order in which they will be late. */
  readonly #underWay = new Set<Countdown>()
  #timer: NodeJS.Timeout | undefined
  // A timer belongs to the request in which it is set, and would keep that request in memory.
  readonly #place = new Place('Deadline')

  constructor(length: Milliseconds) {
    this.length = length
  }

  /** The answer; or, if it has not come in time, the error that `late` makes then. */
  within<Answer>(answer: Promise<Answer>, late: () => Error): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const countdown = this.begin(() => reject(late()))
      answer.then(
        (value) => {
          if (this.end(countdown)) resolve(value)
        },
        (error: unknown) => {
          if (this.end(countdown)) reject(error)
        },
      )
    })
  }

  /** Calls `giveUp` when the time is over, unless `end` comes first. */
  begin(giveUp: () => void): Countdown {
    const countdown: Countdown = { until: performance.now() + this.length, giveUp }
    this.#underWay.add(countdown)
    if (!this.#timer) this.#wait(this.length)
    else if (this.#underWay.size === 1) this.#timer.ref()
    return countdown
  }

  /** `false`: too late, the operation was given up. */
  end(countdown: Countdown): boolean {
    const isInTime = this.#underWay.delete(countdown)
    // A set that has grown old keeps its former members until a full collection. They must not hold a whole request.
    countdown.giveUp = nothing
    // The timer stays set, because the next operation will need it again.
    if (isInTime && this.#underWay.size === 0) this.#timer?.unref()
    return isInTime
  }

  #wait(length: Milliseconds): void {
    this.#timer = this.#place.runInAsyncScope(() => whenLate(() => this.#look(), length))
  }

  #look(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const countdown of this.#underWay) {
      // A timer may be early, and this one may have been set for an operation that has settled since.
      if (countdown.until > now) return this.#wait(Math.ceil(countdown.until - now))
      this.#underWay.delete(countdown)
      countdown.giveUp()
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
