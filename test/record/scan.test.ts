import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lookAt, visitRecords } from '../../src/record/scan.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { collect, later, newKey } from '../support/stores/records.ts'

const TEXT = '{"format":1,"createdAt":1,"idleTimeout":1,"absoluteTimeout":1,"data":{}}'

describe('lookAt', () => {
  it('tells a record from none, and from what it cannot read', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const [there, foreign, absent] = [newKey(), newKey(), newKey()]
    await store.save(there, TEXT, later(), undefined)
    await store.save(foreign, 'somebody else’s', later(), undefined)
    const record = (await lookAt(store, there)).record
    assert.ok(typeof record === 'object' && record.createdAt === 1)
    const unreadable = await lookAt(store, foreign)
    assert.deepEqual([unreadable.record, unreadable.found?.text], ['unreadable', 'somebody else’s'])
    assert.equal((await lookAt(store, absent)).record, undefined)
  })

  it('rejects where the store fails', async () => {
    const store = { ...memoryStore({ pruneInterval: 0 }), load: () => Promise.reject(new Error('down')) }
    await assert.rejects(lookAt(store, newKey()), /^Error: down$/)
  })
})

describe('visitRecords', () => {
  it('visits each record once, also if the store names it twice, and never more than a hundred at once', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    for (let made = 0; made < 250; made++) await store.save(newKey(), TEXT, later(), undefined)
    const keys = await collect(store.keys!())
    let [underWay, most] = [0, 0]
    const visited: string[] = []
    await visitRecords(store, named([keys[0]!, ...keys]), async ({ key }) => {
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      visited.push(key)
      underWay--
    })
    assert.deepEqual(visited.sort(), keys.sort())
    assert.equal(most, 100)
  })

  it('finishes what is under way once it is told to stop, and begins no more', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    for (let made = 0; made < 250; made++) await store.save(newKey(), TEXT, later(), undefined)
    const stopping = new AbortController()
    let visited = 0
    await visitRecords(
      store,
      store.keys!(),
      async () => {
        if (++visited === 30) stopping.abort()
      },
      stopping.signal,
    )
    assert.equal(visited, 100)
  })
})

async function* named(keys: string[]): AsyncGenerator<string> {
  yield* keys
}
