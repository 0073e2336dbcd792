import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { Cluster as ValkeyCluster, Redis as Valkey } from 'iovalkey'
import { createClient, createClientPool, createCluster, createSentinel } from 'redis'
import { createClient as createClient5 } from 'redis5'
import { isSessionError } from '../../src/errors.ts'
import type { Found, Link, Store } from '../../src/store.ts'
import { redisStore, type RedisClient } from '../../src/stores/redis.ts'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Instant, Key, Milliseconds, Version } from '../../src/units.ts'
import { tcpProxy, type TcpProxy } from '../support/proxies/tcp-proxy.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { assertHides } from '../support/secrecy.ts'
import { PATIENCE, later, newKey, rejection, rejectionAtOnce, rejectionBy, savedOf } from '../support/stores/records.ts'
import { SmallCache } from '../support/stores/small-cache.ts'
import { toldOf } from '../support/stores/telling.ts'

/** For a server that says nothing. */
const DEADLINE: Milliseconds = 600
const BOUND: Milliseconds = 150

interface Place {
  readonly port: number
  readonly username?: string
  readonly password?: string
  readonly database?: number
}

interface Kind {
  readonly name: string
  /** How many connections a store has with it that listens. */
  readonly connections: 1 | 2
  /** Whether the whole contract is tried, and chance: those where it is not are older, or differ in the protocol. */
  readonly isProved: boolean
  make(place: Place): RedisClient
}

/** How each library makes a client. None of them is ever connected, except where a test says so. */
const CLIENTS: readonly Kind[] = [
  {
    name: 'iovalkey',
    connections: 2,
    isProved: true,
    make: ({ database = 0, ...place }) => new Valkey({ ...place, db: database, lazyConnect: true }),
  },
  {
    name: 'ioredis 5',
    connections: 2,
    isProved: false,
    make: ({ database = 0, ...place }) => new Redis5({ ...place, db: database, lazyConnect: true }),
  },
  {
    name: 'node-redis 6',
    connections: 1,
    isProved: true,
    make: ({ port, ...login }) => createClient({ socket: { port, host: '127.0.0.1' }, ...login }),
  },
  {
    name: 'node-redis 6 over RESP2',
    connections: 2,
    isProved: false,
    make: ({ port, ...login }) => createClient({ socket: { port, host: '127.0.0.1' }, RESP: 2, ...login }),
  },
  {
    name: 'node-redis 5',
    connections: 2,
    isProved: false,
    make: ({ port, ...login }) => createClient5({ socket: { port, host: '127.0.0.1' }, ...login }),
  },
]

let server: RedisServer
let proxy: TcpProxy
/** Reaches the server by a URL, past the proxy. */
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
})
after(async () => {
  await other.close!()
  await proxy.close()
  await server.stop()
})

function open(client: RedisClient, deadline = PATIENCE): Store {
  const store = redisStore(client, { deadline, coherence: { bound: BOUND } })
  opened.push(store)
  return store
}

async function linkOf(store: Store, key: Key = newKey(), told: string[] = []): Promise<Link> {
  const link = store.watch!({
    saved: (key, version) => told.push(`${key} ${version}`),
    deleted: (key) => told.push(`${key} deleted`),
  }).linkOf(key)
  await until(() => link.vouches())
  return link
}

async function works(store: Store): Promise<boolean> {
  return Promise.resolve(store.ping!()).then(
    () => true,
    () => false,
  )
}

async function evalshas(): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await server.cli('INFO', 'commandstats'))?.[1] ?? 0)
}

for (const { name, connections: ofAStore, isProved, make } of CLIENTS) {
  describe(`redisStore with a client of ${name}`, () => {
    const prefixed = (prefix: string): Store & { prefix: string } => {
      return { ...redisStore(make({ port: server.port }), { prefix, deadline: PATIENCE }), prefix }
    }
    const create = (): ReturnType<typeof prefixed> => prefixed(`${newKey().slice(0, 12)}:`)
    const kit = {
      name: 'it',
      expiryGranularity: 20,
      create,
      peer: ({ prefix }: { prefix: string }) => prefixed(prefix),
    }
    if (isProved) storeConformance<ReturnType<typeof prefixed>>(it, kit)

    it('has connections of its own, and none after close', async () => {
      await server.cli('ACL', 'SETUSER', 'counted', 'on', '>counted', '~*', '&*', '+@all')
      const connections = async (): Promise<number> =>
        (await server.cli('CLIENT', 'LIST')).split('\n').filter((line) => line.includes('user=counted')).length
      const store = open(make({ port: server.port, username: 'counted', password: 'counted' }))
      assert.equal(await connections(), 0)
      await linkOf(store)
      savedOf(await store.save(newKey(), '1', later(), undefined))
      assert.equal(await connections(), ofAStore)
      await store.close!()
      await until(async () => (await connections()) === 0)
    })

    it('is on the database that the client was made for, and on none if it is refused', async () => {
      const key = newKey()
      savedOf(await open(make({ port: server.port, database: 3 })).save(key, '1', later(), undefined))
      assert.equal(await server.cli('-n', '3', 'EXISTS', `session:${key}`), '1')
      const nowhere = open(make({ port: server.port, database: 99 }))
      for (let round = 0; round < 2; round++) {
        const { error } = await rejection(nowhere.save(key, '1', later(), undefined))
        assert.match(error.message, /DB index is out of range/)
      }
      assert.equal(await server.cli('EXISTS', `session:${key}`), '0')
    })

    it('shows neither password nor session in an error', async () => {
      const wrong = make({ port: server.port, username: 'nobody', password: 'the-secret' })
      const { error } = await rejection(open(wrong).load(newKey()))
      assert.match(error.message, /WRONGPASS/)
      assertHides(error, 'the-secret')
      await server.cli('ACL', 'SETUSER', 'poor', 'on', '>the-secret', '~*', '&*', '+@all', '-evalsha')
      const poor = open(make({ port: server.port, username: 'poor', password: 'the-secret' }))
      const refused = await rejection(poor.save(newKey(), 'the-session', later(), undefined))
      assert.match(refused.error.message, /evalsha.*its user needs the rights .*\+evalsha/)
      assertHides(refused.error, 'the-secret', 'the-session')
    })

    it('never sends a write again whose answer was lost with the connection', async () => {
      const store = open(make({ port: proxy.port }))
      const key = newKey()
      const first = savedOf(await store.save(key, '1', later(), undefined))
      const before = await evalshas()
      proxy.swallowAnswers()
      const lost = rejection(store.save(key, '2', later(), first))
      await until(async () => (await evalshas()) > before)
      proxy.cut()
      assert.match((await lost).error.message, /lost/)
      await until(() => works(store))
      assert.equal((await store.load(key))?.text, '2')
      assert.equal(await evalshas(), before + 1)
    })

    it('rejects by the deadline while the server hangs, then at once, and heals; nothing is sent twice', async () => {
      const store = open(make({ port: server.port }), DEADLINE)
      const key = newKey()
      const first = savedOf(await other.save(key, '1', later(), undefined))
      await until(() => works(store))
      const before = await evalshas()
      await server.freeze()
      try {
        // Both are listened to from the beginning. The first one to be given up takes the connection with it, and with
        // that the other one, if its deadline is a millisecond later.
        const operations = [store.save(key, '2', later(), first), store.load(key)]
        const [one, other] = await Promise.all(operations.map((operation) => rejectionBy(DEADLINE, operation)))
        assert.match(one!.error.message, /no answer from Redis within 600 ms/)
        assert.match(other!.error.message, /no answer from Redis within 600 ms|the connection to Redis was lost/)
        await rejectionAtOnce(store.load(key))
      } finally {
        server.thaw()
      }
      await until(() => works(store))
      // What was sent before may still have been done; more than that was not.
      assert.ok((await evalshas()) <= before + 1)
    })

    it('rejects by the deadline if the server hangs from the start, and heals', async () => {
      await server.freeze()
      const store = open(make({ port: server.port }), DEADLINE)
      try {
        await rejectionBy(DEADLINE, store.load(newKey()))
        await rejectionAtOnce(store.load(newKey()))
      } finally {
        server.thaw()
      }
      await until(() => works(store))
    })

    it('rejects at once while nothing listens', async () => {
      const store = open(make({ port: 1 }))
      assert.match((await rejection(store.load(newKey()))).error.message, /ECONNREFUSED/)
      await rejectionAtOnce(store.load(newKey()))
    })

    it('hears of what others write, vouches for no longer than the bound, and begins a new generation after a gap', async () => {
      const store = open(make({ port: proxy.port }))
      const told: string[] = []
      const key = newKey()
      const link = await linkOf(store, key, told)
      let written: Found | undefined
      const save = async (): Promise<string> => {
        written = savedOf(await other.save(key, '1', later(), written))
        return `${key} ${written.version}`
      }
      await toldOf(() => link, told, save)
      const { generation } = link
      proxy.hang()
      const start = performance.now()
      for (let now = start; link.vouches(); now = performance.now()) {
        assert.ok(now - start <= BOUND, 'it vouches beyond the bound')
        await sleep(1)
      }
      assert.equal(await other.delete(key), true)
      await until(() => link.vouches())
      assert.notEqual(link.generation, generation)
      assert.ok(!told.includes(`${key} deleted`))
      const end = async (): Promise<string> => {
        const another = newKey()
        savedOf(await other.save(another, '2', later(), undefined))
        assert.equal(await other.delete(another), true)
        return `${another} deleted`
      }
      const line = await toldOf(() => link, told, end)
      const lines = told.filter((one) => one === line || one === `${key} deleted`)
      assert.deepEqual(lines, [line], 'each message is told once, and none late')
    })

    if (!isProved) return
    it('lets no cache be older than the bound, whatever the network does', async () => {
      const store = open(make({ port: proxy.port }))
      await linkOf(store)
      const key = newKey()
      const cache = new SmallCache(store, key)
      const acknowledged: { version: Version; at: Instant }[] = []
      const end = performance.now() + 1000
      let hits = 0
      /** One second, and until there were enough hits to say something. */
      const isOver = (): boolean => performance.now() >= end && (hits > 20 || performance.now() >= end + 120_000)
      const failures: string[] = []
      const faults = (async () => {
        const kinds = [() => proxy.hang(), () => proxy.cut(), () => proxy.blackHole()]
        for (let n = 0; !isOver(); n++) {
          await sleep(Math.random() * BOUND)
          kinds[n % kinds.length]!()
          await sleep(Math.random() * 2 * BOUND)
          proxy.heal()
        }
      })()
      const writing = (async () => {
        let last = savedOf(await other.save(key, '0', later(), undefined))
        while (!isOver()) {
          await sleep(Math.random() * 20)
          last = savedOf(await other.save(key, '0', later(), last))
          acknowledged.push({ version: last.version, at: performance.now() })
        }
      })()
      while (!isOver()) {
        const start = performance.now()
        const known = cache.hit()
        if (known === undefined) {
          await Promise.race([cache.fill(), sleep(20)])
        } else {
          hits++
          const newer = acknowledged.find(({ version, at }) => version > known && at < start - BOUND)
          if (newer) failures.push(`a hit is ${start - newer.at} ms behind`)
        }
        await sleep(1)
      }
      await Promise.all([writing, faults])
      assert.deepEqual(failures, [])
      assert.ok(hits > 20, `${hits} hits are too few to say anything`)
    })
  })
}

describe('redisStore leaves the client of the application alone', () => {
  it('of node-redis: it stays open, with its subscription, when the store is closed', async () => {
    const client = createClient({ url: server.url })
    await client.connect()
    try {
      const heard: string[] = []
      await client.subscribe('news', (message) => heard.push(message))
      const store = open(client)
      await linkOf(store)
      await store.close!()
      assert.equal(await client.ping(), 'PONG')
      await server.cli('PUBLISH', 'news', 'one')
      await until(() => heard.length === 1)
      assert.equal(client.isReady, true)
    } finally {
      client.destroy()
    }
  })

  it('of node-redis: its prefix, its form of replies and its time limit are not those of sessions', async () => {
    const options = { keyPrefix: 'app:', commandOptions: { timeout: 1, typeMapping: { 36: Buffer } } }
    const store = open(createClient({ url: `${server.url}/2`, ...options }))
    const key = newKey()
    const first = savedOf(await store.save(key, '1', later(), undefined))
    assert.equal((await store.save(key, '2', later(), { ...first, version: 1 })).conflict?.text, '1')
    assert.equal((await store.load(key))?.text, '1')
    assert.equal(await server.cli('-n', '2', 'EXISTS', `app:session:${key}`), '1')
  })

  it('of iovalkey: it stays open when the store is closed', async () => {
    const client = new Valkey(server.port)
    try {
      const store = open(client)
      await store.ping!()
      await store.close!()
      assert.equal(await client.ping(), 'PONG')
    } finally {
      client.disconnect()
    }
  })
})

describe('redisStore takes by type, and refuses by the reason,', () => {
  it('what it can hold its promises with', () => {
    const clients: RedisClient[] = [
      new Redis({ lazyConnect: true }),
      new Cluster([7000], { lazyConnect: true }),
      new Valkey({ lazyConnect: true }),
      new ValkeyCluster([7000], { lazyConnect: true }),
      createClient(),
      createClient({ RESP: 2 }).withTypeMapping({}),
    ]
    for (const client of clients) redisStore(client)
  })

  it('what it cannot', async () => {
    const sentinels = { name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }
    for (const [client, sentence] of [
      [createCluster({ rootNodes: [] }), /Cluster of node-redis gives the store no connection.*redis\+cluster:\/\//],
      [createSentinel(sentinels), /Sentinel client of node-redis sends a command again.*redis\+sentinel:\/\//],
      [createClientPool({ url: server.url }), /pool of node-redis; pass a client/],
      [{ duplicate() {}, sendCommand() {}, isReady: false }, /node-redis older than 5; npm i redis@6/],
      [{ duplicate() {}, defineCommand() {}, options: { dropBufferSupport: false } }, /ioredis older than 5/],
      [createClient({ database: NaN }), /option database must be a number/],
      [new Valkey({ db: NaN, lazyConnect: true }), /option db must be a number/],
    ] as const) {
      assert.throws(
        () => redisStore(client as unknown as RedisClient),
        (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
      )
    }
  })
})
