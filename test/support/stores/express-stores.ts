import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { RedisStore } from 'connect-redis'
import sqlite from 'node-sqlite3-wasm'
import { createClient } from 'redis'
import type { ExpressSessionStore } from '../../../src/stores/express.ts'
import type { Awaitable } from '../../../src/units.ts'
import { postgresServer } from '../servers/postgres-server.ts'
import { redisServer } from '../servers/redis-server.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

/** Where stores of one kind keep their sessions: a server, or a directory. */
export interface ExpressPlace {
  /** A store with no sessions in it. */
  open(): Awaitable<ExpressSessionStore>
  /** A second store onto the same sessions, as another process would have; absent where there can be none. */
  reopen?(store: ExpressSessionStore): ExpressSessionStore
  close(): Promise<void>
}

type Maker = new (options: object) => ExpressSessionStore

// None of them brings types.
const require = createRequire(import.meta.url)
const expressSession = require('express-session') as { MemoryStore: Maker }

/** The stores that people use with express-session, on what they really run on. */
export const EXPRESS_PLACES: Readonly<Record<string, () => Promise<ExpressPlace>>> = {
  'connect-redis': redisPlace,
  'connect-pg-simple': postgresPlace,
  'session-file-store': filePlace,
  'better-sqlite3-session-store': sqlitePlace,
  memorystore: memoryPlace(() => new ((require('memorystore') as (session: object) => Maker)(expressSession))({})),
  'express-session’s MemoryStore': memoryPlace(() => new expressSession.MemoryStore({})),
}

async function redisPlace(): Promise<ExpressPlace> {
  const server = await redisServer()
  const client = await createClient({ url: server.url }).connect()
  const prefixes = new Map<ExpressSessionStore, string>()
  const open = (prefix = `${prefixes.size}:`): ExpressSessionStore => {
    const store = new RedisStore({ client, prefix })
    prefixes.set(store, prefix)
    return store
  }
  return {
    open,
    reopen: (store) => open(prefixes.get(store)),
    async close() {
      client.destroy()
      await server.stop()
    },
  }
}

async function postgresPlace(): Promise<ExpressPlace> {
  const server = await postgresServer()
  const { Pool } = require('pg') as { Pool: new (options: object) => PostgresPool }
  const pool = new Pool({ connectionString: server.url })
  const Store = (require('connect-pg-simple') as (session: object) => Maker)(expressSession)
  const tables = new Map<ExpressSessionStore, string>()
  const openTable = (tableName: string): ExpressSessionStore => {
    const store = new Store({ pool, tableName, pruneSessionInterval: false })
    tables.set(store, tableName)
    return store
  }
  return {
    async open() {
      const tableName = `sessions_${tables.size}`
      // As its own table.sql says; what it makes by itself can be there only once.
      await pool.query(
        `CREATE TABLE ${tableName} (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)`,
      )
      return openTable(tableName)
    },
    reopen: (store) => openTable(tables.get(store)!),
    async close() {
      await pool.end()
      await server.stop()
    },
  }
}

interface PostgresPool {
  query(sql: string): Promise<unknown>
  end(): Promise<void>
}

async function filePlace(): Promise<ExpressPlace> {
  const root = temporaryDirectory('express-stores')
  const Store = (require('session-file-store') as (session: object) => Maker)(expressSession)
  const paths = new Map<ExpressSessionStore, string>()
  const open = (path = join(root, `${paths.size}`)): ExpressSessionStore => {
    // By default it looks five times for a file that is not there, for half a second.
    const store = new Store({ path, retries: 0, reapInterval: -1 })
    paths.set(store, path)
    return store
  }
  return {
    open,
    reopen: (store) => open(paths.get(store)),
    close: async () => rmSync(root, { recursive: true, force: true }),
  }
}

async function sqlitePlace(): Promise<ExpressPlace> {
  const root = temporaryDirectory('express-stores')
  const Store = (require('better-sqlite3-session-store') as (session: object) => Maker)(expressSession)
  // Its timer for removing what has expired can neither be switched off nor stopped.
  class WithoutTimer extends Store {
    startInterval(): void {}
  }
  const databases = new Map<ExpressSessionStore, InstanceType<typeof sqlite.Database>>()
  const open = (database = new sqlite.Database(join(root, `${databases.size}`))): ExpressSessionStore => {
    const store = new WithoutTimer({ client: likeBetterSqlite3(database) })
    databases.set(store, database)
    return store
  }
  return {
    open,
    reopen: (store) => open(databases.get(store)),
    async close() {
      for (const database of new Set(databases.values())) database.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** SQLite without a compiler: the calls of better-sqlite3 that the store makes, on the WebAssembly build. */
function likeBetterSqlite3(database: InstanceType<typeof sqlite.Database>): object {
  const named = (values: unknown): never =>
    (typeof values === 'object' && values !== null
      ? Object.fromEntries(Object.entries(values).map(([name, value]) => [`@${name}`, value as string]))
      : values) as never
  return {
    exec: (sql: string) => database.exec(sql),
    prepare: (sql: string) => ({
      run: (values?: unknown) => database.run(sql, named(values)),
      get: (values?: unknown) => database.get(sql, named(values)),
      all: (values?: unknown) => database.all(sql, named(values)),
    }),
  }
}

function memoryPlace(open: () => ExpressSessionStore): () => Promise<ExpressPlace> {
  return async () => ({ open, close: async () => {} })
}
