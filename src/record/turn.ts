import type { Key } from '../units.ts'
import type { SessionRecord } from './record.ts'

/**
 * Where a sign-in stands among all sign-ins of its user: a number that grows from one sign-in to the next, and what tells
 * apart those that had the same one. It stays the session's own under every id that the session gets.
 */
export type Turn = string

const FORM = /^\d{1,16}-[0-9a-f]{16}$/
/** As many digits of a key as no two sessions of a user share. */
const DIGITS = 16

/** Whether this has the form of a turn. */
export function isTurn(value: unknown): value is Turn {
  return typeof value === 'string' && FORM.test(value)
}

/**
 * A turn after all of these, for the session under this key. It is the present time if that is later. So one node whose
 * clock is wrong, and even each node, disturbs no order of sign-ins that followed each other.
 */
export function turnAfter(turns: Iterable<Turn>, key: Key): Turn {
  let number = Date.now()
  for (const turn of turns) number = Math.max(number, numberIn(turn) + 1)
  return turnWith(number, key)
}

/** The turn of the session. One that was identified without a limit has none in its record, and takes that of its beginning. */
export function turnOf({ turn, createdAt }: SessionRecord, key: Key): Turn {
  return turn ?? turnWith(Math.floor(createdAt), key)
}

/** Which of the two came first, as `sort` asks for it. */
export function compareTurns(one: Turn, other: Turn): number {
  const difference = numberIn(one) - numberIn(other)
  if (difference !== 0) return difference
  return one < other ? -1 : Number(one > other)
}

function turnWith(number: number, key: Key): Turn {
  return `${number}-${key.slice(0, DIGITS)}`
}

function numberIn(turn: Turn): number {
  return Number.parseInt(turn, 10)
}
