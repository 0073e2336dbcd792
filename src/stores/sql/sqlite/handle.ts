import type { Row } from '../database.ts'

/** What a DatabaseSync of node:sqlite and a Database of better-sqlite3 have in common. */
export interface SqliteHandle {
  exec(text: string): unknown
  prepare(text: string): SqliteStatement
  close(): unknown
}

interface SqliteStatement {
  all(...values: unknown[]): unknown[]
  run(...values: unknown[]): { readonly changes: number | bigint }
}

/** A handle whose statements are prepared once each. */
export class Prepared {
  readonly handle: SqliteHandle
  readonly #statements = new Map<string, SqliteStatement>()

  constructor(handle: SqliteHandle) {
    this.handle = handle
  }

  rows(text: string, values: readonly unknown[]): readonly Row[] {
    return this.#prepared(text).all(...values) as Row[]
  }

  changes(text: string, values: readonly unknown[]): number {
    return Number(this.#prepared(text).run(...values).changes)
  }

  #prepared(text: string): SqliteStatement {
    let statement = this.#statements.get(text)
    if (!statement) {
      statement = this.handle.prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }
}
