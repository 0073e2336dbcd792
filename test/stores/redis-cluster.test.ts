import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { Cluster } from 'ioredis'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Found, Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import type { Key } from '../../src/units.ts'
import { clusterSetup, isReplicaInStep, type ClusterSetup, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { heldUp } from '../support/held-up.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'
import {
  PATIENCE,
  collect,
  handles,
  later,
  newKey,
  rejection,
  rejectionBy,
  savedOf,
  settledBy,
} from '../support/stores/records.ts'

/** Of a store that is to give up on a master that hangs. */
const DEADLINE = 1000

describe('redisStore on a Cluster', () => {
  let cluster: ClusterSetup
  let store: Store
  let impatient: Store

  before(async () => {
    cluster = await clusterSetup()
    store = redisStore(cluster.url, { deadline: PATIENCE })
    impatient = redisStore(cluster.url, { deadline: DEADLINE })
  })
  after(async () => {
    await Promise.all([store.close!(), impatient.close!()])
    await cluster.stop()
  })

  storeConformance(it, {
    name: 'redisStore on a Cluster',
    expiryGranularity: 20,
    ...handles(() => `${cluster.url}?prefix=PREFIX`),
  })

  it('spreads sessions over the masters, and lists them all', async () => {
    const keys = Array.from({ length: 100 }, newKey)
    await Promise.all(keys.map(async (key) => store.save(key, key, later(), undefined)))
    for (const key of keys) assert.equal((await store.load(key))?.text, key)
    assert.deepEqual((await collect(store.keys!())).sort(), keys.sort())
    const owners = await Promise.all(keys.slice(0, 30).map((key) => cluster.masterOf(`session:${key}`)))
    assert.equal(new Set(owners).size, 3)
    assert.ok((await Promise.all(keys.map(async (key) => store.delete(key)))).every(Boolean))
  })

  it('offers a watch, and none with a bound of 0', async () => {
    assert.equal(typeof store.watch, 'function')
    const without = redisStore(cluster.url, { coherence: { bound: 0 }, deadline: PATIENCE })
    assert.equal('watch' in without, false)
    await without.close!()
  })

  it('takes a Cluster client of the application’s, and uses a copy of it', async () => {
    const client = new Cluster([{ host: '127.0.0.1', port: cluster.nodes[0]!.port }], {
      lazyConnect: true,
      keyPrefix: 'app:',
      scaleReads: 'slave',
    })
    const own = redisStore(client, { deadline: PATIENCE })
    try {
      const key = newKey()
      const first = savedOf(await own.save(key, '1', later(), undefined))
      for (let n = 2, last = first; n < 50; n++) {
        last = savedOf(await own.save(key, `${n}`, later(), last))
        assert.equal((await own.load(key))?.text, `${n}`, 'read where it was written, not from a replica')
      }
      const owner = await cluster.masterOf(`app:session:${key}`)
      assert.equal(await owner.cli('EXISTS', `app:session:${key}`), '1')
      assert.equal(client.status, 'wait')
      await own.delete(key)
    } finally {
      await own.close!()
    }
  })

  it('never sends a write again whose answer was lost with the connection', async () => {
    const [owner, another] = (await cluster.masters()) as [RedisServer, RedisServer]
    const key = await keyAt(owner)
    const proxy = await tcpProxy(owner.port)
    const natMap = { [`127.0.0.1:${owner.port}`]: { host: '127.0.0.1', port: proxy.port } }
    const startupNodes = [{ host: '127.0.0.1', port: another.port }]
    const own = redisStore(new Cluster(startupNodes, { lazyConnect: true, natMap }), { deadline: PATIENCE })
    try {
      const first = savedOf(await own.save(key, '1', later(), undefined))
      await owner.cli('CONFIG', 'RESETSTAT')
      proxy.swallowAnswers()
      const lost = rejection(own.save(key, '2', later(), first))
      await until(async () => (await owner.cli('GET', `session:${key}`)).endsWith('|2'))
      proxy.cut()
      const { error } = await lost
      assert.match(error.message, /closed/)
      await until(() => Promise.resolve(own.touch(key, later())).catch(() => false))
      const statistics = await owner.cli('INFO', 'commandstats')
      assert.match(statistics, /cmdstat_set:calls=1,/)
      assert.match(statistics, /cmdstat_evalsha:calls=2,/, 'the save and the touch')
      await own.delete(key)
    } finally {
      await own.close!()
      await proxy.close()
    }
  })

  it('loses and repeats nothing while a slot moves under its writers', async () => {
    const key = newKey()
    const name = `session:${key}`
    const source = await cluster.masterOf(name)
    const target = await otherMaster(source)
    const slot = await source.cli('CLUSTER', 'KEYSLOT', name)
    const [sourceId, targetId] = [await source.cli('CLUSTER', 'MYID'), await target.cli('CLUSTER', 'MYID')]
    const counter = savedOf(await store.save(key, '0', later(), undefined))
    // Travels with every write, to the same server, but stays there.
    const neighbour = await keyAt(source)
    savedOf(await store.save(neighbour, '{}', later(), undefined))

    let isMoving = true
    let acknowledged = 0
    const failures: unknown[] = []
    async function write(): Promise<void> {
      let known: Found = counter
      while (isMoving) {
        try {
          const text = String(Number(known.text) + 1)
          const [answer] = await Promise.all([store.save(key, text, later(), known), store.touch(neighbour, later())])
          assert.ok(!answer.gone, 'a session that moves is never gone')
          if (answer.saved) acknowledged++
          known = answer.saved ?? answer.conflict
          assert.ok(await store.touch(key, later()))
        } catch (error) {
          failures.push(error)
          return
        }
      }
    }
    const writers = Array.from({ length: 5 }, write)
    await until(() => acknowledged > 50)
    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', sourceId)
    await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId)
    await during()
    await source.cli('MIGRATE', '127.0.0.1', String(target.port), name, '0', '5000')
    await during()
    for (const node of [target, source]) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', targetId)
    await during()
    isMoving = false
    await Promise.all(writers)
    assert.deepEqual(failures, [])
    assert.equal((await store.load(key))?.text, String(acknowledged))
    assert.equal(await target.cli('EXISTS', name), '1')
    assert.ok((await Promise.all([key, neighbour].map(async (name) => store.delete(name)))).every(Boolean))

    async function during(): Promise<void> {
      const before = acknowledged
      await until(() => acknowledged > before + 50)
    }
  })

  for (const [fault, strike, undo] of [
    ['is killed', (server: RedisServer) => server.kill(), (server: RedisServer) => server.restart()],
    ['hangs', async (server: RedisServer) => server.freeze(), async (server: RedisServer) => server.thaw()],
  ] as const) {
    it(`follows to the new master when one ${fault}; nobody waits beyond the deadline`, async () => {
      const key = newKey()
      const name = `session:${key}`
      const struck = await cluster.masterOf(name)
      const first = savedOf(await store.save(key, '1', later(), undefined))
      await sync(struck, key)
      await cluster.replacingSoon(async () => {
        await strike(struck)
        try {
          await until(async () => {
            const isSaved = Promise.resolve(impatient.save(key, '2', later(), first)).then(
              () => true,
              () => false,
            )
            return settledBy(DEADLINE * 1.5, isSaved)
          })
          // The servers tell each other who took over, and until all know, a question may still go to the wrong one.
          await until(async () => {
            const text = Promise.resolve(impatient.load(key)).then(
              (found) => found?.text,
              () => 'out of reach',
            )
            const shown = await settledBy(DEADLINE * 1.5, text)
            assert.ok(shown === '2' || shown === 'out of reach', `it is ${shown}`)
            return shown === '2'
          })
        } finally {
          await undo(struck)
        }
        await until(() => isReplicaInStep(struck))
        await until(async () => (await struck.cli('CLUSTER', 'INFO')).includes('cluster_state:ok'))
      })
      assert.equal(await store.delete(key), true)
    })
  }

  it('takes an answer that came while this process was held up past the deadline', async (test) => {
    // Without a watch, all goes through the client's Cluster, which has timers of its own.
    const patient = redisStore(cluster.url, { coherence: { bound: 0 }, deadline: 3 * DEADLINE })
    test.after(() => patient.close!())
    const key = newKey()
    savedOf(await patient.save(key, '1', later(), undefined))
    const master = await cluster.masterOf(`session:${key}`)
    const loading = patient.load(key)
    // By then it is on its way.
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    heldUp(3 * DEADLINE)
    // It answers in order.
    execFileSync('redis-cli', ['-p', String(master.port), 'PING'])
    assert.equal((await loading)?.text, '1')
  })

  it('rejects by the deadline while nothing of it answers, and heals', async () => {
    for (const node of cluster.nodes) await node.freeze()
    try {
      for (let round = 0; round < 2; round++) {
        await rejectionBy(DEADLINE, impatient.load(newKey()))
      }
    } finally {
      for (const node of cluster.nodes) node.thaw()
    }
    await until(works)
  })

  async function works(): Promise<boolean> {
    try {
      savedOf(await impatient.save(newKey(), '1', later(), undefined))
      return true
    } catch {
      return false
    }
  }

  async function keyAt(owner: RedisServer): Promise<Key> {
    for (;;) {
      const key = newKey()
      if ((await cluster.masterOf(`session:${key}`)) === owner) return key
    }
  }

  async function otherMaster(than: RedisServer): Promise<RedisServer> {
    for (;;) {
      const owner = await cluster.masterOf(newKey())
      if (owner !== than) return owner
    }
  }

  /** Until the replica of this master has the key. */
  async function sync(master: RedisServer, key: Key): Promise<void> {
    const replicas = cluster.nodes.filter((node) => node !== master)
    await until(async () => {
      const found = await Promise.all(replicas.map((node) => node.cli('KEYS', `session:${key}`)))
      return found.some((text) => text !== '')
    })
  }
})
