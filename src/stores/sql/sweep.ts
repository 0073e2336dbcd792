import { takeTurns } from '../../deadline.ts'
import type { Instant, Key, Milliseconds } from '../../units.ts'
import type { Database, Row, Value } from './database.ts'
import { KEYS_AT_ONCE, NOTES_AT_ONCE, PAGE } from './statements.ts'

/** Keys are looked at by their first two digits, so that no statement takes long. */
const RANGES = 256

/** The record of a note that is younger may be on its way. */
const GRACE: Milliseconds = 60 * 60_000

/** All keys that a statement lists page by page. The last key of a page stands between the values. */
export async function* keysBy(
  db: Database,
  text: string,
  before: readonly Value[],
  after: () => readonly Value[] = () => [],
): AsyncGenerator<Key> {
  for (let last = ''; ;) {
    const rows = await db.rows(text, [...before, last, ...after()])
    for (const { id } of rows) yield String(id)
    if (rows.length < PAGE) return
    last = String(rows.at(-1)?.['id'])
  }
}

/** Removes what has expired, and notes that are over; resolves to the number of records. */
export async function prune(db: Database, signal: AbortSignal): Promise<number> {
  const pauseWhenDue = takeTurns()
  let removed = 0
  for (let range = 0; range < RANGES && !signal.aborted; range++) {
    const [from, to] = [startOf(range), startOf(range + 1)]
    const now = Date.now()
    const expired = await db.rows(db.statements.expired, [from, to, now])
    for (const ids of inGroups(expired.map(idIn), KEYS_AT_ONCE)) {
      removed += await db.changes(db.statements.remove, [...filledUp(ids, KEYS_AT_ONCE), now])
      await pauseWhenDue()
    }
    await pruneNotes(db, [from, to], now, pauseWhenDue)
    await pauseWhenDue()
  }
  return removed
}

/** A note is over if nothing lies under its key, and nobody has noted it again since before that was looked for. */
async function pruneNotes(
  db: Database,
  range: readonly [string, string],
  now: Instant,
  pauseWhenDue: () => Promise<void>,
): Promise<void> {
  const doubtful = await db.rows(db.statements.doubtful, [...range, now, now - GRACE])
  for (const notes of inGroups(doubtful, KEYS_AT_ONCE)) {
    const there = await db.rows(db.statements.among, filledUp(notes.map(idIn), KEYS_AT_ONCE))
    const present = new Set(there.map(idIn))
    const over = notes.filter((note) => !present.has(idIn(note)))
    for (const some of inGroups(over, NOTES_AT_ONCE)) {
      const places = filledUp(some, NOTES_AT_ONCE)
      const values = places.flatMap((note) => [String(note['subject']), idIn(note), Number(note['noted_at'])])
      await db.changes(db.statements.removeNotes, values)
      await pauseWhenDue()
    }
  }
}

/** The first key of a range. The one behind the last range is above all keys. */
function startOf(range: number): string {
  return range < RANGES ? range.toString(16).padStart(2, '0') : 'g'
}

function idIn({ id }: Row): Key {
  return String(id)
}

function inGroups<Item>(items: readonly Item[], length: number): Item[][] {
  const groups: Item[][] = []
  for (let from = 0; from < items.length; from += length) groups.push(items.slice(from, from + length))
  return groups
}

/** With its last one repeated, so that one text of a statement serves lists of every length. */
function filledUp<Item>(items: readonly Item[], length: number): Item[] {
  return Array.from({ length }, (_, place) => items[Math.min(place, items.length - 1)] as Item)
}
