import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Operation, Operations } from '../../src/session/operation.ts'
import { collectedUntil } from '../support/processes/garbage.ts'

describe('what the end of a request waits for', () => {
  async function begun(work: () => Promise<unknown>, await_: boolean): Promise<Operations> {
    const operations = new Operations()
    const operation = Operation.begin(work)
    operations.add(operation)
    if (await_) await operation.catch(() => {})
    return operations
  }

  it('is an operation that is under way, and nothing once it has succeeded', async () => {
    let succeed = (): void => {}
    const work = (): Promise<void> => new Promise((resolve) => (succeed = resolve))
    const operations = await begun(work, false)
    assert.equal(operations.areLeft, true)
    const settled = operations.settle()
    succeed()
    await settled
    assert.equal(operations.areLeft, false)
    assert.equal((await begun(async () => 1, true)).areLeft, false)
  })

  it('is the failure of an operation, whenever it has failed', async () => {
    const failure = new Error('refused')
    const operations = await begun(() => Promise.reject(failure), false)
    await new Promise(setImmediate)
    assert.equal(operations.areLeft, true)
    await assert.rejects(operations.settle(), failure)
    const handled = await begun(() => Promise.reject(failure), true)
    await handled.settle()
    assert.equal(handled.areLeft, false)
  })

  it('keeps nothing of those that have succeeded, however many a long request begins', async () => {
    let count = 0
    const registry = new FinalizationRegistry(() => count++)
    const operations = new Operations()
    for (let n = 0; n < 100; n++) {
      const result = { n }
      registry.register(result, undefined)
      const operation = Operation.begin(async () => result)
      operations.add(operation)
      await operation
    }
    await collectedUntil(() => count >= 90)
    assert.ok(count >= 90, `${count} of 100`)
    assert.equal(operations.areLeft, false)
  })
})
