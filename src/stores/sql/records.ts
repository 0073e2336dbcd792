import { SessionError } from '../../errors.ts'
import type { Deleted, Found, Saved } from '../../store.ts'
import { settle, type Awaitable, type Instant, type Key } from '../../units.ts'
import { keptInstant } from '../envelope.ts'
import type { Database } from './database.ts'
import { endOf, recordIn, toColumn } from './text.ts'
import { freshVersion } from './version.ts'

/** After so many lost races for one key, something is wrong. */
const TRIES = 100

/**
 * The four methods of the contract, on tables that are there.
 *
 * Every answer is the outcome of one statement by itself, in autocommit. What stands in the way of a write is read by a
 * second statement: within the first one it would be read as of before the winner's commit.
 */
export class Records {
  readonly #db: Database

  constructor(database: Database) {
    this.#db = database
  }

  load(key: Key, known: Found | undefined, now: Instant = Date.now()): Awaitable<Found | undefined> {
    const db = this.#db
    if (db.find) return db.find(key, known, now)
    return settle(
      () => db.rows(db.statements.load, [key, now]),
      ([row]) => row && recordIn(row),
    )
  }

  update(key: Key, text: string, expiresAt: Instant, expected: Found): Awaitable<Saved> {
    const db = this.#db
    const now = Date.now()
    const saved = { text, version: freshVersion(expected.version), expiresAt: keptInstant(expiresAt) }
    return settle(
      () => db.changes(db.statements.update, [...this.#written(saved), key, expected.version, now]),
      (changes): Awaitable<Saved> =>
        changes > 0
          ? { saved }
          : settle(
              () => this.load(key, undefined, now),
              (conflict): Saved => (conflict ? { conflict } : { gone: true }),
            ),
    )
  }

  create(key: Key, text: string, expiresAt: Instant, tries: number = TRIES): Awaitable<Saved> {
    const db = this.#db
    const saved = { text, version: freshVersion(), expiresAt: keptInstant(expiresAt) }
    return settle(
      () => db.changes(db.statements.insert, [key, ...this.#written(saved)]),
      (changes): Awaitable<Saved> => (changes > 0 ? { saved } : this.#createOver(key, saved, tries)),
    )
  }

  /** There is a row already. */
  #createOver(key: Key, { text, expiresAt }: Found, tries: number): Awaitable<Saved> {
    const db = this.#db
    const now = Date.now()
    const again = (): Awaitable<Saved> => {
      if (tries > 0) return this.create(key, text, expiresAt, tries - 1)
      throw new SessionError('ERR_SESSION_BUSY', 'Too many writers of one session; nothing was stored.')
    }
    return settle(
      () => db.rows(db.statements.any, [key]),
      ([row]): Awaitable<Saved> => {
        if (!row) return again()
        if (endOf(row) > now) return { conflict: recordIn(row) }
        // By its version, so that of several creators one wins.
        const expired = Number(row['version'])
        const saved = { text, version: freshVersion(expired), expiresAt }
        return settle(
          () => db.changes(db.statements.replace, [...this.#written(saved), key, expired, now]),
          (changes): Awaitable<Saved> => (changes > 0 ? { saved } : again()),
        )
      },
    )
  }

  touch(key: Key, expiresAt: Instant): Awaitable<boolean> {
    const db = this.#db
    const now = Date.now()
    return settle(
      () => db.changes(db.statements.touch, [keptInstant(expiresAt), key, now]),
      (changes): Awaitable<boolean> =>
        // A driver may count only the rows that changed, and an end that is later already stays.
        changes > 0 ||
        settle(
          () => db.rows(db.statements.lives, [key, now]),
          (rows) => rows.length > 0,
        ),
    )
  }

  delete(key: Key, expected: Found | undefined): Awaitable<Deleted> {
    const db = this.#db
    const now = Date.now()
    if (!expected) {
      return settle(
        () => db.changes(db.statements.delete, [key, now]),
        (changes) => changes > 0,
      )
    }
    return settle(
      () => db.changes(db.statements.deleteVersion, [key, expected.version, now]),
      (changes): Awaitable<Deleted> =>
        changes > 0 ||
        settle(
          () => this.load(key, undefined, now),
          (found) => found ?? false,
        ),
    )
  }

  #written({ text, version, expiresAt }: Found): [version: number, end: Instant, data: string | Uint8Array] {
    return [version, expiresAt, this.#db.data(toColumn(text)) as string | Uint8Array]
  }
}
