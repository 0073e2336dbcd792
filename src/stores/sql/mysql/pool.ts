import type { Milliseconds } from '../../../units.ts'
import type { Row } from '../database.ts'
import type { Fault } from '../faults.ts'
import { grantsFor } from '../rights.ts'
import type { Answer, Connection, Pool } from '../server.ts'

/** What is used of a Pool of mysql2/promise. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>
  end(): Promise<void>
  /** The pool beneath, which knows whether it has ended. */
  readonly pool?: {
    readonly _closed?: boolean
    on?(event: 'connection', listener: (made: RawConnection) => void): unknown
  }
}

interface MysqlConnection {
  /** The connection beneath, which stays the same each time that the pool lends it. */
  readonly connection?: object
  execute(text: string, values: unknown[]): Promise<[result: unknown, fields: unknown]>
  release(): void
  destroy(): void
}

/** A connection that was just made, which answers by callbacks. */
interface RawConnection {
  query(text: string, answered: () => void): unknown
}

/** The package mysql2/promise, as far as this store uses it. */
export interface MysqlDriver {
  createPool(this: void, options: object): MysqlPool
}

/** By the server's error number: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html */
const FAULTS: Readonly<Record<string, Fault>> = {
  1213: 'rolled back',
  1062: 'duplicate',
  1146: 'no table',
  1050: 'shape',
  1054: 'shape',
  1292: 'shape',
  1364: 'shape',
  1366: 'shape',
  1406: 'shape',
  1142: 'rights',
  1143: 'rights',
  1370: 'rights',
  1049: 'database',
  1046: 'database',
  1044: 'login',
  1045: 'login',
  1698: 'login',
  1040: 'connections',
  1203: 'connections',
  1226: 'connections',
  1290: 'read-only',
  1836: 'read-only',
  1792: 'read-only',
  1205: 'slow',
  1969: 'slow',
  3024: 'slow',
  1021: 'space',
  1114: 'space',
  1053: 'lost',
  1927: 'lost',
}

export function mysqlPool(pool: MysqlPool, table: string, isOurs: boolean): Pool {
  const used = new WeakSet<object>()
  return {
    server: 'MySQL',
    faults: FAULTS,
    codeOf(error) {
      const { errno, sqlState } = error as { errno?: unknown; sqlState?: unknown }
      return typeof errno === 'number' && typeof sqlState === 'string' ? String(errno) : undefined
    },
    async connect() {
      return connectionOver(await pool.getConnection(), used)
    },
    isEnded: () => pool.pool?._closed === true,
    async rightsMissing(run) {
      const { rows } = await run('select current_user() as name', [])
      const [user, host] = String(rows[0]?.['name']).split('@')
      return grantsFor('mysql', table, `'${user}'@'${host}'`)
    },
    end: async () => {
      if (isOurs) await pool.end()
    },
  }
}

function connectionOver(connection: MysqlConnection, used: WeakSet<object>): Connection {
  const beneath = connection.connection ?? connection
  const wasIdle = used.has(beneath)
  used.add(beneath)
  return {
    wasIdle,
    // Not `query`, whose errors quote the values.
    async run(text, values): Promise<Answer> {
      const [result] = await connection.execute(text, values as unknown[])
      if (Array.isArray(result)) return { rows: result as Row[], changes: 0 }
      return { rows: [], changes: (result as { affectedRows: number }).affectedRows }
    },
    release(isOver) {
      if (isOver) connection.destroy()
      else connection.release()
    },
  }
}

/** A pool of our own. */
export function makePool(
  { createPool }: MysqlDriver,
  url: string,
  poolSize: number,
  deadline: Milliseconds,
): MysqlPool {
  const pool = createPool({
    uri: url,
    connectionLimit: poolSize,
    connectTimeout: deadline,
    enableKeepAlive: true,
    charset: 'utf8mb4',
  })
  // The server gives up on a lock too, and whatever waits for one is not written later.
  const seconds = Math.max(1, Math.floor(deadline / 1000))
  pool.pool?.on?.('connection', (made) => made.query(`set session innodb_lock_wait_timeout = ${seconds}`, ignore))
  return pool
}

function ignore(): void {}
