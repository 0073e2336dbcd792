import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { Found, Store } from '../../src/store.ts'
import { mysqlStore, type MysqlPool, type MysqlStoreOptions } from '../../src/stores/mysql.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { discreet } from '../support/secrecy.ts'
import { mariadbServer, type MariadbServer } from '../support/servers/mariadb-server.ts'
import { until } from '../support/servers/server-process.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { DATA, expressSession, type ExpressStore } from '../support/sites/old-sites.ts'
import { later, newKey, rejection, rejectionBy, savedOf } from '../support/stores/records.ts'

interface Connection {
  query(text: string): Promise<unknown>
  release(): void
}

interface Pool extends MysqlPool {
  getConnection(): Promise<Connection>
  end(): Promise<void>
}

const require = createRequire(import.meta.url)
const { createPool } = require('mysql2/promise') as { createPool(options: object): Pool }
const { createPool: createCallbackPool } = require('mysql2') as {
  createPool(options: object): MysqlPool & {
    end(done: () => void): void
    on(event: string, listener: (made: { query(text: string): void }) => void): void
  }
}

let server: MariadbServer
let tables = 0

before(async () => {
  server = await mariadbServer()
})
after(() => server.stop())

/** A store that waits for as long as a slow machine takes, unless a test is about the deadline. */
function open(test: TestContext, urlOrPool: string | MysqlPool, options: MysqlStoreOptions = {}): Store {
  const store = mysqlStore(urlOrPool, { table: `sessions_${tables++}`, pruneInterval: 0, deadline: 60_000, ...options })
  test.after(() => store.close?.())
  return store
}

function poolOf(test: TestContext, options: object = {}): Pool {
  const pool = createPool({ uri: server.url, ...options })
  test.after(() => pool.end().catch(() => {}))
  return pool
}

describe('mysqlStore', () => {
  it('finds each of many keys that are asked for in one turn, and what the caller knows', async (test) => {
    const store = open(test, server.url.replace('mysql:', 'mariadb:'))
    const keys = Array.from({ length: 70 }, newKey)
    const founds: Found[] = []
    for (const key of keys) founds.push(savedOf(await store.save(key, `"${key}"`, later(), undefined)))
    const answers = await Promise.all([
      ...keys.map(async (key, n) => store.load(key, n % 2 ? founds[n] : undefined)),
      store.load(newKey()),
    ])
    assert.deepEqual(
      answers.map((found) => found?.text),
      [...keys.map((key) => `"${key}"`), undefined],
    )
    answers.forEach((found, n) => n < 70 && assert.equal(found === founds[n], n % 2 === 1))
  })

  it('works with pools of the application, by promises and by callbacks, whatever their character set', async (test) => {
    const byCallbacks = createCallbackPool({ uri: server.url, charset: 'latin1' })
    test.after(() => byCallbacks.end(() => {}))
    for (const pool of [poolOf(test, { charset: 'latin1' }), byCallbacks]) {
      const store = open(test, pool)
      const key = newKey()
      savedOf(await store.save(key, '"日本😀"', later(), undefined))
      assert.equal((await store.load(key))?.text, '"日本😀"')
      await store.close?.()
    }
  })

  it('does not depend on whether the driver counts rows that did not change', async (test) => {
    const store = open(test, poolOf(test, { flags: '-FOUND_ROWS' }))
    const key = newKey()
    const created = savedOf(await store.save(key, '1', later(), undefined))
    assert.equal(await store.touch(key, created.expiresAt), true)
    assert.equal(await store.touch(key, 1), true)
    assert.equal(await store.touch(newKey(), later()), false)
  })

  it('does not mind a server whose clock is an hour ahead or behind', async (test) => {
    for (const hours of [1, -1]) {
      const pool = createCallbackPool({ uri: server.url })
      pool.on('connection', (made) => made.query(`set timestamp = unix_timestamp() + ${hours} * 3600`))
      test.after(() => pool.end(() => {}))
      const store = open(test, pool)
      const [living, ended] = [newKey(), newKey()]
      const created = savedOf(await store.save(living, '1', later(), undefined))
      savedOf(await store.save(ended, '1', Date.now() - 1, undefined))
      const saved = savedOf(await store.save(living, '2', later(), created))
      assert.equal(await store.touch(living, later()), true)
      assert.equal((await store.load(living))?.version, saved.version)
      assert.equal(await store.load(ended), undefined)
    }
  })

  it('refuses a pool whose connections do not commit by themselves', async (test) => {
    const pool = createCallbackPool({ uri: server.url })
    pool.on('connection', (made) => made.query('set autocommit = 0'))
    test.after(() => pool.end(() => {}))
    const table = `sessions_${tables++}`
    savedOf(await open(test, server.url, { table }).save(newKey(), '{}', later(), undefined))
    const { error } = await rejection(open(test, pool, { table }).load(newKey()))
    assert.match(error.message, /autocommit is off/)
  })

  it('says whom it misses which rights, and needs no others than those', async (test) => {
    const table = `sessions_${tables++}`
    await server.sql("create user app@'127.0.0.1'")
    const asApp = open(test, server.url.replace('root@', 'app@'), { table })
    assert.match((await rejection(asApp.load(newKey()))).error.message, /may not use this database/)
    savedOf(await open(test, server.url, { table }).save(newKey(), '{}', later(), undefined))
    await server.sql("create table if not exists site.other (a int); grant select on site.other to app@'127.0.0.1'")
    const { error } = await rejection(asApp.load(newKey()))
    const grants = [...error.message.matchAll(/grant [^;]+;/g)].map(([grant]) => grant)
    assert.match(grants[0] ?? '', / to 'app'@'127\.0\.0\.1';$/)
    await server.sql(`use site; ${grants.join(' ')}`)
    const key = newKey()
    const created = savedOf(await asApp.save(key, '{}', later(), undefined))
    savedOf(await asApp.save(key, '{"a":1}', later(), created))
    await asApp.subjects!.add(key, key, later())
    await asApp.prune!()
    assert.equal(await asApp.delete(key), true)
  })

  it('takes a server that is read-only for a replica, and believes no absence there', async (test) => {
    const store = open(test, server.url)
    savedOf(await store.save(newKey(), '{}', later(), undefined))
    await server.sql('set global read_only = 1')
    test.after(() => server.sql('set global read_only = 0'))
    assert.match((await rejection(store.load(newKey()))).error.message, /this server is read-only/)
    await server.sql('set global read_only = 0')
    assert.equal(await store.load(newKey()), undefined)
  })

  it('writes nothing after its deadline, when a lock is free at last', async (test) => {
    const table = `sessions_${tables++}`
    const key = newKey()
    const patient = open(test, server.url, { table })
    const created = savedOf(await patient.save(key, '"before"', later(), undefined))
    const hasty = open(test, server.url, { table, deadline: 400, poolSize: 1 })
    const locker = await poolOf(test).getConnection()
    await locker.query('begin')
    await locker.query(`select * from ${table} for update`)
    // Not by information_schema.innodb_trx, which is made anew only for somebody who has not asked for a tenth of a second.
    const connections = async (): Promise<number> =>
      Number((await server.sql("select count(*) from information_schema.processlist where db = 'site'"))[0])
    const before = await connections()
    await assert.rejects(
      async () => hasty.save(key, '"secret text"', later(), created),
      discreet('ERR_SESSION_STORE_UNAVAILABLE', 'secret text', key),
    )
    await until(async () => (await connections()) <= before)
    await locker.query('rollback')
    locker.release()
    assert.equal((await patient.load(key))?.text, '"before"')
  })

  it('says that the pool was ended, that nobody gives a connection back, and that the database is wrong', async (test) => {
    const ended = createPool({ uri: server.url })
    await ended.end()
    assert.match((await rejection(open(test, ended).load(newKey()))).error.message, /pool of MySQL was ended/)
    const busy = poolOf(test, { connectionLimit: 1 })
    const held = await busy.getConnection()
    const { error } = await rejectionBy(300, open(test, busy, { deadline: 300 }).load(newKey()))
    assert.match(error.message, /no connection to MySQL within 300 ms/)
    held.release()
    const nowhere = open(test, server.url.replace('/site', '/nowhere'))
    assert.match((await rejection(nowhere.load(newKey()))).error.message, /no database of this name.*1049/)
  })

  it('fails within the deadline while the server stands still, and loses nothing that was acknowledged when it is killed', async (test) => {
    const own = await mariadbServer()
    test.after(() => own.stop())
    const table = `sessions_${tables++}`
    const store = open(test, own.url, { table })
    const keys = Array.from({ length: 20 }, newKey)
    savedOf(await store.save(keys[0]!, '{}', later(), undefined))
    // Its connection is made beforehand: while one is made, the driver's own timer may be the earlier one.
    const hasty = open(test, own.url, { table, deadline: 400 })
    await until(() => Promise.resolve(hasty.load(keys[0]!)).then(Boolean, () => false))
    await own.freeze()
    assert.match((await rejectionBy(400, hasty.load(keys[0]!))).error.message, /within 400 ms/)
    own.thaw()
    for (const key of keys.slice(1)) savedOf(await store.save(key, '{}', later(), undefined))
    await own.kill()
    assert.match((await rejection(store.load(keys[0]!))).error.message, /ECONNREFUSED|connection was lost/)
    await own.restart()
    for (const key of keys) assert.ok(await store.load(key))
  })

  it('reads although the server has closed several idle connections', async (test) => {
    const pool = poolOf(test, { connectionLimit: 6 })
    const lend = pool.getConnection.bind(pool) as () => Promise<Connection & { readonly threadId: number }>
    let toEnd = 0
    const mortal = Object.assign(pool, {
      async getConnection() {
        const connection = await lend()
        if (toEnd > 0) {
          toEnd--
          await server.sql(`kill ${connection.threadId}`)
        }
        return connection
      },
    })
    const store = open(test, mortal)
    const keys = Array.from({ length: 6 }, newKey)
    await Promise.all(keys.map(async (key) => savedOf(await store.save(key, '{}', later(), undefined))))
    toEnd = 4
    assert.ok(await store.load(keys[0]!))
    assert.equal(toEnd, 0)
  })

  it('refuses what is no address of it', () => {
    assert.throws(() => storeFromUrl('mysql://u:hunter22@[bad'), /the URL is not of a known form: mysql:\/\/user/)
    assert.throws(() => mysqlStore({ execute() {} } as never), /this is a single connection/)
    assert.throws(() => mysqlStore('mysql://u:hunter22@h/d?table=a-b'), discreet('ERR_SESSION_OPTION', 'hunter22'))
  })
})

describe('the table of express-mysql-session', () => {
  it('is left by a visitor, whose session goes on in a table of ours beside it', async (test) => {
    interface MysqlSessionStore extends ExpressStore {
      onReady(): Promise<void>
    }
    const storeOf = require('express-mysql-session') as (
      session: unknown,
    ) => new (options: object, pool: unknown) => MysqlSessionStore
    const store = new (storeOf(require('express-session')))({ clearExpired: false }, poolOf(test))
    await store.onReady()
    const old = await expressSession(test, store)
    const browser = old.agent()
    await browser.get('/in')
    const cookie = browser.cookieHeader
    assert.deepEqual(await server.sql('select count(*) from site.sessions'), ['1'])

    const options = { store: open(test, server.url), movingFrom: [old.reader] }
    const site = await siteWith(test, options, (ctx) => void (ctx.body = { ...sessionOf(ctx) }))
    assert.deepEqual((await browser.at(site.port).get('/')).json(), DATA)
    assert.deepEqual([...browser.cookies.keys()], ['sid'])
    assert.deepEqual(await server.sql('select count(*) from site.sessions'), ['0'])
    assert.equal((await old.agent().get('/', { cookie })).text, 'nobody')

    // It has the name that ours has by default.
    const ours = open(test, server.url, { table: 'sessions' })
    const { error } = await rejection(ours.load(newKey()))
    assert.match(error.message, /a table of this name is there that is not one of ours.*option table/)
  })
})
