import { Checks } from '../checks.ts'
import type { Store } from '../store.ts'
import type { Milliseconds } from '../units.ts'
import { loadPackage } from './sql/driver.ts'
import { mysqlDatabase } from './sql/mysql/database.ts'
import { makePool, mysqlPool, type MysqlDriver, type MysqlPool as Pool } from './sql/mysql/pool.ts'
import { checkedPoolSize, checkedSqlOptions, parseServerUrl } from './sql/options.ts'
import { schemaOf } from './sql/schema.ts'
import { Server } from './sql/server.ts'
import { sqlStore } from './sql/store.ts'
import { numberIn } from './store-options.ts'

/** A pool of the package mysql2, with promises or without. */
export interface MysqlPool {
  /** Lends a connection. */
  getConnection(...args: never[]): unknown
  /** Runs one statement. The store lends a connection instead. */
  execute(...args: never[]): unknown
  /** Ends the pool. The store never ends a pool of yours. */
  end(...args: never[]): unknown
}

/** How `mysqlStore` behaves. The same options, but for `onError`, may stand in the URL. */
export interface MysqlStoreOptions {
  /** The name of the table, with or without a database: `sessions`, `app.sessions`. Default `sessions`. */
  readonly table?: string
  /** How many connections the store opens at most. Only with a URL. Default 10. */
  readonly poolSize?: number
  /** Time limit for every operation, in milliseconds, whatever the server does. Default 2000. */
  readonly deadline?: Milliseconds
  /** How often expired sessions are removed, in milliseconds; 0 for never. Default 900 000 (15 minutes). */
  readonly pruneInterval?: Milliseconds
  /** Is told of a pruning that failed. Default: a warning of the process, `SESSION_PRUNE_FAILED`. */
  readonly onError?: (error: unknown) => void
}

const checks = new Checks('store mysql')
const IN_URL = ['table', 'poolSize', 'deadline', 'pruneInterval']
const FORM = 'mysql://user:password@host:3306/database?table=sessions'

/**
 * Sessions in MariaDB (tested with 10.11) or MySQL 8, through mysql2 3 (`npm i mysql2`).
 *
 * The address is a URL (`mysql://` or `mariadb://`), whose own parameters of mysql2 are kept, or a pool of the
 * application's. A pool that was given is used as it is, and never ended. The tables are made with the first session, if
 * the user may; otherwise `koa-server-session migrate` makes them. docs/stores.md has the rights that are needed.
 *
 * A wrong address or option, and a missing mysql2, throw `ERR_SESSION_OPTION` here. Nothing connects before the first
 * use. Operations reject with `ERR_SESSION_STORE_UNAVAILABLE`, whose message says what the server refused and how to cure
 * it, and with `ERR_SESSION_UNREADABLE` if the row holds something else than a session. The cache in the process asks the
 * server before each hit. All loads of one turn of the event loop share one statement, and texts that have not changed are
 * not sent again.
 */
export function mysqlStore(urlOrPool: string | MysqlPool, options: MysqlStoreOptions = {}): Store {
  checks.object('its second argument', options)
  checks.names(options, ['table', 'poolSize', 'deadline', 'pruneInterval', 'onError'])
  const address = typeof urlOrPool === 'string' ? parseServerUrl(checks, urlOrPool, IN_URL, FORM) : undefined
  const settings = checkedSqlOptions(checks, 'mysqlStore', options, address?.query, true)
  const { table, deadline } = settings
  const pool = address
    ? ownPool(address.url, options.poolSize ?? numberIn(address.query, 'poolSize'), deadline)
    : given(urlOrPool, options)
  const server = new Server(mysqlPool(pool, table, address !== undefined), deadline)
  return sqlStore({
    ...settings,
    database: mysqlDatabase(server, table),
    schema: schemaOf('mysql', table),
    close: () => server.end(),
  })
}

function ownPool(url: string, poolSize: number | undefined, deadline: Milliseconds): Pool {
  const size = checkedPoolSize(checks, poolSize)
  const cure = 'needs the package mysql2 3; npm i mysql2'
  const driver = loadPackage(checks, { module: 'mysql2/promise', least: [3, 11], cure }) as MysqlDriver
  return makePool(driver, url.replace(/^mariadb:/, 'mysql:'), size, deadline)
}

function given(pool: unknown, { poolSize }: MysqlStoreOptions): Pool {
  const { getConnection, execute, promise } = (pool ?? {}) as Record<string, unknown>
  if (typeof getConnection !== 'function' || typeof execute !== 'function') {
    const what = typeof execute === 'function' ? '; this is a single connection' : ''
    throw checks.refusal(`give it a mysql:// URL or a pool of mysql2 3${what}`)
  }
  if (poolSize !== undefined) throw checks.refusal('poolSize is for a URL; a pool that is given has its own limit')
  // A pool that answers by callbacks has one beside it that answers by promises.
  return typeof promise === 'function' ? (pool as { promise(): Pool }).promise() : (pool as Pool)
}
