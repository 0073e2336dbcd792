import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Diagnostics } from '../../src/diagnostics.ts'
import { fromExpressStore, isSessionError, memcachedStore, memoryStore, redisStore } from '../../src/index.ts'
import { storeStack } from '../../src/layers/stack.ts'
import { Lifecycle } from '../../src/session/lifecycle.ts'
import { sessionOf } from '../../src/session/object.ts'
import { Codec } from '../../src/record/codec.ts'
import { newKey } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import type { AnySession } from '../support/sites/http.ts'
import { visits } from '../support/visit.ts'

const CACHE = { max: 100, maxBytes: 1_000_000, maxAge: 60_000, allowStale: false }
const SETTINGS = {
  idleTimeout: 60_000,
  absoluteTimeout: 600_000,
  persistent: false,
  maxRecordBytes: 65_536,
  codec: new Codec(),
}

describe('storeStack(store, options, diagnostics)', () => {
  it('gives `update` the newest state, also if it changes nothing and this node has not heard of it yet', async () => {
    const store = recordingStore({ power: 'watch' })
    const diagnostics = new Diagnostics('sid')
    const lifecycle = new Lifecycle(
      storeStack(store, { encrypt: false, cache: CACHE }, diagnostics),
      SETTINGS,
      diagnostics,
    )
    const elsewhere = visits({ store: store.elsewhere })
    const key = await elsewhere.stored({ seat: 'free' })
    const host = { ...elsewhere.stranger().copy.host }
    const open = async (): Promise<AnySession> => {
      const found = await lifecycle.load(key)
      assert.ok(typeof found === 'object')
      const update: typeof host.update = (copy, change) => lifecycle.update(copy, change)
      return sessionOf(lifecycle.open({ ...host, update }, key, found)) as AnySession
    }
    await open()
    const other = await elsewhere.returning(key)
    other.session['seat'] = 'taken'
    await other.end()
    const session = await open()
    assert.equal(session['seat'], 'free', 'the cache of this node has not heard of it')
    assert.equal(await session.update((newest) => newest['seat']), 'taken')
    assert.equal((await open())['seat'], 'taken', 'nor is anybody in this process shown the older state after that')
    await other.session.destroy()
    await assert.rejects(
      (await open()).update(() => {}),
      (error) => isSessionError(error, 'ERR_SESSION_GONE'),
    )
  })

  it('waits for a store as long as the store says', async () => {
    const never = { ...memoryStore({ pruneInterval: 0 }), load: () => new Promise<never>(() => {}) }
    for (const [deadline, told] of [
      [5, /within 5 ms/],
      [7, /within 7 ms/],
    ] as const) {
      const { front } = storeStack({ ...never, deadline }, { encrypt: false, cache: undefined }, new Diagnostics('sid'))
      await assert.rejects(
        async () => front.load(newKey()),
        (error: Error) => isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE') && told.test(String(error.cause)),
      )
    }
  })

  it('is told by every store over a network what its deadline is', async (test) => {
    for (const open of [
      (deadline?: number) => redisStore('redis://127.0.0.1:1', deadline === undefined ? {} : { deadline }),
      (deadline?: number) => redisStore(`redis://127.0.0.1:1${deadline === undefined ? '' : `?deadline=${deadline}`}`),
      (deadline?: number) => memcachedStore('memcached://127.0.0.1:1', deadline === undefined ? {} : { deadline }),
      (deadline?: number) =>
        fromExpressStore({ get() {}, set() {}, destroy() {} }, deadline === undefined ? {} : { deadline }),
    ]) {
      for (const deadline of [undefined, 500, 60_000]) {
        const store = open(deadline)
        test.after(() => store.close?.())
        assert.equal(store.deadline, deadline ?? 2000)
      }
    }
  })
})
