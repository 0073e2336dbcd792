import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Entry } from '../../src/record/entry.ts'
import type { Notice, Notices } from '../../src/record/notices.ts'
import { endOf, merge, type Changes } from '../../src/record/record.ts'
import {
  CREATED_AT,
  TERMS,
  assertSame,
  empty,
  entriesOf,
  flashOf,
  idsOf,
  noticesOf,
  recordWith,
  records,
  values,
  valuesOf,
} from '../support/records/records.ts'

/** What a request leaves: notices with ids of its own. */
function left(values: Parameters<typeof noticesOf>[0], request = 'mine'): Notices {
  const named = ({ id, entry }: Notice): Notice => ({ id: `${request} ${id}`, entry })
  return new Map(Array.from(noticesOf(values), ([key, list]) => [key, list.map(named)]))
}

describe('merge(record, changes)', () => {
  const change = (set: Record<string, unknown>, ...deleted: string[]): Changes => ({
    entries: new Map<string, Entry | undefined>([
      ...entriesOf(set),
      ...deleted.map((name) => [name, undefined] as const),
    ]),
  })

  it('sets and deletes these keys and leaves all others', () => {
    const record = recordWith({ a: 1, b: 2, c: 3 })
    const merged = merge(record, change({ b: 20, d: 4 }, 'c', 'never was'))
    assert.deepEqual(valuesOf(merged.entries), [
      ['a', 1],
      ['b', 20],
      ['d', 4],
    ])
    assert.deepEqual(
      valuesOf(record.entries),
      [
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ],
      'the record itself stays as it was',
    )
    assert.equal(merged.entries.get('a'), record.entries.get('a'), 'and what was decoded stays decoded')
  })

  it('gives the very same record if nothing is changed by it', () => {
    const record = recordWith({ a: 1 }, { note: 1 })
    for (const changes of [
      change({}),
      change({ a: 1 }),
      change({}, 'b'),
      { ...change({}), terms: { ...TERMS } },
      { ...change({}), flashSeen: new Set<string>() },
      { ...change({}), flashSeen: new Set(['taken by another']) },
      { ...change({}), flash: record.flash },
    ]) {
      assert.equal(merge(record, changes), record)
    }
  })

  it('commutes for changes of different keys', () => {
    const keysOf = (prefix: string) =>
      fc.dictionary(
        fc.string().map((name) => prefix + name),
        fc.option(values, { nil: 'deleted' }),
      )
    fc.assert(
      fc.property(records, keysOf('a'), keysOf('b'), (record, some, others) => {
        const toChanges = (set: Record<string, unknown>): Changes => ({
          entries: new Map(
            Object.entries(set).map(([name, value]) => [
              name,
              value === 'deleted' ? undefined : entriesOf({ name: value }).get('name'),
            ]),
          ),
        })
        const [first, second] = [toChanges(some), toChanges(others)]
        assertSame(merge(merge(record, first), second), merge(merge(record, second), first))
      }),
    )
  })

  it('changes the terms that are given and no others', () => {
    const merged = merge(recordWith({ a: 1 }), { ...change({}), terms: { persistent: true, idleTimeout: 5 } })
    assert.deepEqual(
      { ...merged, entries: 0, flash: 0 },
      { ...TERMS, createdAt: CREATED_AT, persistent: true, idleTimeout: 5, entries: 0, flash: 0 },
    )
  })

  it('adds what was left for the next request, and takes away what was shown', () => {
    const record = recordWith({}, { seen: 1, other: 2 })
    const seen = new Set(idsOf(record, 'seen'))
    const merged = merge(record, { ...change({}), flash: left({ added: 3, other: 4 }), flashSeen: seen })
    assert.deepEqual(flashOf(merged), { other: [2, 4], added: [3] })
    assert.deepEqual(flashOf(record), { seen: [1], other: [2] }, 'the record itself stays as it was')
  })

  it('adds a notice once, however often it is merged, because a save may be repeated', () => {
    const record = recordWith({}, { note: 1 })
    const changes = { ...change({}), flash: left({ note: 2 }) }
    const once = merge(record, changes)
    assert.deepEqual(flashOf(once), { note: [1, 2] })
    assert.equal(merge(once, changes), once)
  })

  it('takes nothing away that was left anew since it was shown, also if it says the same', () => {
    const shown = recordWith({}, { note: 'Saved' })
    const take = { ...change({}), flashSeen: new Set(idsOf(shown, 'note')) }
    const leave = { ...change({}), flash: left({ note: 'Saved' }) }
    const both = { ...leave, ...take }
    for (const steps of [[leave, take], [take, leave], [both], [take, leave, take]]) {
      const record = steps.reduce(merge, shown)
      assert.deepEqual([flashOf(record), idsOf(record, 'note')], [{ note: ['Saved'] }, ['mine #0']])
    }
  })

  it('commutes, but for the order of the notices, if two requests leave and take some', () => {
    const shown = recordWith({}, [
      ['note', 1],
      ['note', 2],
      ['other', 3],
    ])
    const one = { ...change({}), flash: left({ note: 4 }, 'one'), flashSeen: new Set(idsOf(shown, 'note')) }
    const two = { ...change({}), flash: left({ note: 4, new: 5 }, 'two'), flashSeen: new Set(idsOf(shown, 'other')) }
    for (const order of [
      [one, two],
      [two, one],
    ])
      assert.deepEqual(flashOf(order.reduce(merge, shown)), { note: [4, 4], new: [5] })
  })

  it('keeps a hundred notices of each key, the newest', () => {
    const many = Array.from({ length: 250 }, (_, index): [string, unknown] => ['note', index])
    let record = recordWith({}, { other: 'stays' })
    for (const [index, notice] of many.entries())
      record = merge(record, { ...change({}), flash: left([notice], `${index}`) })
    assert.deepEqual(flashOf(record), { other: ['stays'], note: many.slice(150).map(([, index]) => index) })
    assert.deepEqual(flashOf(merge(empty, { ...change({}), flash: left(many) })), { note: flashOf(record)['note'] })
  })
})

describe('endOf(record, now)', () => {
  it('is the idle timeout from now, and the absolute timeout from the beginning at the latest', () => {
    assert.equal(endOf(empty, CREATED_AT + 5), CREATED_AT + 5 + TERMS.idleTimeout)
    assert.equal(endOf(empty, CREATED_AT + TERMS.absoluteTimeout - 1), CREATED_AT + TERMS.absoluteTimeout)
    assert.equal(endOf(empty, CREATED_AT + 2 * TERMS.absoluteTimeout), CREATED_AT + TERMS.absoluteTimeout)
  })

  it('is a whole millisecond, because stores take nothing else', () => {
    assert.equal(endOf({ ...empty, idleTimeout: 1000 / 3 }, CREATED_AT), CREATED_AT + 333)
  })
})
