import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { isReplicaInStep, redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { revive, until } from '../support/servers/server-process.ts'
import {
  PATIENCE,
  later,
  newKey,
  onceInReach,
  rejection,
  rejectionAtOnce,
  rejectionBy,
  savedOf,
  settledBy,
} from '../support/stores/records.ts'
import { heldUp } from '../support/held-up.ts'
import { tcpProxy, type TcpProxy } from '../support/proxies/tcp-proxy.ts'

/** For a server that says nothing. */
const DEADLINE = 1000

describe('redisStore in an outage', () => {
  let server: RedisServer
  const stores: Store[] = []

  before(async () => {
    server = await redisServer()
  })
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close!()))
    await revive(server)
  })
  after(() => server.stop())

  function open(url: string = server.url, deadline = PATIENCE): Store {
    const store = redisStore(url, { deadline, coherence: { bound: 150 } })
    stores.push(store)
    return store
  }

  /** Every operation rejects by the deadline, and says something that matches. */
  async function everythingFails(store: Store, reason: RegExp, deadline = PATIENCE): Promise<void> {
    const key = newKey()
    const failures = await Promise.all(
      [
        store.load(key),
        store.save(key, '{}', later(), undefined),
        store.save(key, '{}', later(), { text: '', version: 1, expiresAt: later() }),
        store.touch(key, later()),
        store.delete(key),
        store.ping!(),
        store.keys!()[Symbol.asyncIterator]().next(),
      ].map((operation) => rejectionBy(deadline, operation)),
    )
    for (const { error } of failures) assert.match(inspect(error, { depth: 9 }), reason)
  }

  async function heals(store: Store): Promise<void> {
    await onceInReach(async () => {
      const key = newKey()
      const first = savedOf(await store.save(key, '1', later(), undefined))
      savedOf(await store.save(key, '2', later(), first))
      assert.equal((await store.load(key))?.text, '2')
    })
  }

  it('rejects at once while the server is down, from the first operation on, and heals', async () => {
    await server.kill()
    const store = open()
    await everythingFails(store, /ECONNREFUSED/)
    await rejectionAtOnce(store.load(newKey()))
    await server.restart()
    await heals(store)
  })

  it('rejects what was under way when the server dies, and heals when it is back, empty', async () => {
    const store = open()
    const key = newKey()
    const found = savedOf(await store.save(key, '{}', later(), undefined))
    await server.freeze()
    const underWay = rejection(store.load(key))
    await server.kill()
    assert.match(inspect((await underWay).error), /lost/)
    await until(async () => (await rejection(store.ping!())).error.message.includes('cannot be reached'))
    await everythingFails(store, /ECONNREFUSED/)
    await server.restart()
    await heals(store)
    assert.equal(await store.load(key), undefined)
    assert.deepEqual(await store.save(key, '{}', later(), found), { gone: true })
  })

  it('rejects by the deadline while the server hangs, then at once, and heals', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      await everythingFails(store, /no answer from Redis within 1000 ms/, DEADLINE)
      await rejectionAtOnce(store.load(newKey()))
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  it('takes an answer that came while this process was held up past the deadline', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    const loading = store.load(newKey())
    // By then it is on its way.
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    heldUp(DEADLINE)
    // It answers in order.
    execFileSync('redis-cli', ['-p', String(server.port), 'PING'])
    assert.equal(await loading, undefined)
    assert.equal(await store.load(newKey()), undefined, 'the connection was not given up')
  })

  it('gives the connection up once, however many operations wait for it', async (test) => {
    const warnings: string[] = []
    const note = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', note)
    test.after(() => process.off('warning', note))
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      const loads = Array.from({ length: 20 }, () => store.load(newKey()))
      await Promise.all(loads.map((load) => rejectionBy(DEADLINE, load)))
    } finally {
      server.thaw()
    }
    await heals(store)
    assert.deepEqual(warnings, [])
  })

  it('keeps its deadline for what queues behind a command that hangs', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      const first = rejectionBy(DEADLINE, store.load(newKey()))
      await sleep(DEADLINE / 2)
      await rejectionBy(DEADLINE, store.load(newKey()))
      await first
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  it('rejects by the deadline if the server hangs from the start', async () => {
    await server.freeze()
    const store = open(server.url, DEADLINE)
    try {
      await everythingFails(store, /no answer from Redis within 1000 ms|timed out/, DEADLINE)
      await rejectionAtOnce(store.load(newKey()))
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  describe('behind a network', () => {
    let proxy: TcpProxy
    before(async () => {
      proxy = await tcpProxy(server.port)
    })
    afterEach(() => proxy.heal())
    after(() => proxy.close())

    it('that swallows everything: rejects by the deadline, then at once, and heals', async () => {
      const store = open(`redis://127.0.0.1:${proxy.port}`, DEADLINE)
      await until(() => works(store))
      proxy.blackHole()
      await everythingFails(store, /no answer from Redis within 1000 ms/, DEADLINE)
      await rejectionAtOnce(store.load(newKey()))
      proxy.heal()
      await heals(store)
    })

    it('that cuts connections: rejects what was sent, and the next operation works', async () => {
      const store = open(`redis://127.0.0.1:${proxy.port}`)
      for (let round = 0; round < 5; round++) {
        await store.ping!()
        const underWay = rejection(store.load(newKey()))
        await new Promise((resolve) => setImmediate(resolve))
        proxy.cut()
        await underWay.catch(() => {})
        await until(() => works(store))
      }
    })

    it('never sends a write again whose answer was lost', async () => {
      const store = open(`redis://127.0.0.1:${proxy.port}`, DEADLINE)
      const key = newKey()
      const first = savedOf(await open().save(key, '1', later(), undefined))
      await until(() => works(store))
      await server.cli('CONFIG', 'RESETSTAT')
      proxy.swallowAnswers()
      const { error } = await rejection(store.save(key, '2', later(), first))
      assert.match(error.message, /no answer/)
      proxy.heal()
      await until(() => works(store))
      assert.match(await server.cli('INFO', 'commandstats'), /cmdstat_evalsha:calls=1,/)
      assert.equal((await onceInReach(() => store.load(key)))?.text, '2')
    })
  })

  it('survives CLIENT KILL', async () => {
    const store = open()
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf('')
    for (let round = 0; round < 5; round++) {
      await until(() => link.vouches())
      await server.cli('CLIENT', 'KILL', 'TYPE', 'normal')
      await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await heals(store)
    }
    await until(() => link.vouches())
  })

  it('takes FLUSHALL for the end of all sessions', async () => {
    const store = open()
    const key = newKey()
    const found = savedOf(await store.save(key, '{}', later(), undefined))
    await server.cli('FLUSHALL')
    assert.equal(await store.load(key), undefined)
    assert.deepEqual(await store.save(key, '{}', later(), found), { gone: true })
    assert.equal(await store.touch(key, later()), false)
    await heals(store)
  })

  it('answers "gone" on no replica, and heals when it becomes a master', async () => {
    const replica = await redisServer({ args: ['--replicaof', '127.0.0.1', String(server.port)] })
    try {
      await until(() => isReplicaInStep(replica))
      const store = open(replica.url)
      for (const operation of [
        () => store.save(newKey(), '{}', later(), undefined),
        () => store.save(newKey(), '{}', later(), { text: '', version: 1, expiresAt: later() }),
        () => store.touch(newKey(), later()),
        () => store.delete(newKey()),
      ]) {
        await until(() => works(store))
        assert.match((await rejection(operation())).error.message, /READONLY/)
      }
      await expiredOnReplica(store)
      await replica.cli('REPLICAOF', 'NO', 'ONE')
      await heals(store)
    } finally {
      await replica.stop()
    }

    // Expired by our clock only, as far as the replica can tell; its master may have extended it since.
    async function expiredOnReplica(store: Store): Promise<void> {
      const key = newKey()
      await server.cli('SET', `session:${key}`, `${Date.now() - 5}|1|{}`)
      await until(async () => (await replica.cli('EXISTS', `session:${key}`)) === '1')
      await until(() => works(store))
      const save = store.save(key, '{}', later(), { text: '{}', version: 1, expiresAt: later() })
      assert.match((await rejection(save)).error.message, /READONLY/)
    }
  })

  it('says so while the server loads its data, and heals', async () => {
    const loading = await redisServer()
    try {
      await loading.cli('DEBUG', 'POPULATE', '5000', 'filler', '10')
      await loading.cli('SAVE')
      await loading.kill()
      const store = open(loading.url)
      await rejection(store.ping!())
      // 400 microseconds for each of 5000 keys.
      const restarted = loading.restart('--key-load-delay', '400', '--loading-process-events-interval-bytes', '1024')
      await until(async () => (await loading.cli('PING').catch(() => '')).includes('LOADING'))
      await rejection(store.load(newKey()))
      await restarted
      await heals(store)
    } finally {
      await loading.stop()
    }
  })

  it('reads and ends sessions where there is no memory left to write any', async () => {
    const store = open()
    const [kept, ended] = [newKey(), newKey()]
    const found = savedOf(await store.save(kept, '1', later(), undefined))
    savedOf(await store.save(ended, '1', later(), undefined))
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    try {
      for (const expected of [undefined, found]) {
        const save = store.save(expected ? kept : newKey(), '2', later(), expected)
        assert.match((await rejection(save)).error.message, /OOM/)
      }
      assert.equal((await store.load(kept))?.text, '1')
      assert.equal(await store.delete(ended), true)
      assert.deepEqual(await store.save(ended, '2', later(), found), { gone: true })
    } finally {
      await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    }
    savedOf(await store.save(kept, '2', later(), found))
  })

  it('heals when the password becomes right', async () => {
    const guarded = await redisServer({ password: 'old' })
    try {
      const store = open(`redis://:new@127.0.0.1:${guarded.port}`)
      await everythingFails(store, /WRONGPASS/)
      await rejectionAtOnce(store.load(newKey()))
      await guarded.cli('CONFIG', 'SET', 'requirepass', 'new')
      await heals(store)
    } finally {
      await guarded.stop()
    }
  })

  it('closes without delay while the server hangs', async () => {
    const store = redisStore(server.url, { deadline: 10 * PATIENCE })
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf('')
    await until(() => link.vouches())
    await server.freeze()
    try {
      await settledBy(PATIENCE, store.close!())
    } finally {
      server.thaw()
    }
  })

  it('rejects where the other side speaks no TLS, or not Redis at all', async () => {
    const web = createServer((socket) => {
      socket.on('error', () => {}).write('HTTP/1.1 400 Bad Request\r\n\r\n')
      socket.destroySoon()
    })
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    try {
      const addresses = [
        server.url.replace('redis:', 'rediss:'),
        `redis://127.0.0.1:${(web.address() as AddressInfo).port}`,
      ]
      await Promise.all(addresses.map((address) => everythingFails(open(address, DEADLINE), /./, DEADLINE)))
    } finally {
      web.close()
    }
  })
})

async function works(store: Store): Promise<boolean> {
  try {
    await store.ping!()
    return true
  } catch {
    return false
  }
}
