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
    const hundred = gate()
    await visitRecords(store, named([keys[0]!, ...keys]), async ({ key }) => {
      most = Math.max(most, ++underWay)
      if (underWay === 100) hundred.open()
      await hundred.isOpen
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
    const stopped = gate()
    let [begun, finished] = [0, 0]
    await visitRecords(
      store,
      store.keys!(),
      async () => {
        if (++begun === 30) {
          stopping.abort()
          stopped.open()
        }
        await stopped.isOpen
        finished++
      },
      stopping.signal,
    )
    assert.ok(begun >= 30 && begun < 40, `${begun} begun`)
    assert.equal(finished, begun)
  })

  it('finishes what is under way before it says that the store cannot go on with its list', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const [one, two] = [newKey(), newKey()]
    const failed = gate()
    let finished = 0
    async function* cutOff(): AsyncGenerator<string> {
      yield* [one, two]
      failed.open()
      throw new Error('cut off')
    }
    const visiting = visitRecords(store, cutOff(), async () => {
      await failed.isOpen
      await new Promise(setImmediate)
      finished++
    })
    await assert.rejects(visiting, /^Error: cut off$/)
    assert.equal(finished, 2)
  })

  it('finishes what is under way before it rejects with what a visit did', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const [one, two] = [newKey(), newKey()]
    let finished = 0
    const visiting = visitRecords(store, named([one, two]), async ({ key }) => {
      if (key === one) throw new Error('refused')
      await new Promise(setImmediate)
      finished++
    })
    await assert.rejects(visiting, /^Error: refused$/)
    assert.equal(finished, 1)
  })

  it('gives others their turn, though the store answers at once', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    for (let made = 0; made < 50; made++) await store.save(newKey(), TEXT, later(), undefined)
    let [inThisTurn, most] = [0, 0]
    await visitRecords(store, store.keys!(), async () => {
      most = Math.max(most, ++inThisTurn)
      setImmediate(() => (inThisTurn = 0))
      for (const until = performance.now() + 2; performance.now() < until;); // a file system that takes its time
    })
    assert.ok(most <= 3, `${most} in one turn`)
  })
})

async function* named(keys: string[]): AsyncGenerator<string> {
  yield* keys
}

function gate(): { readonly isOpen: Promise<void>; open(): void } {
  let open!: () => void
  const isOpen = new Promise<void>((resolve) => (open = resolve))
  return { isOpen, open }
}
