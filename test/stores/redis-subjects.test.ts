import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Cluster, Redis } from 'ioredis'
import type { Store, SubjectIndex } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { runScript } from '../../src/stores/redis/scripts.ts'
import { NOTE, SETTLE } from '../../src/stores/redis/subject-scripts.ts'
import type { Key, SubjectName } from '../../src/units.ts'
import { clusterSetup, redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { PATIENCE, collect, later, newKey, savedOf } from '../support/stores/records.ts'

const HOUR = 60 * 60_000

/** Where a test's Redis is, and how it is looked at from outside. */
interface Place {
  readonly url: string
  readonly client: Redis | Cluster
  stop(): Promise<unknown>
}

async function onServer(): Promise<Place> {
  const server = await redisServer()
  return { url: server.url, client: new Redis(server.port), stop: () => server.stop() }
}

async function onCluster(): Promise<Place> {
  const cluster = await clusterSetup()
  const [{ port } = { port: 0 }] = cluster.nodes
  return { url: cluster.url, client: new Cluster([{ host: '127.0.0.1', port }]), stop: () => cluster.stop() }
}

const PLACES: Record<string, () => Promise<Place>> = {
  'one Redis': onServer,
  'a Cluster': onCluster,
}

function shelfOf(subject: SubjectName): string {
  return `session:subject:{${subject.slice(0, 2)}}`
}

function indexOf(subject: SubjectName): string {
  return shelfOf(subject) + subject.slice(2)
}

/** Another subject of the same shelf. */
function neighbourOf(subject: SubjectName): SubjectName {
  return subject.slice(0, 2) + newKey().slice(2)
}

for (const [where, place] of Object.entries(PLACES)) {
  describe(`the notes of sessions on ${where}`, () => {
    let redis: Place
    let store: Store
    let index: SubjectIndex

    before(async () => {
      redis = await place()
      store = redisStore(redis.url, { deadline: PATIENCE })
      index = store.subjects as SubjectIndex
    })
    after(async () => {
      await store.close?.()
      redis.client.disconnect()
      await redis.stop()
    })

    /** As if it had been noted that long ago. */
    async function age(subject: SubjectName, key: Key, length: number): Promise<void> {
      await redis.client.zadd(indexOf(subject), 'XX', Date.now() - length, key)
    }

    async function noted(subject: SubjectName): Promise<Key[]> {
      return (await collect(index.keys(subject))).sort()
    }

    it('have no expiry, so that no server evicts them before their sessions', async () => {
      const subject = newKey()
      await index.add(subject, newKey(), later())
      assert.equal(await redis.client.pttl(indexOf(subject)), -1)
      assert.equal(await redis.client.pttl(shelfOf(subject)), -1)
    })

    it('go when the user is noted again, an hour after they were made, once their records are gone', async () => {
      const subject = newKey()
      const [gone, young, live, next] = [newKey(), newKey(), newKey(), newKey()]
      savedOf(await store.save(live, '1', later(), undefined))
      for (const key of [gone, young, live]) await index.add(subject, key, Date.now() - HOUR)
      for (const key of [gone, live]) await age(subject, key, HOUR + 1000)
      await index.add(subject, next, later())
      await until(async () => !(await noted(subject)).includes(gone))
      assert.deepEqual(await noted(subject), [young, live, next].sort())
      // What lives goes to the end, so that it is in nobody's way.
      const score = Number(await redis.client.zscore(indexOf(subject), live))
      assert.ok(score > Date.now() - HOUR / 2, `${score}`)
    })

    it('go though more that live are older', async () => {
      const subject = newKey()
      const living = Array.from({ length: 12 }, newKey)
      const gone = newKey()
      for (const key of living) savedOf(await store.save(key, '1', later(), undefined))
      for (const key of [...living, gone]) await index.add(subject, key, later())
      for (const key of living) await age(subject, key, 3 * HOUR)
      await age(subject, gone, 2 * HOUR)
      await until(async () => {
        await index.add(subject, living[0]!, later())
        return !(await noted(subject)).includes(gone)
      })
      assert.deepEqual(await noted(subject), living.sort())
    })

    it('of a user who never comes back go when others come', async () => {
      const subject = newKey()
      const keys = Array.from({ length: 25 }, newKey)
      for (const key of keys) await index.add(subject, key, later())
      for (const key of keys) await age(subject, key, 2 * HOUR)
      assert.ok(Number(await redis.client.zscore(shelfOf(subject), subject)) > Date.now())
      await redis.client.zadd(shelfOf(subject), Date.now() - 1, subject) // their sessions can no longer live
      const neighbour = neighbourOf(subject)
      await until(async () => {
        await index.add(neighbour, newKey(), later())
        return (await redis.client.exists(indexOf(subject))) === 0
      })
      await until(async () => (await redis.client.zscore(shelfOf(subject), subject)) === null)
      assert.notEqual(await redis.client.zscore(shelfOf(subject), neighbour), null)
    })

    it('of a user whose sessions live though they should not are looked at again another day', async () => {
      const subject = newKey()
      const key = newKey()
      savedOf(await store.save(key, '1', later(), undefined))
      await index.add(subject, key, later())
      await age(subject, key, 2 * HOUR)
      await redis.client.zadd(shelfOf(subject), Date.now() - 1, subject)
      await until(async () => {
        await index.add(neighbourOf(subject), newKey(), later())
        return Number(await redis.client.zscore(shelfOf(subject), subject)) > Date.now() + 20 * HOUR
      })
      assert.deepEqual(await noted(subject), [key])
    })

    it('leave nothing behind when they are taken back', async () => {
      const subject = newKey()
      const [one, other] = [newKey(), newKey()]
      for (const key of [one, other]) await index.add(subject, key, later())
      await index.remove(subject, one)
      assert.notEqual(await redis.client.zscore(shelfOf(subject), subject), null)
      await index.remove(subject, other)
      assert.equal(await redis.client.exists(indexOf(subject)), 0)
      assert.equal(await redis.client.zscore(shelfOf(subject), subject), null)
    })

    it('stay if they are added again while they are doubted', async () => {
      const subject = newKey()
      const key = newKey()
      const keys = [indexOf(subject), shelfOf(subject)]
      await index.add(subject, key, later())
      await age(subject, key, 2 * HOUR)
      const doubted = (await redis.client.zscore(indexOf(subject), key)) ?? ''
      await index.add(subject, key, later()) // after the look that found no record
      const [added] = await redis.client.zrange(indexOf(subject), 0, '0')
      assert.equal(added, key)
      await runScript(redis.client, SETTLE, keys, [subject, HOUR, key, doubted, '0'])
      await runScript(redis.client, SETTLE, [...keys, indexOf(subject) + newKey()], [subject, HOUR, key, doubted, ''])
      assert.deepEqual(await noted(subject), [key])
      // Nor does a young note go if the very same one is doubted.
      const young = (await redis.client.zscore(indexOf(subject), key)) ?? ''
      await runScript(redis.client, SETTLE, keys, [subject, HOUR, key, young, '0'])
      assert.deepEqual(await noted(subject), [key])
      await runScript(redis.client, SETTLE, keys, [subject, 0, key, young, '0'])
      assert.deepEqual(await noted(subject), [])
    })

    it('are told apart each time that they are added, in the same millisecond too', async () => {
      const subject = newKey()
      const key = newKey()
      const scores = new Set<string | null>()
      const keys = [indexOf(subject), shelfOf(subject)]
      for (let n = 0; n < 50; n++) {
        await runScript(redis.client, NOTE, keys, [subject, key, later(), HOUR])
        scores.add(await redis.client.zscore(indexOf(subject), key))
      }
      assert.equal(scores.size, 50)
    })

    it('of ten thousand sessions are all listed', async () => {
      const subject = newKey()
      const keys = Array.from({ length: 10_000 }, newKey)
      await redis.client.zadd(indexOf(subject), ...keys.flatMap((key) => [Date.now(), key]))
      assert.deepEqual(await noted(subject), keys.sort())
    })
  })
}

describe('a server that is short of memory', () => {
  for (const policy of ['volatile-ttl', 'volatile-lru', 'volatile-lfu', 'volatile-random']) {
    it(`evicts no note before its session: ${policy}`, async (test) => {
      const server: RedisServer = await redisServer({ args: ['--maxmemory', '4mb', '--maxmemory-policy', policy] })
      test.after(() => server.stop())
      const store = redisStore(server.url, { coherence: { bound: 0 }, deadline: PATIENCE })
      test.after(() => store.close?.())
      const index = store.subjects as SubjectIndex
      const sessions: { subject: SubjectName; key: Key }[] = []
      // Of five sessions, one ends soon and four are remembered: so their notes would end before others' sessions.
      const signIn = async (made: number): Promise<void> => {
        const [subject, key] = [newKey(), newKey()]
        const isRemembered = made % 5 !== 0
        await index.add(subject, key, later(isRemembered ? 30 * 24 * HOUR : 8 * HOUR))
        await store.save(key, 'x'.repeat(2000), later(isRemembered ? 14 * 24 * HOUR : HOUR / 2), undefined)
        sessions.push({ subject, key })
      }
      let evicted = 0
      for (let made = 0; made < 10_000 && evicted < 500; made += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, n) => signIn(made + n)))
        evicted = Number(/evicted_keys:(\d+)/.exec(await server.cli('INFO', 'stats'))?.[1])
      }
      assert.ok(evicted >= 500, `${evicted} evicted`)
      let live = 0
      const look = async ({ subject, key }: (typeof sessions)[number]): Promise<void> => {
        if (!(await store.load(key))) return
        live++
        assert.deepEqual(await collect(index.keys(subject)), [key])
      }
      await Promise.all(sessions.map(look))
      assert.ok(live > 100, `${live} live`)
    })
  }
})
