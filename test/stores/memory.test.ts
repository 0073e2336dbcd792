import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { storeConformance } from '../../src/tools/conformance.ts'
import { isSessionError } from '../../src/errors.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { clocksOf } from '../support/clocks.ts'
import { collect } from '../support/stores/records.ts'

const KEY = 'a'.repeat(64)

storeConformance(test, { name: 'memoryStore', create: () => memoryStore() })

describe('memoryStore', () => {
  it('answers at once, not by promises', () => {
    const store = memoryStore({ pruneInterval: 0 })
    const expiresAt = Date.now() + 60_000
    assert.ok('saved' in store.save(KEY, '1', expiresAt, undefined))
    assert.ok('text' in (store.load(KEY) as object))
    assert.equal(store.touch(KEY, expiresAt), true)
    assert.equal(store.delete(KEY), true)
  })

  it('keeps nothing of what a caller hangs on the record it was given', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    await store.save(KEY, '1', Date.now() + 60_000, undefined)
    const found = await store.load(KEY)
    found!.parsed = { secret: true }
    assert.equal((await store.load(KEY))?.parsed, undefined)
  })

  it('does not take a record made anew under a deleted key for the old one', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const { saved: old } = await store.save(KEY, '1', Date.now() + 60_000, undefined)
    await store.delete(KEY)
    await store.save(KEY, '2', Date.now() + 60_000, undefined)
    assert.equal(store.isCurrent!(KEY, old!), false)
    assert.ok((await store.save(KEY, '3', Date.now() + 60_000, old)).conflict)
  })

  it('removes what has expired by itself', async (test) => {
    test.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() })
    const store = memoryStore({ pruneInterval: 20_000 })
    await store.save(KEY, '1', Date.now() + 30_000, undefined)
    await store.save('b'.repeat(64), '1', Date.now() + 60_000_000, undefined)
    // Three intervals, each a tenth longer than it was said. The next one begins when its prune has settled.
    for (let round = 0; round < 3; round++) {
      test.mock.timers.tick(22_000)
      await nextTurn()
    }
    assert.equal(await store.prune!(), 0, 'nothing is left to remove')
    await store.close!()
  })

  it('keeps the note of a session that is about to be stored, though the clock is set forward by hours', async (test) => {
    const clocks = clocksOf(test)
    const store = memoryStore({ pruneInterval: 0 })
    const subject = 'c'.repeat(64)
    const listed = (): Promise<string[]> => collect(store.subjects!.keys(subject))
    await store.subjects!.add(subject, KEY, Date.now() + 60_000)
    clocks.set(7_200_000)
    await store.prune!()
    assert.deepEqual(await listed(), [KEY])
    clocks.pass(7_200_000)
    await store.prune!()
    assert.deepEqual(await listed(), [])
  })

  it('lets requests through while it prunes many records', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    for (let n = 0; n < 100_000; n++) await store.save(n.toString(16).padStart(64, '0'), '1', 1, undefined)
    let turns = 0
    const counter = setInterval(() => turns++, 0)
    assert.equal(await store.prune!(), 100_000)
    clearInterval(counter)
    assert.ok(turns > 0)
  })

  it('refuses an interval that is none, and options that it does not have', () => {
    for (const pruneInterval of [-1, NaN, Infinity, 2 ** 31]) {
      assert.throws(
        () => memoryStore({ pruneInterval }),
        (error) => isSessionError(error, 'ERR_SESSION_OPTION'),
      )
    }
    assert.throws(
      () => memoryStore({ ttl: 5 } as object),
      (error) => isSessionError(error, 'ERR_SESSION_OPTION'),
    )
  })
})
