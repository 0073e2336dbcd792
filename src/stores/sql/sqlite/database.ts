import { setTimeout as after } from 'node:timers/promises'
import type { Found } from '../../../store.ts'
import type { Awaitable, Instant, Key, Milliseconds } from '../../../units.ts'
import type { Database, Row } from '../database.ts'
import { failed } from '../faults.ts'
import { probesOf, schemaOf } from '../schema.ts'
import { statementsFor, tableNames, type Statements } from '../statements.ts'
import { failureOf, isBusy } from './faults.ts'
import { NO_FILE } from './file.ts'
import { Prepared, type SqliteHandle } from './handle.ts'

/** How long to wait between two tries for a lock. */
const LONGEST_PAUSE: Milliseconds = 16
/** How often to look whether the file is still the one that was opened. */
const LOOK_AGAIN: Milliseconds = 1000

/** Where the handle comes from. */
export interface Source {
  open(): SqliteHandle
  /** What changes when another file takes the place of this one; absent if there is no file to look at. */
  identity?: () => string
  /** Whether to close the handle at the end. */
  readonly isOurs: boolean
}

/** SQLite, which answers at once unless another process has the lock. */
export class SqliteDatabase implements Database {
  readonly statements: Statements
  readonly #table: string
  readonly #source: Source
  readonly #deadline: Milliseconds
  readonly #current: string
  #open: Prepared | undefined
  #identity: string | undefined
  #looked = -Infinity
  #isLost = false
  #isClosed = false

  constructor(source: Source, table: string, deadline: Milliseconds) {
    this.#source = source
    this.#table = table
    this.#deadline = deadline
    this.statements = statementsFor('sqlite', table)
    this.#current = `select version from ${tableNames('sqlite', table).records} where id = ? and ends_at > ?`
  }

  rows(text: string, values: readonly unknown[]): Awaitable<readonly Row[]> {
    return this.#patiently(() => this.#prepared().rows(text, values))
  }

  changes(text: string, values: readonly unknown[]): Awaitable<number> {
    return this.#patiently(() => this.#prepared().changes(text, values))
  }

  data(text: string): string {
    return text
  }

  /** Throws if the database cannot tell. */
  isCurrent(key: Key, { version }: Found, now: Instant = Date.now()): boolean {
    const [row] = this.#prepared().rows(this.#current, [key, now])
    return row !== undefined && Number(row['version']) === version
  }

  look(): Awaitable<readonly Row[]> {
    return this.#patiently(() => this.#lookNow())
  }

  make(): Awaitable<void> {
    return this.#patiently(() => {
      const { handle } = this.#prepared()
      handle.exec('begin immediate')
      try {
        const texts = [...schemaOf('sqlite', this.#table)]
        const version = texts.pop() as string
        for (const text of [...texts, ...probesOf('sqlite', this.#table), version]) handle.exec(text)
        handle.exec('commit')
      } catch (error) {
        handle.exec('rollback')
        throw error
      }
    })
  }

  close(): void {
    this.#isClosed = true
    this.#letGo()
  }

  #letGo(): void {
    if (this.#source.isOurs) this.#open?.handle.close()
    this.#open = undefined
  }

  #lookNow(): readonly Row[] {
    // Looking makes no file.
    if (!this.#open && this.#source.identity?.() === NO_FILE) return []
    const prepared = this.#prepared()
    const { schema } = tableNames('sqlite', this.#table)
    const isThere = (name: string): boolean =>
      prepared.rows('select 1 from sqlite_master where name = ? collate nocase', [this.#table + name]).length > 0
    if (isThere('_schema')) return prepared.rows(`select version from ${schema}`, [])
    const [ofRecords, ofNotes] = probesOf('sqlite', this.#table)
    if (isThere('')) prepared.rows(ofRecords, [])
    if (isThere('_subjects')) prepared.rows(ofNotes, [])
    return []
  }

  /** The handle, if the file is still the one that it was opened on. */
  #prepared(): Prepared {
    // It would be opened once more, and closed by nobody.
    if (this.#isClosed) throw failed('the store is closed')
    if (this.#isLost || this.#wasReplaced()) {
      // The old handle would go on, and would share the new file's log by its name: both would be damaged.
      if (!this.#isLost) this.#letGo()
      this.#isLost = true
      throw failed('the file of the database was removed, or replaced by another one; restart the application')
    }
    if (!this.#open) {
      this.#open = new Prepared(this.#source.open())
      this.#identity = this.#source.identity?.()
      this.#looked = performance.now()
    }
    return this.#open
  }

  #wasReplaced(): boolean {
    const { identity } = this.#source
    if (!this.#open || !identity || performance.now() - this.#looked < LOOK_AGAIN) return false
    this.#looked = performance.now()
    return identity() !== this.#identity
  }

  /**
   * Tries at once. If another connection has the lock, tries again from a timer until the deadline: SQLite's own waiting
   * would hold up the whole process.
   */
  #patiently<Answer>(step: () => Answer): Awaitable<Answer> {
    try {
      return step()
    } catch (error) {
      if (!isBusy(error)) throw failureOf(error)
      return this.#waiting(step)
    }
  }

  async #waiting<Answer>(step: () => Answer): Promise<Answer> {
    const until = performance.now() + this.#deadline
    for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      await after(Math.random() * pause)
      try {
        return step()
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) throw failureOf(error)
      }
    }
  }
}
