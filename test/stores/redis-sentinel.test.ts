import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Link, Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import {
  isReplicaInStep,
  sentinelSetup,
  type RedisServer,
  type SentinelSetup,
} from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import {
  PATIENCE,
  handles,
  later,
  newKey,
  onceInReach,
  rejection,
  savedOf,
  settledBy,
} from '../support/stores/records.ts'
import { toldOf } from '../support/stores/telling.ts'

/** Of stores that are to give up on a master that hangs. */
const DEADLINE = 1000

describe('redisStore with Sentinel', () => {
  let setup: SentinelSetup
  let store: Store
  let other: Store
  let link: Link
  const told: string[] = []

  before(async () => {
    setup = await sentinelSetup()
    const options = { deadline: DEADLINE, coherence: { bound: 300 } }
    store = redisStore(setup.url, options)
    other = redisStore(setup.url, options)
    link = store.watch!({ saved() {}, deleted: (key) => told.push(key) }).linkOf('')
    await until(() => link.vouches())
  })
  after(async () => {
    await Promise.all([store.close!(), other.close!()])
    await setup.stop()
  })

  async function master(): Promise<RedisServer> {
    const port = await setup.masterPort()
    return setup.servers.find((server) => server.port === port)!
  }

  it('finds the master', async (test) => {
    const store = redisStore(setup.url, { deadline: PATIENCE })
    test.after(() => store.close!())
    const key = newKey()
    savedOf(await store.save(key, '{}', later(), undefined))
    assert.equal(await (await master()).cli('EXISTS', `session:${key}`), '1')
  })

  storeConformance(it, {
    name: 'redisStore with Sentinel',
    expiryGranularity: 20,
    ...handles(() => `${setup.url}?prefix=PREFIX`),
  })

  it('refuses a master that does not have the database', async () => {
    const keys = [newKey(), newKey(), newKey()]
    const lost = redisStore(`${setup.url}/16`, { deadline: PATIENCE })
    try {
      for (const key of keys) {
        const { error } = await rejection(lost.save(key, '{}', later(), undefined))
        assert.match(error.message, /DB index is out of range/)
      }
      assert.equal(await (await master()).cli('EXISTS', ...keys.map((key) => `session:${key}`)), '0')
    } finally {
      await lost.close!()
    }
  })

  const struck = new Set<RedisServer>()
  for (const [fault, strike] of [
    ['is killed', (server: RedisServer) => server.kill()],
    ['hangs', async (server: RedisServer) => server.freeze()],
  ] as const) {
    it(`follows to the new master when the old one ${fault}; nobody waits beyond the deadline`, async () => {
      const old = await master()
      struck.add(old)
      const replicas = setup.servers.filter((server) => !struck.has(server))
      await until(async () => (await Promise.all(replicas.map(isReplicaInStep))).every(Boolean))
      const key = newKey()
      const patient = redisStore(setup.url, { deadline: PATIENCE })
      const first = savedOf(await patient.save(key, '1', later(), undefined))
      await patient.close!()
      await until(() => link.vouches())
      const { generation } = link
      for (const replica of replicas) await until(async () => (await replica.cli('EXISTS', `session:${key}`)) === '1')
      await setup.replacingSoon(async () => {
        await strike(old)
        await until(() => {
          const isSaved = Promise.resolve(store.save(key, '2', later(), first)).then(
            () => true,
            () => false,
          )
          return settledBy(DEADLINE * 1.5, isSaved)
        })
        // The sentinel that is asked may be the last one to hear of it.
        await until(async () => (await master()) !== old)
        const promoted = await master()
        assert.match(await promoted.cli('GET', `session:${key}`), /\|2$/)
        assert.equal((await onceInReach(() => store.load(key)))?.text, '2')
        await until(() => link.vouches())
        assert.ok(link.generation > generation)
        await toldOf(
          () => link,
          told,
          () =>
            onceInReach(async () => {
              const another = newKey()
              savedOf(await other.save(another, '1', later(), undefined))
              assert.equal(await other.delete(another), true)
              return another
            }),
        )
      })
    })
  }
})
