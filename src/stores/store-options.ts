import type { Checks } from '../checks.ts'
import { DEFAULT_DEADLINE, LONGEST_TIMER, isDeadline } from '../deadline.ts'
import type { Milliseconds } from '../units.ts'

/** The deadline that was asked for, or the usual one. */
export function checkedDeadline(checks: Checks, deadline: unknown = DEFAULT_DEADLINE): Milliseconds {
  if (isDeadline(deadline)) return deadline
  throw checks.wrong('deadline', `must be a number of milliseconds, from 1 to ${LONGEST_TIMER}`, deadline)
}

/** A number in the query of a store's URL; NaN if it is something else, so that the check of the option refuses it. */
export function numberIn(query: ReadonlyMap<string, string> | undefined, name: string): number | undefined {
  const text = query?.get(name)
  return text === undefined ? undefined : text === '' ? NaN : Number(text)
}
