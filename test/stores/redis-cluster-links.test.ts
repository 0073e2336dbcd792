import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it, type TestContext } from 'node:test'
import { Cluster } from 'ioredis'
import { Diagnostics } from '../../src/diagnostics.ts'
import { cached } from '../../src/layers/cached.ts'
import { announcedIn, epochKeyOf } from '../../src/stores/redis/announced.ts'
import type { Found, Link, Store, Watch } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { rightsFor } from '../../src/stores/redis/rights.ts'
import { nameIn, slotOf, SLOTS } from '../../src/stores/redis/slots.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { clusterProxies, type ClusterProxies } from '../support/proxies/cluster-proxies.ts'
import { clusterSetup, type ClusterSetup, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { moveSlot, slotMove, type SlotMove } from '../support/servers/slot-move.ts'
import { PATIENCE, later, newKey, onceInReach, rejection, savedOf } from '../support/stores/records.ts'
import { toldOf } from '../support/stores/telling.ts'
import { collectWarnings } from '../support/warnings.ts'

const BOUND: Milliseconds = 150
/** No heartbeat after the first one while a test lasts. */
const NEVER: Milliseconds = 600_000

describe('The links of redisStore to the masters of a Cluster', () => {
  let cluster: ClusterSetup
  let proxies: ClusterProxies
  /** Reaches the servers past the proxies. */
  let other: Store
  const opened: Store[] = []

  before(async () => {
    cluster = await clusterSetup()
    proxies = await clusterProxies(cluster)
    other = redisStore(cluster.url, { deadline: PATIENCE })
  })
  afterEach(async () => {
    proxies.heal()
    await Promise.all(opened.splice(0).map((store) => store.close!()))
  })
  after(async () => {
    await other.close!()
    await proxies.close()
    await cluster.stop()
  })

  function open(bound = BOUND): Store {
    const store = redisStore(proxies.client(), { coherence: { bound }, deadline: PATIENCE })
    opened.push(store)
    return store
  }

  interface Watched {
    readonly store: Store
    readonly watch: Watch
    readonly told: string[]
    link(key: Key): Link
  }

  async function watched(store = open(), keys?: Key[]): Promise<Watched> {
    const told: string[] = []
    const watch = store.watch!({
      saved: (key, version) => told.push(`${key} ${version}`),
      deleted: (key) => told.push(`${key} deleted`),
    })
    const link = (key: Key): Link => watch.linkOf(key)
    for (const key of keys ?? (await aKeyEach()).map(([key]) => key)) await until(() => link(key).vouches())
    return { store, watch, told, link }
  }

  /** A move that comes to its end even if the test does not: a slot that is half moved would spoil the tests behind it. */
  async function slotOnTheMove(test: TestContext, key: Key): Promise<SlotMove> {
    const move = await slotMove(cluster, `session:${key}`)
    test.after(() => move.finish())
    return move
  }

  async function keyAt(owner: RedisServer): Promise<Key> {
    const { ranges } = announcedIn(await owner.cli('CLUSTER', 'NODES'))
    for (;;) {
      const key = newKey()
      const slot = slotOf(`session:${key}`)
      if (ranges.some(([first, last]) => slot >= first && slot <= last)) return key
    }
  }

  /** Saves it whenever it is called, and resolves to the line by which that is told. */
  function saving(key: Key, text: string, last: Found): () => Promise<string> {
    let known = last
    return async () => {
      known = savedOf(await other.save(key, text, later(), known))
      return `${key} ${known.version}`
    }
  }

  type KeyAt = readonly [key: Key, owner: RedisServer]

  /** A key of each master. */
  async function aKeyEach(): Promise<[KeyAt, KeyAt, KeyAt]> {
    const masters = await cluster.masters()
    assert.equal(masters.length, 3)
    const at = async (index: number): Promise<KeyAt> => [await keyAt(masters[index]!), masters[index]!]
    return [await at(0), await at(1), await at(2)]
  }

  it('tell of the saves and deletes of another handle, whichever master has them', async () => {
    const { told } = await watched(open(NEVER))
    for (const [key] of await aKeyEach()) {
      const first = savedOf(await other.save(key, '1', later(), undefined))
      const second = savedOf(await other.save(key, '2', later(), first))
      await other.delete(key)
      await until(() => told.length === 3)
      assert.deepEqual(told.splice(0), [`${key} ${first.version}`, `${key} ${second.version}`, `${key} deleted`])
    }
  })

  it('tell each save once, and every server publishes what is its own', async () => {
    const { told } = await watched(open(NEVER))
    const [[key, owner]] = await aKeyEach()
    savedOf(await other.save(key, '1', later(), undefined))
    const { version } = (await other.load(key))!
    await Promise.all((await aKeyEach()).map(async ([last]) => other.save(last, '1', later(), undefined)))
    await until(() => told.length === 4)
    assert.equal(told.filter((line) => line === `${key} ${version}`).length, 1)
    const id = await owner.cli('CLUSTER', 'MYID')
    assert.equal(await owner.cli('PUBSUB', 'CHANNELS'), `session:changes:${id}`)
  })

  it('let a warm read ask nobody, and a write ask once', async () => {
    const store = open(NEVER)
    const diagnostics = new Diagnostics('sid')
    const cache = cached(store, { max: 100, maxBytes: 1e6, maxAge: NEVER, allowStale: false }, diagnostics)
    for (const [key, owner] of await aKeyEach()) {
      let known = savedOf(await cache.save(key, '0', later(), undefined))
      await until(async () => {
        await cache.load(key)
        return diagnostics.stats.hits > 0
      })
      diagnostics.stats.hits = 0
      await owner.cli('CONFIG', 'RESETSTAT')
      for (let n = 1; n <= 10; n++) {
        known = savedOf(await cache.save(key, `${n}`, later(), known))
        assert.equal((await cache.load(key))?.text, `${n}`)
      }
      assert.equal(diagnostics.stats.hits, 10)
      const statistics = await owner.cli('INFO', 'commandstats')
      const calls = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(statistics)?.[1])
      assert.equal(calls('evalsha'), 10)
      assert.equal(calls('get'), 10, 'by the script, and none besides')
      await cache.delete(key)
    }
    await cache.close!()
  })

  it('publish nothing while nobody listens', async () => {
    const key = newKey()
    const owner = await cluster.masterOf(`session:${key}`)
    const listening = await watched()
    await listening.watch.close()
    await until(async () => (await owner.cli('PUBSUB', 'CHANNELS')) === '')
    await owner.cli('CONFIG', 'RESETSTAT')
    const first = savedOf(await other.save(key, '1', later(), undefined))
    savedOf(await other.save(key, '2', later(), first))
    await other.delete(key)
    const statistics = await owner.cli('INFO', 'commandstats')
    assert.match(statistics, /cmdstat_evalsha|cmdstat_eval:/)
    assert.doesNotMatch(statistics, /cmdstat_publish/)
  })

  it('are one each: what cannot be heard of one master costs its own keys alone', async () => {
    const { link } = await watched()
    const [[key, owner], [near]] = await aKeyEach()
    // Again, because on a busy machine a lease may lapse by itself meanwhile.
    await until(async () => {
      const [before, neighbour] = [link(key).generation, link(near).generation]
      proxies.proxyOf(owner).blackHole()
      await until(() => !link(key).vouches() && link(near).vouches())
      const isUntouched = link(near).generation === neighbour
      proxies.heal()
      await until(() => link(key).vouches() && link(near).vouches())
      assert.ok(link(key).generation > before)
      return isUntouched
    })
  })

  it('begin a new generation when a connection is lost', async () => {
    const { link } = await watched()
    const [[key, owner]] = await aKeyEach()
    const { generation } = link(key)
    proxies.proxyOf(owner).cut()
    await until(() => link(key).generation > generation && link(key).vouches())
  })

  it('begin a new generation, those of one master alone, when it has forgotten everything', async () => {
    const { link } = await watched()
    const [[key, owner], [near]] = await aKeyEach()
    // Again, because on a busy machine a lease may lapse by itself meanwhile.
    await until(async () => {
      const [before, neighbour] = [link(key).generation, link(near).generation]
      await owner.cli('FLUSHALL')
      await until(() => link(key).generation > before && link(key).vouches())
      return link(near).generation === neighbour
    })
  })

  it('vouch for no key whose slot is on the move, and answer it all the same', async (test) => {
    const key = newKey()
    const { store, link, told } = await watched(open(), [key])
    const left = link(key)
    const { generation } = left
    const first = savedOf(await other.save(key, '1', later(), undefined))
    const move = await slotOnTheMove(test, key)
    await move.open()
    // Not only `!vouches()`, which a lease that lapses on a busy machine shows as well.
    await until(() => link(key) !== left)
    assert.equal(link(key).vouches(), false)
    assert.ok(left.generation > generation)
    assert.equal((await store.load(key))?.text, '1')
    await move.carry()
    const second = savedOf(await store.save(key, '2', later(), first))
    assert.equal((await store.load(key))?.text, '2')
    await until(() => left.vouches())
    assert.equal(link(key).vouches(), false, 'the link that it has left does, but for other keys')
    await move.close()
    await until(() => link(key).vouches())
    const near = await keyAt(move.target)
    await until(() => link(key) === link(near) && link(key).vouches())
    await toldOf(() => link(key), told, saving(key, '3', second))
    await store.delete(key)
  })

  it('end no process if the server that a slot moves to hangs: a redirection that fails is a failure of its command alone', async (test) => {
    const key = newKey()
    const store = redisStore(proxies.client(), { deadline: 2000 })
    opened.push(store)
    const saved = savedOf(await other.save(key, '1', later(), undefined))
    assert.equal((await onceInReach(() => store.load(key)))?.text, '1')
    const move = await slotOnTheMove(test, key)
    await move.open()
    await move.carry()
    assert.equal((await onceInReach(() => store.load(key)))?.text, '1')
    proxies.proxyOf(move.target).blackHole()
    // By the end of the third one, everything that belongs to the first one has failed, also by the client's timer, which
    // is twice as long as the store's.
    for (let attempt = 0; attempt < 3; attempt++)
      await assert.rejects(async () => store.load(key), /no answer from Redis within 2000 ms/)
    proxies.proxyOf(move.target).cut()
    proxies.heal()
    assert.equal((await onceInReach(() => store.load(key)))?.version, saved.version)
    await move.close()
    await other.delete(key)
  })

  it('keep nothing that another server answered, not even before they know that the slot moves', async (test) => {
    const key = newKey()
    const diagnostics = new Diagnostics('sid')
    const options = { max: 100, maxBytes: 1e6, maxAge: NEVER, allowStale: false }
    const cache = cached(open(NEVER), options, diagnostics)
    const first = savedOf(await other.save(key, '1', later(), undefined))
    await until(async () => {
      await cache.load(key)
      return diagnostics.stats.hits > 0
    })
    const move = await slotOnTheMove(test, key)
    await move.open()
    await move.carry()
    const second = savedOf(await other.save(key, '2', later(), first))
    // No heartbeat has told. A write that is sent to where the key was is redirected, and that tells.
    const result = await cache.save(key, '3', later(), first)
    assert.equal(result.conflict?.version, second.version)
    savedOf(await cache.save(key, '3', later(), second))
    const { hits } = diagnostics.stats
    for (let n = 0; n < 5; n++) assert.equal((await cache.load(key))?.text, '3')
    assert.equal(diagnostics.stats.hits, hits)
    await move.close()
    await cache.close!()
    await other.delete(key)
  })

  it('begin a new generation when a slot has been away and is back', async () => {
    const key = newKey()
    const { link } = await watched(open(), [key])
    const left = link(key)
    const { generation } = left
    const source = await cluster.masterOf(`session:${key}`)
    await moveSlot(cluster, `session:${key}`)
    await moveSlot(cluster, `session:${key}`, source)
    await until(() => left.generation > generation)
    await until(() => link(key) === left && left.vouches())
  })

  it('go on when the slot of the epoch moves to another master', async () => {
    const [[key, owner]] = await aKeyEach()
    const { link } = await watched(open(), [key])
    const epoch = epochKeyOf('session:', announcedIn(await owner.cli('CLUSTER', 'NODES')))!
    assert.equal(await owner.cli('EXISTS', epoch), '1')
    const { generation } = link(key)
    try {
      await moveSlot(cluster, epoch)
      assert.notEqual(await cluster.masterOf(epoch), owner)
      await until(() => link(key).generation > generation && link(key).vouches())
    } finally {
      await moveSlot(cluster, epoch, owner)
    }
    await until(async () => (await cluster.masterOf(epoch)) === owner && link(key).vouches())
  })

  it('follow to the new master when one is killed, and vouch for it only', async () => {
    const [[key, struck]] = await aKeyEach()
    const { store, link, told } = await watched(open(), [key])
    const left = link(key)
    const first = savedOf(await store.save(key, '1', later(), undefined))
    await until(async () => {
      const replicas = (await Promise.all(cluster.nodes.map((node) => node.cli('KEYS', `session:${key}`)))).filter(
        Boolean,
      )
      return replicas.length === 2
    })
    await cluster.replacingSoon(async () => {
      await struck.kill()
      try {
        await until(() => link(key) !== left && link(key).vouches())
        assert.equal(left.vouches(), false)
        await toldOf(() => link(key), told, saving(key, '2', first))
        assert.equal((await store.load(key))?.text, '2')
      } finally {
        await struck.restart()
      }
      await until(async () => (await struck.cli('ROLE')).startsWith('slave'))
      await until(async () => (await struck.cli('CLUSTER', 'INFO')).includes('cluster_state:ok'))
    })
    await store.delete(key)
  })

  it('end when nobody listens any more, and can begin again', async () => {
    const key = newKey()
    const { store, watch, link } = await watched(open(), [key])
    const left = link(key)
    const { generation } = left
    await watch.close()
    assert.equal(left.vouches(), false)
    const again = await watched(store, [key])
    assert.ok(again.link(key).generation > generation, 'what was cached under the old link is worth nothing')
  })

  it('are none over RESP2, and one warning says why', async (test) => {
    const warnings = await collectWarnings(test)
    const store = redisStore(`${cluster.url}?protocol=2&bound=${BOUND}`, { deadline: PATIENCE })
    opened.push(store)
    const watch = store.watch!({ saved() {}, deleted() {} })
    const key = newKey()
    savedOf(await store.save(key, '1', later(), undefined))
    await until(async () => (await warnings()).length > 0)
    assert.equal((await store.load(key))?.text, '1')
    assert.equal(watch.linkOf(key).vouches(), false)
    assert.deepEqual(
      (await warnings()).map(({ code, message }) => [code, /RESP3.*caches nothing/.test(message)]),
      [['SESSION_REDIS_NOT_WATCHING', true]],
    )
  })

  async function allow(user: string, ...rules: string[]): Promise<void> {
    for (const node of cluster.nodes) await node.cli('ACL', 'SETUSER', user, 'reset', 'on', '>p', ...rules)
  }

  function openAs(user: string, bound = BOUND): Store {
    const url = cluster.url.replace('//', `//${user}:p@`)
    const store = redisStore(url, { coherence: { bound }, deadline: PATIENCE })
    opened.push(store)
    return store
  }

  it('need the rights that every refusal names, and no others', async (test) => {
    const warnings = await collectWarnings(test)
    await allow('able', ...rightsFor('session:', 'cluster').split(' '))
    const { store, told } = await watched(openAs('able', NEVER))
    const key = newKey()
    const first = savedOf(await store.save(key, '1', later(), undefined))
    await store.touch(key, later(900_000))
    savedOf(await store.save(key, '2', later(), first))
    assert.equal(await store.delete(key), true)
    await until(() => told.length === 3)
    for (const node of cluster.nodes) {
      const refused = [...(await node.cli('ACL', 'LOG')).matchAll(/^object\n(.*)$/gm)].map(([, object]) => object)
      // The name that ioredis would give to the connection by which it asks for the slots.
      assert.deepEqual(
        refused.filter((object) => object !== 'client|setname'),
        [],
      )
    }
    assert.deepEqual(await warnings(), [])
  })

  it('are none for a user without the channels, who is warned once and works', async (test) => {
    const warnings = await collectWarnings(test)
    await allow('deaf', '~*', 'resetchannels', '+@all')
    const store = openAs('deaf')
    const watch = store.watch!({ saved() {}, deleted() {} })
    const key = newKey()
    savedOf(await store.save(key, '1', later(), undefined))
    await until(async () => (await warnings()).length > 0)
    assert.equal(await store.delete(key), true)
    assert.equal(watch.linkOf(key).vouches(), false)
    assert.match((await warnings())[0]!.message, /caches nothing.*&session:changes\*/)
    assert.deepEqual(
      (await warnings()).map(({ code }) => code),
      ['SESSION_REDIS_NOT_WATCHING'],
    )
  })

  it('begin a new generation with every write of a user who may not publish', async (test) => {
    const warnings = await collectWarnings(test)
    await allow('mute', '~*', '&*', '+@all', '-publish')
    const [[key]] = await aKeyEach()
    const { link, told } = await watched()
    const writer = openAs('mute')
    let { generation } = link(key)
    for (const write of [
      async () => void savedOf(await writer.save(key, '1', later(), undefined)),
      async () => assert.equal(await writer.delete(key), true),
    ]) {
      await write()
      await until(() => link(key).generation > generation && link(key).vouches())
      generation = link(key).generation
    }
    assert.deepEqual(told, [])
    assert.deepEqual(
      (await warnings()).map(({ code }) => code),
      ['SESSION_REDIS_NOT_PUBLISHING'],
    )
  })

  it('write nothing for a user who may neither publish nor ask whose slots they are, and say which rights are missing', async () => {
    await allow('blind', '~*', '&*', '+@all', '-publish', '-cluster|nodes')
    const [[key]] = await aKeyEach()
    await watched()
    const { error } = await rejection(openAs('blind').save(key, '1', later(), undefined))
    assert.match(error.message, /needs the rights .*\+cluster\|nodes/)
    assert.equal(await other.load(key), undefined)
  })

  it('are missing for a master whose address cannot be reached, and one warning names it', async (test) => {
    const warnings = await collectWarnings(test)
    const [[key, owner], [near]] = await aKeyEach()
    const start = cluster.nodes.filter((node) => node !== owner).map(({ port }) => ({ host: '127.0.0.1', port }))
    const natMap = { [`127.0.0.1:${owner.port}`]: { host: '127.0.0.1', port: 1 } }
    const store = redisStore(new Cluster(start, { lazyConnect: true, natMap }), {
      coherence: { bound: BOUND },
      deadline: PATIENCE,
    })
    opened.push(store)
    const { link } = await watched(store, [near])
    await until(async () => (await warnings()).length > 0)
    assert.match((await warnings())[0]!.message, /a master at 127\.0\.0\.1:1, which cannot be reached/)
    assert.equal(link(key).vouches(), false)
    await until(() => link(near).vouches())
    assert.equal((await warnings()).length, 1)
  })

  it('are missing for a slot that no server has, and one warning says so', async (test) => {
    const warnings = await collectWarnings(test)
    const [[key, owner], [near]] = await aKeyEach()
    const { link } = await watched(open(), [key, near])
    const slot = String(slotOf(`session:${key}`))
    for (const node of cluster.nodes) await node.cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
    try {
      for (const node of cluster.nodes) await node.cli('CLUSTER', 'DELSLOTS', slot)
      await until(async () => (await warnings()).length > 0)
      assert.match((await warnings())[0]!.message, /1 slots of the Cluster belong to no server/)
      assert.equal(link(key).vouches(), false)
      await until(() => link(near).vouches())
    } finally {
      await owner.cli('CLUSTER', 'ADDSLOTS', slot)
      for (const node of cluster.nodes) await node.cli('CONFIG', 'SET', 'cluster-require-full-coverage', 'yes')
    }
    await until(() => link(key).vouches())
    assert.equal((await warnings()).length, 1)
  })
})

describe('The slots of a Cluster', () => {
  it('are those that the specification gives, by the hash tag if there is one', () => {
    assert.equal(slotOf('123456789'), 0x31c3)
    assert.equal(slotOf('foo{hash_tag}'), slotOf('hash_tag'))
    assert.equal(slotOf('{user1000}.following'), slotOf('user1000'))
    assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'))
    assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'))
    assert.notEqual(slotOf('foo{}{bar}'), slotOf('bar'))
    assert.equal(slotOf('é'), slotOf(`{${'é'}}`))
  })

  it('have a short name each', () => {
    for (const slot of [0, 1, 5461, SLOTS - 1]) {
      assert.equal(slotOf(nameIn(slot)), slot)
      assert.ok(nameIn(slot).length < 6)
    }
  })
})
