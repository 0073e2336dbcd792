import { Checks } from '../checks.ts'
import type { Store } from '../store.ts'
import type { Milliseconds } from '../units.ts'
import { loadPackage } from './sql/driver.ts'
import { checkedPoolSize, checkedSqlOptions, parseServerUrl } from './sql/options.ts'
import { postgresDatabase } from './sql/postgres/database.ts'
import { makePool, postgresPool, type PgDriver, type PgPool } from './sql/postgres/pool.ts'
import { schemaOf } from './sql/schema.ts'
import { Server } from './sql/server.ts'
import { sqlStore } from './sql/store.ts'
import { numberIn } from './store-options.ts'

/** A `Pool` of the package pg. */
export interface PostgresPool {
  /** Lends a client. */
  connect(): Promise<unknown>
  /** Runs one statement. The store lends a client instead. */
  query(...args: never[]): unknown
  /** Ends the pool. The store never ends a pool of yours. */
  end(): Promise<void>
}

/** How `postgresStore` behaves. The same options, but for `onError`, may stand in the URL. */
export interface PostgresStoreOptions {
  /** The name of the table, with or without a schema: `sessions`, `app.sessions`. Default `sessions`. */
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

const checks = new Checks('store postgres')
const IN_URL = ['table', 'poolSize', 'deadline', 'pruneInterval']
const FORM = 'postgres://user:password@host:5432/database?table=sessions'

/**
 * Sessions in PostgreSQL (tested with 15), through pg 8 (`npm i pg`).
 *
 * The address is a URL, whose own parameters of pg (`sslmode`, …) are kept, or a `Pool` of the application's. A pool that
 * was given is used as it is, and never ended. The tables are made with the first session, if the role may; otherwise
 * `koa-server-session migrate` makes them. docs/stores.md has the rights that are needed.
 *
 * A wrong address or option, and a missing pg, throw `ERR_SESSION_OPTION` here. Nothing connects before the first use.
 * Operations reject with `ERR_SESSION_STORE_UNAVAILABLE`, whose message says what the server refused and how to cure it,
 * and with `ERR_SESSION_UNREADABLE` if the row holds something else than a session. The cache in the process asks the
 * server before each hit. All loads of one turn of the event loop share one statement, and texts that have not changed are
 * not sent again.
 */
export function postgresStore(urlOrPool: string | PostgresPool, options: PostgresStoreOptions = {}): Store {
  checks.object('its second argument', options)
  checks.names(options, ['table', 'poolSize', 'deadline', 'pruneInterval', 'onError'])
  const address = typeof urlOrPool === 'string' ? parseServerUrl(checks, urlOrPool, IN_URL, FORM) : undefined
  const settings = checkedSqlOptions(checks, 'postgresStore', options, address?.query, true)
  const { table, deadline } = settings
  const pool = address
    ? ownPool(address.url, options.poolSize ?? numberIn(address.query, 'poolSize'), deadline)
    : given(urlOrPool, options)
  const server = new Server(postgresPool(pool, table, address !== undefined), deadline)
  return sqlStore({
    ...settings,
    database: postgresDatabase(server, table),
    schema: schemaOf('postgres', table),
    close: () => server.end(),
  })
}

function ownPool(url: string, poolSize: number | undefined, deadline: Milliseconds): PgPool {
  const size = checkedPoolSize(checks, poolSize)
  const driver = loadPackage(checks, { module: 'pg', least: [8, 11], cure: 'needs the package pg 8; npm i pg' })
  return makePool(driver as PgDriver, url, size, deadline)
}

function given(pool: unknown, { poolSize }: PostgresStoreOptions): PgPool {
  const { connect, query, totalCount } = (pool ?? {}) as Record<string, unknown>
  if (typeof connect !== 'function' || typeof query !== 'function' || typeof totalCount !== 'number') {
    const what = typeof connect === 'function' ? '; this is a single client, or of another package' : ''
    throw checks.refusal(`give it a postgres:// URL or a Pool of pg 8${what}`)
  }
  if (poolSize !== undefined) throw checks.refusal('poolSize is for a URL; a pool that is given has its own max')
  return pool as PgPool
}
