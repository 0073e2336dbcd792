import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, afterEach, before, describe, it, type TestContext } from 'node:test'
import { Diagnostics } from '../../src/diagnostics.ts'
import { cached } from '../../src/layers/cached.ts'
import { postgresStore, type PostgresPool, type PostgresStoreOptions } from '../../src/stores/postgres.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import type { Store } from '../../src/store.ts'
import { discreet } from '../support/secrecy.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'
import { pgbouncer, type Pgbouncer } from '../support/servers/pgbouncer.ts'
import { postgresServer, type PostgresServer } from '../support/servers/postgres-server.ts'
import { isOpen, revive, until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, rejectionBy, savedOf } from '../support/stores/records.ts'

interface Query {
  readonly text: string
  readonly values: readonly unknown[]
}

interface Client {
  query(query: Query | string): Promise<{ rows: Record<string, unknown>[] }>
  release(): void
  readonly processID: number
  on(event: 'error', listener: () => void): unknown
}

type Lent = (error: Error | undefined, client?: Client) => void

interface Pool extends PostgresPool {
  connect(): Promise<Client>
  connect(lent: Lent): void
  readonly totalCount: number
  readonly idleCount: number
  query(text: string): Promise<{ rows: Record<string, unknown>[] }>
}

const { Pool, Client } = createRequire(import.meta.url)('pg') as {
  Pool: new (options: object) => Pool
  Client: { prototype: { query(query: unknown): Promise<{ rows: Record<string, unknown>[] }> } }
}

const CACHE = { max: 100, maxBytes: 1_000_000, maxAge: 60_000, allowStale: false }

/** Some of the connections that it lends are ended by the server before they are used. */
class MortalPool extends Pool {
  toEnd = 0
  #end: (pid: number) => Promise<unknown> = async () => {}

  endNext(count: number, end: (pid: number) => Promise<unknown>): void {
    this.toEnd = count
    this.#end = end
  }

  override connect(): Promise<Client>
  override connect(lent: Lent): void
  override connect(lent?: Lent): Promise<Client> | void {
    if (!lent) return super.connect()
    super.connect((error, client) => {
      if (!client || this.toEnd === 0) return lent(error, client)
      this.toEnd--
      client.on('error', () => {})
      void this.#end(client.processID).finally(() => lent(undefined, client))
    })
  }
}

let server: PostgresServer
let tables = 0

before(async () => {
  server = await postgresServer('max_connections=60')
})
after(() => server.stop())

function newTable(): string {
  return `sessions_${tables++}`
}

/** A store that waits for as long as a slow machine takes, unless a test is about the deadline. */
function open(test: TestContext, url: string | PostgresPool, options: PostgresStoreOptions = {}): Store {
  const store = postgresStore(url, { table: newTable(), pruneInterval: 0, deadline: PATIENCE, ...options })
  test.after(() => store.close?.())
  return store
}

function poolOf(test: TestContext, options: object = {}): Pool {
  const pool = new Pool({ connectionString: server.url, ...options })
  test.after(() => pool.end().catch(() => {}))
  return pool
}

/** What is asked of the server, and what it answers, while `work` runs. */
async function overheard(work: () => Promise<unknown>): Promise<{ text: string; rows: Record<string, unknown>[] }[]> {
  const heard: { text: string; rows: Record<string, unknown>[] }[] = []
  const { query } = Client.prototype
  Client.prototype.query = async function (this: unknown, asked: unknown) {
    const answer = await query.call(this as never, asked)
    heard.push({ text: (asked as Query).text, rows: answer.rows })
    return answer
  }
  try {
    await work()
  } finally {
    Client.prototype.query = query
  }
  return heard
}

describe('postgresStore', () => {
  it('reads all that one turn of the event loop asks for in one statement, and sends no text that is known', async (test) => {
    const store = open(test, server.url)
    const others = Array.from({ length: 30 }, newKey)
    const [one, two] = [newKey(), newKey()]
    const known = savedOf(await store.save(one, '{"one":1}', later(), undefined))
    savedOf(await store.save(two, '{"two":2}', later(), undefined))
    let answers: unknown[] = []
    const heard = await overheard(async () => {
      answers = await Promise.all([
        store.load(one, known),
        store.load(two),
        ...others.map(async (key) => store.load(key)),
      ])
    })
    assert.equal(heard.length, 1)
    assert.equal(heard[0]!.rows.find(({ id }) => id === one)?.['data'], null)
    assert.equal(answers[0], known)
    assert.equal((answers[1] as { text: string }).text, '{"two":2}')
    // One of those who ask has nothing: the text comes, for both.
    const both = await Promise.all([store.load(one, known), store.load(one)])
    assert.deepEqual([both[0], both[1]?.text], [known, '{"one":1}'])
  })

  it('works with a pool of the application, and leaves it as it was', async (test) => {
    const pool = poolOf(test)
    const store = open(test, pool)
    const key = newKey()
    savedOf(await store.save(key, '{}', later(), undefined))
    assert.ok(await store.load(key))
    await store.close?.()
    assert.deepEqual((await pool.query('select 1 as one')).rows, [{ one: 1 }])
    assert.equal((pool as unknown as NodeJS.EventEmitter).listenerCount('error'), 0)
  })

  it('keeps its tables in the schema that is named', async (test) => {
    await server.sql('create schema app')
    const store = open(test, `${server.url}?table=app.visits`, { table: 'app.visits' })
    savedOf(await store.save(newKey(), '{}', later(), undefined))
    assert.deepEqual(await server.sql('select count(*) from app.visits'), ['1'])
    const nowhere = open(test, server.url, { table: 'elsewhere.visits' })
    const { error } = await rejection(nowhere.save(newKey(), '{}', later(), undefined))
    assert.match(error.message, /the schema of the option table does not exist/)
  })

  it('says whom it misses which rights, and needs no others than those', async (test) => {
    const table = newTable()
    await server.sql(`create role app login; revoke create on schema public from public`)
    const url = server.url.replace('tests@', 'app@')
    const asApp = open(test, url, { table })
    const make = await rejection(asApp.save(newKey(), '{}', later(), undefined))
    assert.match(
      make.error.message,
      /refuses the rights to this user \(42501\).*migrate as a user that may make tables/,
    )
    savedOf(await open(test, server.url, { table }).save(newKey(), '{}', later(), undefined))
    const use = await rejection(asApp.load(newKey()))
    const grants = [...use.error.message.matchAll(/grant [^;]+;/g)].map(([grant]) => grant)
    assert.match(grants[0] ?? '', / to app;$/)
    await server.sql(grants.join(' '))
    const key = newKey()
    const created = savedOf(await asApp.save(key, '{}', later(), undefined))
    savedOf(await asApp.save(key, '{"a":1}', later(), created))
    assert.equal(await asApp.touch(key, later(9e6)), true)
    await asApp.subjects!.add(key, key, later())
    await asApp.subjects!.remove(key, key)
    await asApp.prune!()
    assert.equal(await asApp.delete(key), true)
  })

  it('says that the database or the user is wrong', async (test) => {
    const elsewhere = open(test, server.url.replace('/postgres', '/nowhere'))
    assert.match((await rejection(elsewhere.load(newKey()))).error.message, /no database of this name.*3D000/)
    const nobody = open(test, server.url.replace('tests@', 'nobody@'))
    assert.match((await rejection(nobody.load(newKey()))).error.message, /the user or the password is wrong.*28000/)
  })

  it('says that the pool was ended, or that nobody gives a connection back', async (test) => {
    const ended = poolOf(test)
    const onEnded = open(test, ended)
    await ended.end()
    assert.match((await rejection(onEnded.load(newKey()))).error.message, /pool of PostgreSQL was ended/)

    const busy = poolOf(test, { max: 1 })
    const client = await busy.connect()
    const onBusy = open(test, busy, { deadline: 300 })
    const { error } = await rejectionBy(300, onBusy.load(newKey()))
    assert.match(error.message, /no connection to PostgreSQL within 300 ms: .* all connections of the pool are in use/)
    client.release()
    assert.equal(await open(test, busy).load(newKey()), undefined)
  })

  it('writes nothing after its deadline, when a lock is free at last', async (test) => {
    const table = newTable()
    const store = open(test, server.url, { table })
    const key = newKey()
    const created = savedOf(await store.save(key, '"before"', later(), undefined))
    const hasty = open(test, `${server.url}?application_name=hasty`, { table, deadline: 400 })
    const locker = await poolOf(test).connect()
    await locker.query('begin')
    await locker.query(`select from ${table} for update`)
    await assert.rejects(
      async () => hasty.save(key, '"secret text"', later(), created),
      discreet('ERR_SESSION_STORE_UNAVAILABLE', 'secret text', key),
    )
    await hasty.close!()
    const itsOwn = "select count(*) from pg_stat_activity where application_name = 'hasty'"
    await until(async () => (await server.sql(itsOwn))[0] === '0')
    await locker.query('rollback')
    locker.release()
    assert.equal((await store.load(key))?.text, '"before"')
  })

  it('is the winner or the loser of a race, also where the application made transactions serializable', async (test) => {
    const pool = poolOf(test, { options: '-c default_transaction_isolation=serializable' })
    const store = open(test, pool)
    const key = newKey()
    let known = savedOf(await store.save(key, '0', later(), undefined))
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: 6 }, async (_, n) => store.save(key, `${n}`, later(), known)),
      )
      const winners = answers.filter(({ saved }) => saved)
      assert.equal(winners.length, 1)
      known = winners[0]!.saved!
      for (const { conflict } of answers) if (conflict) assert.equal(conflict.version, known.version)
    }
  })

  it('takes numbers as the application has them parsed', async (test) => {
    const types = createRequire(import.meta.url)('pg').types as { setTypeParser(type: number, parse: unknown): void }
    const store = open(test, server.url)
    const key = newKey()
    const created = savedOf(await store.save(key, '{}', later(), undefined))
    for (const parse of [BigInt, Number, String]) {
      types.setTypeParser(20, parse)
      assert.equal((await store.load(key))?.version, created.version)
    }
  })

  it('names no value of a row in any error', async (test) => {
    const table = newTable()
    const store = open(test, server.url, { table })
    savedOf(await store.save(newKey(), '{}', later(), undefined))
    await server.sql(`alter table ${table} add constraint short check (length(data) < 9)`)
    const key = newKey()
    await assert.rejects(
      async () => store.save(key, '"very secret"', later(), undefined),
      discreet('ERR_SESSION_STORE_UNAVAILABLE', 'very secret', key),
    )
    await server.sql(`alter table ${table} drop column data`)
    const { error } = await rejection(store.load(newKey()))
    assert.match(error.message, /not one of ours, or was changed/)
  })

  it('is told by a standby that it is one, and never that a session is absent', async (test) => {
    const own = await postgresServer()
    test.after(() => own.stop())
    const table = newTable()
    const store = open(test, own.url, { table })
    const key = newKey()
    savedOf(await store.save(key, '{}', later(), undefined))
    await own.kill()
    writeFileSync(join(own.data, 'standby.signal'), '')
    if (process.getuid?.() === 0) execFileSync('chown', ['postgres', join(own.data, 'standby.signal')])
    await own.restart()
    for (const absent of [key, newKey()]) {
      assert.match((await rejection(store.load(absent))).error.message, /this is a standby/)
    }
    assert.match((await rejection(store.save(newKey(), '{}', later(), undefined))).error.message, /is a standby.*25006/)
  })
})

describe('postgresStore, behind pgbouncer in transaction mode', () => {
  let bouncer: Pgbouncer
  before(async () => {
    await server.sql('create role visitor login; create schema if not exists shop')
    bouncer = await pgbouncer(server, ['tests', 'visitor'], 2)
  })
  after(() => bouncer.stop())

  it('makes its tables, and lets one of many writers win', async (test) => {
    const table = newTable()
    const stores = Array.from({ length: 3 }, () => open(test, bouncer.url, { table }))
    const keys = Array.from({ length: 10 }, newKey)
    await Promise.all(
      keys.map(async (key) => {
        const known = savedOf(await stores[0]!.save(key, '0', later(), undefined))
        const answers = await Promise.all(
          stores.map(async (store, n) => store.save(key, String(n + 1), later(), known)),
        )
        const winners = answers.flatMap(({ saved }) => saved ?? [])
        assert.equal(winners.length, 1)
        for (const { conflict } of answers) if (conflict) assert.equal(conflict.version, winners[0]!.version)
        assert.deepEqual(await stores[2]!.load(key, known), { ...winners[0], parsed: undefined })
      }),
    )
  })

  it('shows in the cache of no process what another one has changed or ended', async (test) => {
    const table = newTable()
    const cacheOfAProcess = (): Store => cached(open(test, bouncer.url, { table }), CACHE, new Diagnostics('sid'))
    const [front, other] = [cacheOfAProcess(), cacheOfAProcess()]
    const key = newKey()
    const first = savedOf(await front.save(key, '1', later(), undefined))
    assert.equal((await front.load(key))?.version, first.version)
    const second = savedOf(await other.save(key, '2', later(), first))
    assert.equal((await front.load(key))?.version, second.version)
    assert.equal(await other.delete(key), true)
    assert.equal(await front.load(key), undefined)
  })

  it('works for a role that may not make tables, in a schema that is named', async (test) => {
    const table = 'shop.visits'
    const asVisitor = open(test, bouncer.url.replace('tests@', 'visitor@'), { table })
    const make = await rejection(asVisitor.save(newKey(), '{}', later(), undefined))
    assert.match(make.error.message, /42501.* migrate as a user that may make tables/)
    savedOf(await open(test, server.url, { table }).save(newKey(), '{}', later(), undefined))
    const use = await rejection(asVisitor.load(newKey()))
    const grants = [...use.error.message.matchAll(/grant [^;]+;/g)].map(([grant]) => grant)
    assert.match(grants.join(' '), /usage on schema "shop" to visitor;.* "shop"."visits_schema" to visitor;$/)
    await server.sql(grants.join(' '))
    const key = newKey()
    savedOf(await asVisitor.save(key, '{}', later(), undefined))
    assert.equal(await asVisitor.delete(key), true)
  })

  it('says what the pooler says, if that cannot go on', async (test) => {
    const nobody = open(test, bouncer.url.replace('tests@', 'nobody@'))
    assert.match(
      (await rejection(nobody.load(newKey()))).error.message,
      /no connection to PostgreSQL: .*authentication failed/,
    )
    const nowhere = open(test, bouncer.url.replace('/postgres', '/nowhere'))
    assert.match((await rejection(nowhere.load(newKey()))).error.message, /nowhere|no database of this name/)
  })
})

describe('postgresStore, when its server goes away', () => {
  let own: PostgresServer
  before(async () => {
    own = await postgresServer()
  })
  afterEach(() => revive(own))
  after(() => own.stop())

  it('fails within the deadline while the server stands still, and works again afterwards', async (test) => {
    const table = newTable()
    const key = newKey()
    // The table is made, and the connection too, without a deadline that a busy machine could miss.
    savedOf(await open(test, own.url, { table }).save(key, '{}', later(), undefined))
    const hasty = open(test, own.url, { table, deadline: 400 })
    const reads = (): Promise<boolean> => Promise.resolve(hasty.load(key)).then(Boolean, () => false)
    await until(reads)
    await own.freeze()
    const { error } = await rejectionBy(400, hasty.load(key))
    assert.match(error.message, /within 400 ms/)
    await own.thaw()
    await until(reads)
  })

  it('outlives a connection that the server ends as soon as it has made it', async (test) => {
    const cable = await tcpProxy(own.port)
    test.after(() => cable.close())
    const store = open(test, `${own.url.replace(`:${own.port}`, `:${cable.port}`)}?application_name=ended`)
    await own.freeze()
    const loading = store.load(newKey())
    await until(() => cable.connections === 1)
    cable.swallowAnswers()
    await own.thaw()
    const made = "select pid from pg_stat_activity where application_name = 'ended' and state = 'idle'"
    await until(async () => (await own.sql(made)).length === 1)
    await own.sql(`select pg_terminate_backend(pid) from (${made}) as made`)
    await until(async () => (await own.sql(made)).length === 0)
    // Both messages arrive at once.
    cable.heal()
    assert.equal(await loading, undefined)
  })

  it('says where nobody listens, loses nothing that was acknowledged, and reads at once when the server is back', async (test) => {
    const store = open(test, own.url)
    const keys = Array.from({ length: 20 }, newKey)
    await Promise.all(keys.map(async (key) => savedOf(await store.save(key, '{}', later(), undefined))))
    await own.kill()
    const { error } = await rejection(open(test, own.url).load(keys[0]!))
    assert.match(error.message, new RegExp(`connect ECONNREFUSED 127.0.0.1:${own.port}`))
    await own.restart()
    for (const key of keys) assert.ok(await store.load(key))
  })

  it('reads although the server has closed several idle connections', async (test) => {
    const pool = new MortalPool({ connectionString: own.url, max: 6 })
    test.after(() => pool.end())
    const store = open(test, pool)
    const keys = Array.from({ length: 6 }, newKey)
    savedOf(await store.save(newKey(), '{}', later(), undefined))
    await Promise.all(keys.map(async (key) => savedOf(await store.save(key, '{}', later(), undefined))))
    assert.deepEqual([pool.totalCount, pool.idleCount], [6, 6])
    const end = (pid: number): Promise<unknown> => own.sql(`select pg_terminate_backend(${pid}, 60000)`)
    pool.endNext(4, end)
    assert.ok(await store.load(keys[0]!))
    assert.equal(pool.toEnd, 0)
  })

  it('repeats a read whose idle connections the server has closed', async (test) => {
    const store = open(test, own.url, { poolSize: 1 })
    const key = newKey()
    savedOf(await store.save(key, '{}', later(), undefined))
    // The statement is sent, and then its connection ends.
    const locker = new Pool({ connectionString: own.url, max: 1 })
    test.after(() => locker.end())
    const client = await locker.connect()
    await client.query('begin')
    await client.query(`lock table sessions_${tables - 1}`)
    const reading = store.load(key)
    const waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock'"
    await until(async () => (await own.sql(waiting)).length === 1)
    await own.sql(`select pg_terminate_backend(pid) from (${waiting}) as waiting`)
    await until(async () => (await own.sql(waiting)).length === 1)
    await client.query('rollback')
    client.release()
    assert.ok(await reading)
  })
})

describe('a server that a test has started', () => {
  it('ends when the test process is killed, also while the server stands still', async () => {
    const servers = new URL('../support/servers/postgres-server.js', import.meta.url)
    const program = `const { postgresServer } = await import('${servers}')
      const server = await postgresServer()
      await server.freeze()
      console.log(server.port)
      setInterval(() => {}, 60_000)`
    const testProcess = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [port] = (await once(testProcess.stdout, 'data')) as [Buffer]
    testProcess.kill('SIGKILL')
    await until(async () => !(await isOpen(Number(port.toString()))))
  })
})

describe('the options of postgresStore', () => {
  it('are refused if they are wrong, and never with the password', () => {
    const wrong: [() => unknown, RegExp][] = [
      [() => postgresStore('postgres://u:hunter22@[bad'), /the URL is not of a known form: postgres:\/\/user/],
      [
        () => postgresStore('postgres://u:hunter22@h/d?table=a-b'),
        /table must be a name like sessions or app.sessions/,
      ],
      [() => postgresStore('postgres://u:hunter22@h/d?table=a.b.c'), /table must be a name/],
      [() => postgresStore('postgres://u:hunter22@h/d?poolSize=0'), /poolSize must be a whole number from 1 to 1000/],
      [() => postgresStore('postgres://u:hunter22@h/d?deadline=soon'), /deadline must be a number/],
      [() => postgresStore({} as never), /give it a postgres:\/\/ URL or a Pool of pg 8/],
      [() => postgresStore({ connect() {}, query() {} } as never), /this is a single client/],
      [() => postgresStore('postgres://h/d', { tabel: 'x' } as never), /tabel is not an option; did you mean table\?/],
      [() => storeFromUrl('postgresql://u:hunter22@h/d?table=1'), /table must be a name/],
    ]
    for (const [make, message] of wrong) {
      assert.throws(make, (error: Error) => {
        assert.match(error.message, message)
        return discreet('ERR_SESSION_OPTION', 'hunter22')(error)
      })
    }
  })
})
