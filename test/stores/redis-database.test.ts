import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { Redis } from 'ioredis'
import { isSessionError } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { redisStore, type RedisClient } from '../../src/stores/redis.ts'
import { command } from '../support/processes/command.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, savedOf } from '../support/stores/records.ts'

describe('redisStore on a database that it cannot have', () => {
  let server: RedisServer
  /** On database 0, which is somebody else's here. */
  let neighbour: Store
  const opened: Store[] = []

  before(async () => {
    server = await redisServer({ args: ['--databases', '4'] })
    neighbour = redisStore(server.url, { deadline: PATIENCE })
  })
  afterEach(() => Promise.all(opened.splice(0).map((store) => store.close!())))
  after(async () => {
    await neighbour.close!()
    await server.stop()
  })

  function open(where: string | RedisClient): Store {
    const store = redisStore(where, { deadline: PATIENCE, coherence: { bound: 150 } })
    opened.push(store)
    return store
  }

  function url(path: string, login = ''): string {
    return `redis://${login}127.0.0.1:${server.port}/${path}`
  }

  /** Whatever is asked, also all at once and again later, is refused; nothing of it reaches database 0. */
  async function touchesNothing(store: Store, reason: RegExp): Promise<void> {
    const key = newKey()
    const found = savedOf(await neighbour.save(key, 'of the neighbour', later(), undefined))
    const before = await server.cli('DBSIZE')
    await server.cli('CONFIG', 'RESETSTAT')
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf(key)
    for (let round = 0; round < 3; round++) {
      const failures = await Promise.all(
        [
          store.load(key),
          store.save(key, 'x', later(), undefined),
          store.save(key, 'x', later(), found),
          store.touch(key, later()),
          store.delete(key),
          store.ping!(),
          store.keys!()[Symbol.asyncIterator]().next(),
          store.subjects!.add(newKey(), key, later()),
        ].map((answer) => rejection(answer)),
      )
      for (const { error } of failures) {
        assert.ok(isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE'))
        assert.match(error.message, reason)
      }
      assert.equal(link.vouches(), false)
    }
    assert.doesNotMatch(await server.cli('INFO', 'commandstats'), /cmdstat_(?:eval|evalsha|get|scan|subscribe):/)
    assert.equal(await server.cli('DBSIZE'), before)
    assert.equal((await neighbour.load(key))?.text, 'of the neighbour')
  }

  async function works(store: Store): Promise<boolean> {
    return Promise.resolve(store.ping!()).then(
      () => true,
      () => false,
    )
  }

  async function databaseOf(store: Store): Promise<number> {
    const key = newKey()
    savedOf(await store.save(key, '1', later(), undefined))
    for (let database = 0; database < 4; database++) {
      if ((await server.cli('-n', `${database}`, 'EXISTS', `session:${key}`)) === '1') return database
    }
    throw new Error('the record is nowhere')
  }

  for (const query of ['', '?protocol=2']) {
    it(`because there is none of its number, is out of reach${query && ' (RESP2)'}`, async () => {
      await touchesNothing(open(url(`4${query}`)), /DB index is out of range/)
    })

    it(`because its user may not select, is out of reach until it may${query && ' (RESP2)'}`, async () => {
      await server.cli('ACL', 'SETUSER', 'unable', 'on', '>p', '~*', '&*', '+@all', '-select')
      const store = open(url(`2${query}`, 'unable:p@'))
      await touchesNothing(store, /select.*its user needs the rights ~session:\* &session:changes\* .*\+select/)
      await server.cli('ACL', 'SETUSER', 'unable', '+select')
      await until(() => works(store))
      assert.equal(await databaseOf(store), 2)
    })
  }

  it('is out of reach through a client of the application’s too, with or without its check for readiness', async () => {
    for (const enableReadyCheck of [true, false]) {
      const client = new Redis({ port: server.port, db: 4, enableReadyCheck, lazyConnect: true })
      await touchesNothing(open(client), /DB index is out of range/)
    }
  })

  it('is out of reach from the reconnection on that no longer finds it, and comes back with it', async () => {
    const own = await redisServer({ args: ['--databases', '4'] })
    try {
      const store = open(`redis://127.0.0.1:${own.port}/3`)
      savedOf(await store.save(newKey(), '1', later(), undefined))
      await own.kill()
      await own.restart('--databases', '1')
      await until(async () => /DB index/.test((await rejection(store.load(newKey()))).error.message))
      const key = newKey()
      await rejection(store.save(key, '1', later(), undefined))
      assert.equal(await own.cli('DBSIZE'), '0')
      await own.kill()
      await own.restart('--databases', '4')
      await until(() => works(store))
      savedOf(await store.save(key, '1', later(), undefined))
      assert.equal(await own.cli('-n', '3', 'EXISTS', `session:${key}`), '1')
    } finally {
      await own.stop()
    }
  })

  it('vouches for no cache while its subscriber is refused it', async () => {
    await server.cli('ACL', 'SETUSER', 'fickle', 'on', '>p', '~*', '&*', '+@all')
    const store = open(url('1?protocol=2', 'fickle:p@'))
    await store.ping!()
    // Of the two connections, the one that writes is there already.
    await server.cli('ACL', 'SETUSER', 'fickle', '-select')
    await server.cli('CONFIG', 'RESETSTAT')
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf('')
    await until(async () => /rejected_calls=[1-9]/.test(await server.cli('INFO', 'commandstats')))
    assert.equal(await databaseOf(store), 1)
    assert.equal(link.vouches(), false)
    await server.cli('ACL', 'SETUSER', 'fickle', '+select')
    await until(() => link.vouches())
  })

  it('is not emptied, nor is another in its place, by the command', async () => {
    const key = newKey()
    savedOf(await neighbour.save(key, 'of the neighbour', later(), undefined))
    const { code, err } = await command(['revoke', '--all', '--yes', '--store', url(`4?deadline=${PATIENCE}`)])
    assert.equal(code, 1)
    assert.match(err, /DB index is out of range/)
    assert.ok(await neighbour.load(key))
  })

  it('does not begin on another one while many operations wait for the connection', async () => {
    const store = open(url('3'))
    const keys = Array.from({ length: 50 }, newKey)
    await Promise.all(keys.map(async (key) => savedOf(await store.save(key, '1', later(), undefined))))
    for (const key of keys) assert.equal(await server.cli('-n', '3', 'EXISTS', `session:${key}`), '1')
  })

  it('is refused when the store is made, if it contradicts itself or is no number', () => {
    for (const path of ['1?db=2', '0?db=2', '?db=two', '?db=-1']) {
      assert.throws(() => redisStore(url(path)), { code: 'ERR_SESSION_OPTION' })
    }
    for (const path of ['1?db=1', '?db=2', '2?db=', '']) redisStore(url(path))
    const client = new Redis({ port: server.port, db: 'staging' as unknown as number, lazyConnect: true })
    assert.throws(() => redisStore(client), { code: 'ERR_SESSION_OPTION', message: /option db must be a number/ })
  })
})
