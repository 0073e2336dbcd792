import { Place } from '../deadline.ts'
import type { Instant, Milliseconds } from '../units.ts'

/** One request whose session must live for as long as the request does. */
export interface LongRequest {
  /** When its session is to be extended next. */
  readonly dueAt: Instant
  /** Extends the session if that is due, and leaves the list if nothing is left to be done for it. */
  lookAfter(now: Instant): void
  /** Its neighbours in the list, which are the list's to set. */
  before: LongRequest | undefined
  after: LongRequest | undefined
}

/** Every request is looked after this often, so that one whose end was never told does not stay for long. */
const LONGEST_PAUSE: Milliseconds = 60_000

/**
 * The requests under way that have a session. Most of them end before anything is due, so a request must cost next to
 * nothing here: the list is made of the requests themselves, and one timer serves all of them.
 */
export class RequestsUnderWay {
  #first: LongRequest | undefined
  #timer: NodeJS.Timeout | undefined
  #wakesAt: Instant = 0
  // A timer belongs to the request in which it is set, and would keep that request in memory.
  readonly #place = new Place('RequestsUnderWay')

  /** Harmless if the request is there already. */
  add(request: LongRequest): void {
    if (this.#has(request)) return
    const first = this.#first
    request.after = first
    if (first) first.before = request
    this.#first = request
    this.#wakeAt(request.dueAt)
  }

  /** Harmless if the request is not there. */
  remove(request: LongRequest): void {
    if (!this.#has(request)) return
    const { before, after } = request
    if (before) before.after = after
    else this.#first = after
    if (after) after.before = before
    // What has left must lead nowhere: one request that is still referred to would keep all that came after it.
    request.before = undefined
    request.after = undefined
  }

  #has(request: LongRequest): boolean {
    return request.before !== undefined || request === this.#first
  }

  #wakeAt(due: Instant): void {
    if (this.#timer && due >= this.#wakesAt) return
    const now = Date.now()
    const pause = Math.min(Math.max(due - now, 1), LONGEST_PAUSE)
    clearTimeout(this.#timer)
    this.#wakesAt = now + pause
    this.#timer = this.#place.runInAsyncScope(() => setTimeout(() => this.#look(), pause).unref())
  }

  #look(): void {
    this.#timer = undefined
    const now = Date.now()
    let next = now + LONGEST_PAUSE
    for (let request = this.#first; request;) {
      const { after } = request
      request.lookAfter(now)
      next = Math.min(next, request.dueAt)
      request = after
    }
    if (this.#first) this.#wakeAt(next)
  }
}
