import { resolve } from 'node:path'
import { Checks } from '../checks.ts'
import type { Store } from '../store.ts'
import type { Milliseconds } from '../units.ts'
import { checkedSqlOptions } from './sql/options.ts'
import { schemaOf } from './sql/schema.ts'
import { SqliteDatabase, type Source } from './sql/sqlite/database.ts'
import { identityOf, openFile, sqliteDriver } from './sql/sqlite/file.ts'
import type { SqliteHandle } from './sql/sqlite/handle.ts'
import { sqlStore } from './sql/store.ts'

/** A `DatabaseSync` of node:sqlite, or a `Database` of better-sqlite3. */
export interface SqliteConnection {
  /** Runs statements that answer nothing. */
  exec(text: string): unknown
  /** Compiles one statement. */
  prepare(text: string): unknown
  /** Closes the file. The store never closes a connection of yours. */
  close(): unknown
}

/** How `sqliteStore` behaves. */
export interface SqliteStoreOptions {
  /** The name of the table. Default `sessions`. */
  readonly table?: string
  /**
   * Whether a saved record survives a loss of power too. Without it, a record survives the end of any process. With it,
   * each write waits for the disk, and so does the process. Only with a path. Default `false`.
   */
  readonly durable?: boolean
  /** How long an operation waits for a lock that another process has, in milliseconds. Default 2000. */
  readonly deadline?: Milliseconds
  /** How often expired sessions are removed, in milliseconds; 0 for never. Default 900 000 (15 minutes). */
  readonly pruneInterval?: Milliseconds
  /** Is told of a pruning that failed. Default: a warning of the process, `SESSION_PRUNE_FAILED`. */
  readonly onError?: (error: unknown) => void
}

const checks = new Checks('store sqlite')

/**
 * Sessions in a file of SQLite, for the processes of one machine: through node:sqlite on Node 22.13 and newer, otherwise
 * through better-sqlite3 (`npm i better-sqlite3`).
 *
 * The address is the path of the file, relative to the working directory at construction, or a connection of the
 * application's. A connection that was given keeps its settings, and is never closed; it must not be inside of a
 * transaction while the store works, and its own `busy_timeout` holds up the process. The file and its tables are made
 * with the first session.
 *
 * A wrong path or option, and the absence of both drivers, throw `ERR_SESSION_OPTION` here. Operations reject with
 * `ERR_SESSION_STORE_UNAVAILABLE`, whose message says what SQLite refused and how to cure it, also if another file takes
 * the place of this one, or if it lies on a network file system. The cache in the process asks the file before each hit.
 */
export function sqliteStore(pathOrConnection: string | SqliteConnection, options: SqliteStoreOptions = {}): Store {
  checks.object('its second argument', options)
  checks.names(options, ['table', 'durable', 'deadline', 'pruneInterval', 'onError'])
  const settings = checkedSqlOptions(checks, 'sqliteStore', options, undefined, false)
  const source =
    typeof pathOrConnection === 'string' ? ownFile(pathOrConnection, options) : given(pathOrConnection, options)
  const database = new SqliteDatabase(source, settings.table, settings.deadline)
  return {
    ...sqlStore({
      ...settings,
      database,
      schema: schemaOf('sqlite', settings.table),
      close: () => database.close(),
    }),
    isCurrent: (key, found, now) => database.isCurrent(key, found, now),
  }
}

function ownFile(path: string, { durable = false }: SqliteStoreOptions): Source {
  if (path === '' || path.includes('\0')) throw checks.wrong('its first argument', 'must be the path of a file')
  if (path.startsWith(':') || path.startsWith('file:'))
    throw checks.refusal('give it the path of a file; for sessions in memory there is memoryStore()')
  checks.oneOf('durable', durable, [true, false])
  const file = resolve(path)
  const open = sqliteDriver(checks)
  return { open: () => openFile(open, file, durable), identity: () => identityOf(file), isOurs: true }
}

function given(connection: unknown, { durable }: SqliteStoreOptions): Source {
  const { exec, prepare, close } = (connection ?? {}) as Record<string, unknown>
  if (typeof exec !== 'function' || typeof prepare !== 'function' || typeof close !== 'function')
    throw checks.refusal('give it the path of a file, or a connection of node:sqlite or better-sqlite3')
  if (durable !== undefined)
    throw checks.refusal('durable is for a path; a connection that is given has its own settings')
  return { open: () => connection as SqliteHandle, isOurs: false }
}
