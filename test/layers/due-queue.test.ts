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

describe('an agenda', () => {
  it('gives what is due, soonest first and at most so many, and keeps the rest', () => {
    const agenda = new DueQueue<Named>()
    const [a, b, c] = [task(1), task(2), task(3)]
    agenda.put(a, 30)
    agenda.put(b, 10)
    agenda.put(c, 20)
    assert.equal(agenda.next, 10)
    assert.deepEqual(agenda.take(9, 10), [])
    assert.deepEqual(agenda.take(25, 1), [b])
    assert.deepEqual(agenda.take(25, 10), [c])
    assert.deepEqual(agenda.take(25, 10), [])
    assert.deepEqual(agenda.take(30, 10), [a])
    assert.equal(agenda.next, Infinity)
  })

  it('knows a task that was moved at its new instant only', () => {
    const agenda = new DueQueue<Named>()
    const [a, b] = [task(1), task(2)]
    agenda.put(a, 10)
    agenda.put(b, 20)
    agenda.put(a, 30)
    agenda.put(b, 5)
    assert.deepEqual(agenda.take(29, 10), [b])
    assert.deepEqual(agenda.take(30, 10), [a])
  })

  it('forgets a task that was removed, and all of them', () => {
    const agenda = new DueQueue<Named>()
    const [a, b] = [task(1), task(2)]
    agenda.put(a, 10)
    agenda.put(b, 10)
    agenda.remove(a)
    assert.deepEqual(agenda.take(10, 10), [b])
    agenda.put(a, 10)
    agenda.clear()
    assert.deepEqual([agenda.take(10, 10), agenda.next], [[], Infinity])
  })

  it('does what a sorted list does, whatever is put in, moved, removed and taken', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), name: fc.nat(15), due: fc.nat(50) }),
      fc.record({ kind: fc.constant('remove' as const), name: fc.nat(15) }),
      fc.record({ kind: fc.constant('take' as const), now: fc.nat(50), atMost: fc.nat(5) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const agenda = new DueQueue<Named>()
        const tasks = Array.from({ length: 16 }, (_, name) => task(name))
        const model = new Map<number, number>()
        for (const step of steps) {
          if (step.kind === 'put') {
            agenda.put(tasks[step.name]!, step.due)
            model.set(step.name, step.due)
          } else if (step.kind === 'remove') {
            agenda.remove(tasks[step.name]!)
            model.delete(step.name)
          } else {
            const expected = [...model.values()].filter((due) => due <= step.now).sort((one, other) => one - other)
            const taken = agenda.take(step.now, step.atMost)
            assert.deepEqual(
              taken.map(({ name }) => model.get(name)),
              expected.slice(0, step.atMost),
            )
            for (const { name } of taken) model.delete(name)
          }
        }
        assert.ok(agenda.next <= Math.min(...model.values()))
      }),
    )
  })
})
