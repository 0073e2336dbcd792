import type { Found } from '../../store.ts'
import type { Awaitable, Instant, Key } from '../../units.ts'
import type { Statements } from './statements.ts'

/** A value for a place in a statement. */
export type Value = string | number | Uint8Array

/** A row, by the names of its columns. */
export type Row = Readonly<Record<string, Value | bigint | boolean | null>>

/** What the core needs of a database. Everything in which the three differ is behind it, or in their statements. */
export interface Database {
  readonly statements: Statements
  /** Runs a statement that only reads. */
  rows(text: string, values: readonly Value[]): Awaitable<readonly Row[]>
  /**
   * Runs one statement that writes, by itself: when the answer is there, it is committed. Answers with how many rows were
   * written or matched; an insert whose key is there already has written none.
   */
  changes(text: string, values: readonly Value[]): Awaitable<number>
  /** The text of a record as its column takes it. */
  data(text: string): Value
  /** Reads a record that lives at `now`. Default: by the statement `load`. */
  find?(key: Key, known: Found | undefined, now: Instant): Awaitable<Found | undefined>
  /**
   * What is known of the tables: a row with the columns of `Seen`; none if they are not there. Fails if tables of their
   * names are there that are none of ours.
   */
  look(): Awaitable<readonly Row[]>
  /** Makes the tables, unless another process has made them meanwhile. */
  make(): Awaitable<void>
}
