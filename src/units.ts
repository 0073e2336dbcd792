/** A length of time. */
export type Milliseconds = number

/** A point in time, as Unix milliseconds. */
export type Instant = number

/** One moment in this process, by both of its clocks. */
export interface Moment {
  /** As `performance.now()` counts: nobody sets it, and it stands still while the machine is suspended. */
  readonly monotonic: Milliseconds
  /** As `Date.now()` counts: it goes on while the machine is suspended, and may be set forward and back. */
  readonly wall: Instant
}

export function thisMoment(): Moment {
  return { monotonic: performance.now(), wall: Date.now() }
}

/**
 * How long ago this was, by the clock that says longer. For what must not count any more after a length of time: a clock
 * that was set may end it early, and no clock ends it late. `wall`: what the wall clock shows, if that was read already.
 */
export function timeSince(moment: Moment, wall: Instant = Date.now()): Milliseconds {
  return Math.max(performance.now() - moment.monotonic, wall - moment.wall)
}

/** The name of a record in a store: 64 hexadecimal digits, the SHA-256 of a session's token. Safe as a file name. */
export type Key = string

const KEY = /^[0-9a-f]{64}$/

/** A number that only grows, for each key by itself. */
export type Version = number

/** The name of a subject in an index: 64 hexadecimal digits, a hash of what `identify` was given. Safe as a file name. */
export type SubjectName = string

/** A value, or the promise of one. */
export type Awaitable<T> = T | Promise<T>

/**
 * Asks, and goes on with the answer or with the failure. An answer that is there at once is dealt with at once, so that
 * no promise is made for it. What `question` throws and what its promise rejects with are the same to `failed`; without
 * `failed`, either is passed on.
 */
export function settle<Answer, Result>(
  question: () => Awaitable<Answer>,
  answered: (answer: Answer) => Awaitable<Result>,
  failed?: (error: unknown) => Awaitable<Result>,
): Awaitable<Result> {
  let answer: Awaitable<Answer>
  try {
    answer = question()
  } catch (error) {
    if (failed) return failed(error)
    throw error
  }
  return isPromise(answer) ? answer.then(answered, failed) : answered(answer)
}

/** Whether the text has more bytes than these in UTF-8. */
export function isLonger(text: string, bytes: number): boolean {
  // A character takes one to three bytes, so most texts need no counting.
  return text.length * 3 > bytes && (text.length > bytes || Buffer.byteLength(text) > bytes)
}

/** Whether this has the form of a key. */
export function isKey(key: unknown): key is Key {
  return typeof key === 'string' && KEY.test(key)
}

/** Whether an answer is still to come. */
export function isPromise<T>(answer: Awaitable<T>): answer is Promise<T> {
  return typeof (answer as { then?: unknown } | null | undefined)?.then === 'function'
}
