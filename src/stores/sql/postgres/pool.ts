import type { Milliseconds } from '../../../units.ts'
import type { Row } from '../database.ts'
import type { Fault } from '../faults.ts'
import { grantsFor } from '../rights.ts'
import type { Answer, Connection, Pool } from '../server.ts'

/** What is used of a Pool of pg. */
export interface PgPool {
  connect(connected: Connected): unknown
  end(): Promise<void>
  readonly ended?: boolean
  readonly ending?: boolean
  on?(event: 'error', listener: () => void): unknown
}

type Connected = (error: Error | undefined, client?: PgClient) => void

interface PgClient {
  query(query: { text: string; values: unknown[] }): Promise<{ rows: Row[]; rowCount: number | null }>
  release(isOver?: boolean): void
  on(event: 'error', listener: () => void): unknown
  off(event: 'error', listener: () => void): unknown
}

/** The package pg, as far as this store uses it. */
export interface PgDriver {
  readonly Pool: new (options: object) => PgPool
}

/** Also what poolers say, whatever the matter is. */
const PROTOCOL_VIOLATION = '08P01'

/** By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const FAULTS: Readonly<Record<string, Fault>> = {
  '40001': 'rolled back',
  '40P01': 'rolled back',
  '42P01': 'no table',
  '42P07': 'shape',
  '42809': 'shape',
  '42703': 'shape',
  '42804': 'shape',
  '42883': 'shape',
  '42P10': 'shape',
  '3F000': 'schema',
  '42501': 'rights',
  '3D000': 'database',
  '28000': 'login',
  '28P01': 'login',
  '53300': 'connections',
  '57P03': 'starting',
  '25006': 'read-only',
  '57014': 'slow',
  '55P03': 'slow',
  '53100': 'space',
  '57P01': 'lost',
  '57P02': 'lost',
}

export function postgresPool(pool: PgPool, table: string, isOurs: boolean): Pool {
  const used = new WeakSet<PgClient>()
  return {
    server: 'PostgreSQL',
    faults: FAULTS,
    codeOf(error) {
      const { code, severity } = error as { code?: unknown; severity?: unknown }
      if (typeof code !== 'string' || typeof severity !== 'string') return undefined
      // The class of errors that are about connections.
      return code.startsWith('08') ? undefined : code
    },
    // Not by a promise: a server may end a connection with the very words that it has made it, and that is an event which
    // somebody must listen to by then.
    connect: () =>
      new Promise((resolve, reject) => {
        pool.connect((error, client) => (client ? resolve(connectionOver(client, used)) : reject(error)))
      }),
    isEnded: () => pool.ended === true || pool.ending === true,
    async rightsMissing(run) {
      const { rows } = await run('select quote_ident(current_user) as name', [])
      return grantsFor('postgres', table, String(rows[0]?.['name']))
    },
    end: async () => {
      if (isOurs) await pool.end()
    },
  }
}

function connectionOver(client: PgClient, used: WeakSet<PgClient>): Connection {
  const wasIdle = used.has(client)
  used.add(client)
  // A connection that is lost says so twice: to the statement that it runs, and by this event. An event that nobody
  // listens to ends the process.
  client.on('error', ignore)
  return {
    wasIdle,
    async run(text, values): Promise<Answer> {
      const { rows, rowCount } = await client.query({ text, values: values as unknown[] })
      return { rows, changes: rowCount ?? 0 }
    },
    release(isOver) {
      if (!isOver) client.off('error', ignore)
      client.release(isOver)
    },
  }
}

/**
 * A pool of our own. The server is asked to end what takes longer than the deadline, because what waits for a lock would
 * otherwise be written whenever the lock is free. A pooler that refuses to pass that on is asked again without it.
 */
export function makePool({ Pool }: PgDriver, url: string, poolSize: number, deadline: Milliseconds): PgPool {
  const make = (more: object): PgPool => {
    const made = new Pool({
      connectionString: url,
      max: poolSize,
      connectionTimeoutMillis: deadline,
      keepAlive: true,
      allowExitOnIdle: true,
      ...more,
    })
    // An idle connection that the server closes would end the process.
    made.on?.('error', ignore)
    return made
  }
  const limited = make({ statement_timeout: deadline })
  let pool = limited
  return {
    connect(connected) {
      pool.connect((error, client) => {
        if (!isParameterRefused(error)) return connected(error, client)
        // The others who were refused at the same time find it made.
        if (pool === limited) {
          pool = make({})
          limited.end().catch(ignore)
        }
        pool.connect(connected)
      })
    },
    end: () => pool.end(),
    get ended() {
      return pool.ended === true
    },
    get ending() {
      return pool.ending === true
    },
  }
}

/** As pgbouncer does, unless its `ignore_startup_parameters` names the parameter. */
function isParameterRefused(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return code === PROTOCOL_VIOLATION && String(message).includes('statement_timeout')
}

function ignore(): void {}
