import { join } from 'node:path'
import { createRequire } from 'node:module'
import type { Store } from '../../../src/store.ts'
import { mysqlStore } from '../../../src/stores/mysql.ts'
import { postgresStore } from '../../../src/stores/postgres.ts'
import { sqliteStore, type SqliteConnection } from '../../../src/stores/sqlite.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import { mariadbServer } from './mariadb-server.ts'
import { postgresServer } from './postgres-server.ts'

const require = createRequire(import.meta.url)

/** A database, and stores on a table of it. */
export interface SqlPlace {
  readonly url: string
  /** A handle on the sessions in this table, as each process has one. */
  open(table: string): Store
  /** Runs SQL beside the stores; resolves to the rows, by their columns' names. */
  sql(text: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** Every database that the library keeps sessions in. */
export const SQL_PLACES: Readonly<Record<string, () => Promise<SqlPlace>>> = {
  PostgreSQL: postgresPlace,
  MariaDB: mariadbPlace,
  SQLite: sqlitePlace,
}

/** Nothing here is about time, however busy the machine is. */
const PATIENT = { pruneInterval: 0, deadline: 60_000 }

async function postgresPlace(): Promise<SqlPlace> {
  const server = await postgresServer('max_connections=200')
  const { Pool } = require('pg') as { Pool: new (options: object) => Pg }
  const pool = new Pool({ connectionString: server.url, max: 1 })
  return {
    url: server.url,
    open: (table) => postgresStore(server.url, { table, ...PATIENT }),
    sql: async (text) => (await pool.query(text)).rows,
    async close() {
      await pool.end()
      await server.stop()
    },
  }
}

interface Pg {
  query(text: string): Promise<{ rows: Record<string, unknown>[] }>
  end(): Promise<void>
}

async function mariadbPlace(): Promise<SqlPlace> {
  const server = await mariadbServer()
  const { createPool } = require('mysql2/promise') as { createPool: (options: object) => Mysql }
  const pool = createPool({ uri: server.url, connectionLimit: 1 })
  return {
    url: server.url,
    open: (table) => mysqlStore(server.url, { table, ...PATIENT }),
    async sql(text) {
      const [rows] = await pool.query(text)
      return Array.isArray(rows) ? rows : []
    },
    async close() {
      await pool.end()
      await server.stop()
    },
  }
}

interface Mysql {
  query(text: string): Promise<[Record<string, unknown>[] | object, unknown]>
  end(): Promise<void>
}

async function sqlitePlace(): Promise<SqlPlace> {
  const file = join(temporaryDirectory('sqlite'), 'sessions.db')
  return {
    url: `sqlite://${file}`,
    open: (table) => sqliteStore(file, { table, ...PATIENT }),
    async sql(text) {
      const database = openDatabase(file)
      try {
        const statement = database.prepare(text) as { all(): Record<string, unknown>[]; run(): unknown }
        if (/^(?:select|pragma)/i.test(text)) return statement.all()
        statement.run()
        return []
      } finally {
        database.close()
      }
    },
    async close() {},
  }
}

/** A connection of SQLite, by the driver that the store would take on this Node. */
export function openDatabase(file: string): SqliteConnection {
  try {
    const { DatabaseSync } = require('node:sqlite') as { DatabaseSync: new (file: string) => SqliteConnection }
    return new DatabaseSync(file)
  } catch {
    const Database = require('better-sqlite3') as new (file: string) => SqliteConnection
    return new Database(file)
  }
}
