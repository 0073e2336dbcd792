import type { Store } from '../../store.ts'
import { settle, type Awaitable, type Milliseconds } from '../../units.ts'
import { pruneRegularly } from '../prune-timer.ts'
import type { Database } from './database.ts'
import { Records } from './records.ts'
import { keptInstant } from '../envelope.ts'
import { keysBy, prune } from './sweep.ts'
import { Tables } from './tables.ts'

/** A store whose records lie in tables, which can be made before they are needed. */
export interface SqlStore extends Store {
  /** Makes the tables unless they are there; whether it did. */
  migrate(): Awaitable<boolean>
  /** The statements that make the tables, for a person to run. */
  readonly schema: readonly string[]
}

/** Whether the store keeps its records in tables. */
export function isSqlStore(store: Store): store is SqlStore {
  return 'migrate' in store && 'schema' in store
}

export interface SqlStoreParts {
  readonly database: Database
  /** The table's name, for messages. */
  readonly table: string
  readonly schema: readonly string[]
  readonly deadline: Milliseconds
  readonly pruneInterval: Milliseconds
  readonly onError: (error: unknown) => void
  /** Lets go of the database. */
  close(): Awaitable<void>
}

/** The contract over any of the databases. */
export function sqlStore(parts: SqlStoreParts): SqlStore {
  const { database: db, table, schema, deadline, pruneInterval, onError } = parts
  const { statements } = db
  const tables = new Tables(db, table)
  const records = new Records(db)
  const closing = new AbortController()
  /** Until what is being pruned has come to an end. */
  let pruning: Promise<unknown> = Promise.resolve()
  const pruned = async (): Promise<number> => {
    const removed = Promise.resolve(tables.read(() => prune(db, closing.signal), 0))
    const before = pruning
    pruning = removed.then(
      () => before,
      () => before,
    )
    return removed
  }
  const stopPruning = pruneRegularly(pruneInterval, pruned, onError)

  let closed: Promise<void> | undefined
  async function close(): Promise<void> {
    stopPruning()
    closing.abort()
    await pruning
    await parts.close()
  }

  async function* onTables<Item>(list: () => AsyncGenerator<Item>): AsyncGenerator<Item> {
    if (await tables.read(() => true, false)) yield* list()
  }

  return {
    deadline,
    load: (key, known) => tables.read(() => records.load(key, known), undefined),
    save: (key, text, expiresAt, expected) =>
      expected
        ? tables.read(() => records.update(key, text, expiresAt, expected), { gone: true })
        : tables.write(() => records.create(key, text, expiresAt)),
    touch: (key, expiresAt) => tables.read(() => records.touch(key, expiresAt), false),
    delete: (key, expected) => tables.read(() => records.delete(key, expected), false),
    keys: () => onTables(() => keysBy(db, statements.page, [], () => [Date.now()])),
    prune: pruned,
    subjects: {
      add: (subject, key, until) =>
        tables.write(() => done(db.changes(statements.note, [subject, key, keptInstant(until), Date.now()]))),
      remove: (subject, key) => tables.read(() => done(db.changes(statements.unnote, [subject, key])), undefined),
      keys: (subject) => onTables(() => keysBy(db, statements.noted, [subject])),
    },
    async ping() {
      await db.look()
    },
    migrate: () => tables.make(),
    schema,
    close: () => (closed ??= close()),
  }
}

function done(answer: Awaitable<number>): Awaitable<void> {
  return settle(
    () => answer,
    () => {},
  )
}
