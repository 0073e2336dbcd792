import type { Milliseconds } from '../units.ts'

/** The longest timeout: a hundred years. Beyond it, the calendars of cookies and stores end. */
export const MAX_TIMEOUT: Milliseconds = 100 * 365 * 24 * 60 * 60 * 1000

/** Browsers keep no cookie for longer: 400 days (RFC 6265bis, section 5.5). */
export const LONGEST_COOKIE: Milliseconds = 400 * 24 * 60 * 60 * 1000

/** A shorter timeout was hardly meant: no visitor clicks that fast, and 1800 or 3600 are usual numbers of seconds. */
const SHORT: Milliseconds = 10_000

/** What a timeout must be. */
export const TIMEOUT_RULE: string = `must be a number of milliseconds above 0, and at most ${MAX_TIMEOUT} (a hundred years)`

/** Whether a session can have this timeout. */
export function isTimeout(value: unknown): value is Milliseconds {
  return typeof value === 'number' && value > 0 && value <= MAX_TIMEOUT
}

/** The two timeouts of a session. */
export interface Timeouts {
  readonly idleTimeout: Milliseconds
  readonly absoluteTimeout: Milliseconds
}

/** Whether the length was hardly meant, and is probably a number of seconds or minutes. */
export function isShort(length: Milliseconds): boolean {
  return length < SHORT
}

/** A warning about what is allowed and was hardly meant. */
export interface Doubt {
  readonly code: 'SESSION_TIMEOUT_SHORT' | 'SESSION_TIMEOUTS_CONTRADICT'
  readonly message: string
}

/**
 * What is doubtful about these timeouts, if anything: a length that was meant in seconds, or one that has no effect.
 * `others`: what holds for a timeout that is not given; `origin`: what is said of it, such as "the default".
 */
export function doubtAbout(given: Partial<Timeouts>, others: Timeouts, origin: string): Doubt | undefined {
  const { idleTimeout, absoluteTimeout } = { ...others, ...given }
  for (const [name, length] of Object.entries(given)) {
    if (!isShort(length)) continue
    return {
      code: 'SESSION_TIMEOUT_SHORT',
      message:
        `${name} is ${length} milliseconds. Were seconds, minutes or days meant? ` +
        'Half an hour is 30 * 60 * 1000, and thirty days are 30 * 24 * 60 * 60 * 1000.',
    }
  }
  if (idleTimeout <= absoluteTimeout) return undefined
  const tell = (name: keyof Timeouts, length: Milliseconds): string =>
    `${name} (${inWords(length)}${given[name] === undefined ? `, ${origin}` : ''})`
  return {
    code: 'SESSION_TIMEOUTS_CONTRADICT',
    message:
      `${tell('idleTimeout', idleTimeout)} is longer than ${tell('absoluteTimeout', absoluteTimeout)}, so a session ends ` +
      `after ${inWords(absoluteTimeout)}, however often it is used. Set both: absoluteTimeout to the longest life of a ` +
      'session, and idleTimeout to the longest pause.',
  }
}

const UNITS: readonly (readonly [Milliseconds, string])[] = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
]

/** The length for people, in the largest unit that fits. */
export function inWords(length: Milliseconds): string {
  const [unit, name] = UNITS.find(([least]) => length >= least) ?? [1, 'millisecond']
  const count = Math.round((length / unit) * 10) / 10
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
