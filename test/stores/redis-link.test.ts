import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Link, Store, Watch } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import type { Instant, Key, Milliseconds, Version } from '../../src/units.ts'
import { isReplicaInStep, redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { revive, until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, savedOf } from '../support/stores/records.ts'
import { SmallCache } from '../support/stores/small-cache.ts'
import { toldOf } from '../support/stores/telling.ts'
import { tcpProxy, type TcpProxy } from '../support/proxies/tcp-proxy.ts'

const BOUND: Milliseconds = 150
/** No heartbeat after the first one while a test lasts: of links whose lapse is not the subject. */
const NEVER: Milliseconds = 600_000
const KEY: Key = '0'.repeat(64)

for (const [protocol, query] of [
  ['RESP3', ''],
  ['RESP2', '?protocol=2'],
] as const) {
  describe(`The link of redisStore over ${protocol}`, () => {
    let server: RedisServer
    let proxy: TcpProxy
    /** Reaches the server past the proxy. */
    let other: Store
    const opened: Store[] = []

    before(async () => {
      server = await redisServer()
      proxy = await tcpProxy(server.port)
      other = redisStore(server.url, { deadline: PATIENCE })
    })
    afterEach(async () => {
      proxy.heal()
      await Promise.all(opened.splice(0).map((store) => store.close!()))
      await revive(server)
    })
    after(async () => {
      await other.close!()
      await proxy.close()
      await server.stop()
    })

    function open(port = proxy.port, bound = BOUND): Store {
      // A deadline so long that only the link itself can notice a silent connection.
      const options = { coherence: { bound }, deadline: PATIENCE }
      const store = redisStore(`redis://127.0.0.1:${port}${query}`, options)
      opened.push(store)
      return store
    }

    async function watched(store = open()): Promise<{ store: Store; watch: Watch; link: Link; told: string[] }> {
      const told: string[] = []
      const watch = store.watch!({
        saved: (key, version) => told.push(`${key} ${version}`),
        deleted: (key) => told.push(`${key} deleted`),
      })
      const link = watch.linkOf(KEY)
      await until(() => link.vouches())
      return { store, watch, link, told }
    }

    /** It stops vouching within the bound, counted from now. */
    async function stopsVouching(link: Link, bound = BOUND): Promise<void> {
      const start = performance.now()
      for (let now = start; link.vouches(); now = performance.now()) {
        assert.ok(now - start <= bound, 'it vouches beyond the bound')
        await sleep(1)
      }
    }

    it('tells of the saves and deletes of another handle, and of its own', async () => {
      const { store, told } = await watched(open(proxy.port, NEVER))
      const [theirs, ours] = [newKey(), newKey()]
      const first = savedOf(await other.save(theirs, '1', later(), undefined))
      const second = savedOf(await other.save(theirs, '2', later(), first))
      await other.delete(theirs)
      const own = savedOf(await store.save(ours, '1', later(), undefined))
      await until(() => told.length === 4)
      assert.deepEqual(told, [
        `${theirs} ${first.version}`,
        `${theirs} ${second.version}`,
        `${theirs} deleted`,
        `${ours} ${own.version}`,
      ])
    })

    it('tells nobody of a touch, a conflict, or a save that came too late', async () => {
      const { told } = await watched(open(proxy.port, NEVER))
      const key = newKey()
      const first = savedOf(await other.save(key, '1', later(), undefined))
      await other.touch(key, later())
      await other.save(key, '2', later(), { ...first, version: 1 })
      await other.save(newKey(), '2', later(), first)
      await other.delete(key)
      await until(() => told.length === 2)
      assert.deepEqual(told, [`${key} ${first.version}`, `${key} deleted`])
    })

    it('keeps vouching, and its generation, for as long as nothing happens', async () => {
      const { link } = await watched(open(server.port, 3000))
      // Again, because on a busy machine a heartbeat may be late. A link that lapses by itself does so each time.
      await until(async () => {
        await until(() => link.vouches())
        const { generation } = link
        let lapses = 0
        // Heartbeats come every second, and each has two more to come back.
        for (const end = Date.now() + 4000; Date.now() < end; await sleep(2)) if (!link.vouches()) lapses++
        return lapses === 0 && link.generation === generation
      })
    })

    it('stops vouching within the bound while the server hangs, and a late heartbeat begins a new generation', async () => {
      // So long that this process may stand for seconds before the link takes the connection for lost.
      const bound = 1000
      const { link } = await watched(open(proxy.port, bound))
      const before = proxy.connections
      let generation: number
      await server.freeze()
      try {
        await stopsVouching(link, bound)
        generation = link.generation
        await sleep(bound)
        assert.equal(link.vouches(), false)
        assert.equal(link.generation, generation)
      } finally {
        server.thaw()
      }
      await until(() => link.vouches())
      assert.ok(link.generation > generation)
      assert.equal(proxy.connections, before, 'the connection is the same: it was the heartbeat that came late')
    })

    it('counts from when a heartbeat was sent, not from when its answer came', async () => {
      const { link } = await watched()
      proxy.swallowAnswers()
      await sleep(BOUND / 2)
      // From here on the server says nothing any more; what it said before is still on its way.
      await server.freeze()
      const start = performance.now()
      try {
        await sleep(BOUND * 0.8)
        proxy.heal()
        while (performance.now() - start <= BOUND) await sleep(1)
        assert.equal(link.vouches(), false)
      } finally {
        server.thaw()
      }
    })

    it('stops vouching at once when the server dies, and begins a new generation with the next one', async () => {
      const { link, told } = await watched(open(proxy.port, NEVER))
      const { generation } = link
      await server.kill()
      await until(() => !link.vouches())
      await until(() => link.generation > generation)
      await server.restart()
      await until(() => link.vouches())
      const key = newKey()
      await until(() =>
        other.ping!().then(
          () => true,
          () => false,
        ),
      )
      const { version } = savedOf(await other.save(key, '1', later(), undefined))
      await until(() => told.includes(`${key} ${version}`))
    })

    it('stops vouching within the bound on a silent connection, and makes a new one by itself', async () => {
      const { store, link, told } = await watched()
      const { generation } = link
      proxy.hang()
      await stopsVouching(link)
      await until(() => link.vouches())
      assert.ok(link.generation > generation)
      const line = await toldOf(
        () => link,
        told,
        async () => {
          const key = newKey()
          return `${key} ${savedOf(await other.save(key, '1', later(), undefined)).version}`
        },
      )
      assert.equal((await store.load(line.split(' ')[0]!))?.text, '1')
    })

    it('begins a new generation when the connection is lost', async () => {
      const { link } = await watched()
      for (let round = 0; round < 5; round++) {
        const { generation } = link
        proxy.cut()
        await until(() => link.generation > generation)
        await until(() => link.vouches())
      }
    })

    it('begins a new generation within the bound after FLUSHALL', async () => {
      const { link } = await watched()
      const { generation } = link
      await server.cli('FLUSHALL')
      const flushed = performance.now()
      for (let now = flushed; link.generation === generation && link.vouches(); now = performance.now()) {
        assert.ok(now - flushed <= BOUND)
        await sleep(1)
      }
      await until(() => link.vouches())
      assert.ok(link.generation > generation)
    })

    it('does not vouch for a replica, and does when it is promoted', async () => {
      const replica = await redisServer({ args: ['--replicaof', '127.0.0.1', String(server.port)] })
      try {
        await until(() => isReplicaInStep(replica))
        const store = open(replica.port)
        const link = store.watch!({ saved() {}, deleted() {} }).linkOf(KEY)
        await until(() =>
          store.ping!().then(
            () => true,
            () => false,
          ),
        )
        for (const end = Date.now() + 3 * BOUND; Date.now() < end; await sleep(5)) assert.equal(link.vouches(), false)
        await replica.cli('REPLICAOF', 'NO', 'ONE')
        await until(() => link.vouches())
        const { generation } = link
        await replica.cli('REPLICAOF', '127.0.0.1', String(server.port))
        await stopsVouching(link)
        await replica.cli('REPLICAOF', 'NO', 'ONE')
        await until(() => link.vouches())
        assert.ok(link.generation > generation)
      } finally {
        await replica.stop()
      }
    })

    it('does not trust a machine that was suspended, whose monotonic clock stood still', async (t) => {
      const { link } = await watched()
      const now = Date.now
      t.mock.method(Date, 'now', () => now() + 3_600_000)
      assert.equal(link.vouches(), false)
    })

    it('serves several listeners, and goes on for those that remain', async () => {
      const first = await watched(open(proxy.port, NEVER))
      const second = await watched(first.store)
      assert.equal(second.link, first.link)
      await first.watch.close()
      const key = newKey()
      savedOf(await other.save(key, '1', later(), undefined))
      await until(() => second.told.length === 1)
      assert.equal(first.told.length, 0)
      await until(() => second.link.vouches())
    })

    it('ends when nobody listens any more, and can begin again, as another', async () => {
      const { store, watch, link, told } = await watched(open(proxy.port, NEVER))
      assert.equal(await subscribers(), 1)
      const { generation } = link
      await watch.close()
      assert.equal(link.vouches(), false)
      await until(async () => (await subscribers()) === 0)
      savedOf(await store.save(newKey(), '1', later(), undefined))
      const again = await watched(store)
      assert.ok(again.link.generation > generation, 'what was cached under the old link is worth nothing')
      assert.equal(await subscribers(), 1)
      assert.deepEqual(told, [])
    })

    async function subscribers(): Promise<number> {
      return Number((await server.cli('PUBSUB', 'NUMSUB', 'session:changes')).split('\n')[1])
    }

    it('never lets a cache be older than the bound, whatever the network does', async () => {
      const { store, link, watch } = await watched()
      await watch.close()
      const acknowledged: { version: Version; at: Instant }[] = []
      const cache = new SmallCache(store, KEY)
      const end = performance.now() + 4000
      let hits = 0
      /** Four seconds, and until there were enough hits to say something. */
      const isOver = (): boolean => performance.now() >= end && (hits > 100 || performance.now() >= end + 120_000)
      const failures: string[] = []

      const writing = (async () => {
        let last = savedOf(await other.save(KEY, '0', later(), undefined))
        acknowledged.push({ version: last.version, at: performance.now() })
        while (!isOver()) {
          await sleep(Math.random() * 20)
          last = savedOf(await other.save(KEY, '0', later(), last))
          acknowledged.push({ version: last.version, at: performance.now() })
        }
      })()
      const faults = (async () => {
        const kinds = [() => proxy.hang(), () => proxy.cut(), () => proxy.blackHole(), () => server.freeze()]
        while (!isOver()) {
          await sleep(Math.random() * 200)
          await kinds[Math.floor(Math.random() * kinds.length)]!()
          await sleep(Math.random() * 3 * BOUND)
          proxy.heal()
          server.thaw()
        }
      })()
      const reading = (async () => {
        while (!isOver()) {
          const start = performance.now()
          const known = cache.hit()
          if (known === undefined) {
            // Not awaited for long: what comes back later than a fault lasts still fills the cache.
            await Promise.race([cache.fill(), sleep(20)])
          } else {
            hits++
            const newer = acknowledged.find(({ version, at }) => version > known && at < start - BOUND)
            if (newer) failures.push(`a hit is ${start - newer.at} ms behind`)
          }
          await sleep(1)
        }
      })()
      await Promise.all([writing, faults, reading])
      assert.deepEqual(failures, [])
      assert.ok(hits > 100, `${hits} hits are too few to say anything`)
      assert.equal(link.vouches(), false, 'the link of a closed watch')
    })
  })
}

describe('The link of redisStore', () => {
  let server: RedisServer
  const opened: Store[] = []
  before(async () => {
    server = await redisServer()
  })
  afterEach(() => Promise.all(opened.splice(0).map((store) => store.close!())))
  after(() => server.stop())

  function open(login = ''): Store {
    const store = redisStore(`redis://${login}127.0.0.1:${server.port}`, { deadline: PATIENCE })
    opened.push(store)
    return store
  }

  it('needs one connection in all over RESP3', async () => {
    await server.cli('ACL', 'SETUSER', 'counted', 'on', '>counted', '~*', '&*', '+@all')
    const store = open('counted:counted@')
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf(KEY)
    await until(() => link.vouches())
    savedOf(await store.save(newKey(), '1', later(), undefined))
    assert.equal(await connections(), 1)
    await store.close!()
    await until(async () => (await connections()) === 0)

    async function connections(): Promise<number> {
      return (await server.cli('CLIENT', 'LIST')).split('\n').filter((line) => line.includes('user=counted')).length
    }
  })
})
