import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Operation, Operations } from '../../src/session/operation.ts'

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
})
