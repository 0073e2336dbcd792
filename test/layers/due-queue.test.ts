import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DueQueue, type Task } from '../../src/layers/ends/due-queue.ts'

interface Named extends Task {
  readonly name: number
}

function task(name: number): Named {
  return { name, due: NaN }
}

describe('a due queue', () => {
  it('gives what is due, soonest first and at most so many, and keeps the rest', () => {
    const queue = new DueQueue<Named>()
    const [a, b, c] = [task(1), task(2), task(3)]
    queue.put(a, 30)
    queue.put(b, 10)
    queue.put(c, 20)
    assert.equal(queue.next, 10)
    assert.deepEqual(queue.take(9, 10), [])
    assert.deepEqual(queue.take(25, 1), [b])
    assert.deepEqual(queue.take(25, 10), [c])
    assert.deepEqual(queue.take(25, 10), [])
    assert.deepEqual(queue.take(30, 10), [a])
    assert.equal(queue.next, Infinity)
  })

  it('knows a task that was moved at its new instant only', () => {
    const queue = new DueQueue<Named>()
    const [a, b] = [task(1), task(2)]
    queue.put(a, 10)
    queue.put(b, 20)
    queue.put(a, 30)
    queue.put(b, 5)
    assert.deepEqual(queue.take(29, 10), [b])
    assert.deepEqual(queue.take(30, 10), [a])
  })

  it('forgets a task that was removed, and all of them', () => {
    const queue = new DueQueue<Named>()
    const [a, b] = [task(1), task(2)]
    queue.put(a, 10)
    queue.put(b, 10)
    queue.remove(a)
    assert.deepEqual(queue.take(10, 10), [b])
    queue.put(a, 10)
    queue.clear()
    assert.deepEqual([queue.take(10, 10), queue.next], [[], Infinity])
  })

  it('does what a sorted list does, whatever is put in, moved, removed and taken', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), name: fc.nat(15), due: fc.nat(50) }),
      fc.record({ kind: fc.constant('remove' as const), name: fc.nat(15) }),
      fc.record({ kind: fc.constant('take' as const), now: fc.nat(50), atMost: fc.nat(5) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new DueQueue<Named>()
        const tasks = Array.from({ length: 16 }, (_, name) => task(name))
        const model = new Map<number, number>()
        for (const step of steps) {
          if (step.kind === 'put') {
            queue.put(tasks[step.name]!, step.due)
            model.set(step.name, step.due)
          } else if (step.kind === 'remove') {
            queue.remove(tasks[step.name]!)
            model.delete(step.name)
          } else {
            const expected = [...model.values()].filter((due) => due <= step.now).sort((one, other) => one - other)
            const taken = queue.take(step.now, step.atMost)
            assert.deepEqual(
              taken.map(({ name }) => model.get(name)),
              expected.slice(0, step.atMost),
            )
            for (const { name } of taken) model.delete(name)
          }
        }
        assert.ok(queue.next <= Math.min(...model.values()))
      }),
    )
  })
})
