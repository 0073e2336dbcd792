import type { Checks } from '../checks.ts'
import type { Milliseconds } from '../units.ts'

/** How long an operation of a store over a network may take, if its options say nothing else. */
export const DEFAULT_DEADLINE: Milliseconds = 2000
/** Node's timers take no longer time. */
export const LONGEST: Milliseconds = 2 ** 31 - 1

/** The deadline that was asked for, or the usual one. */
export function checkedDeadline(checks: Checks, deadline: unknown = DEFAULT_DEADLINE): Milliseconds {
  if (typeof deadline === 'number' && deadline >= 1 && deadline <= LONGEST) return deadline
  throw checks.wrong('deadline', `must be a number of milliseconds, from 1 to ${LONGEST}`, deadline)
}

/** A number in the query of a store's URL; NaN if it is something else, so that the check of the option refuses it. */
export function numberIn(query: ReadonlyMap<string, string> | undefined, name: string): number | undefined {
  const text = query?.get(name)
  return text === undefined ? undefined : text === '' ? NaN : Number(text)
}
