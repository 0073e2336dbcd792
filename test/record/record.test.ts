import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Entry } from '../../src/record/entry.ts'
import { endOf, merge, type Changes } from '../../src/record/record.ts'
import {
  CREATED_AT,
  TERMS,
  assertSame,
  empty,
  entriesOf,
  recordWith,
  records,
  values,
  valuesOf,
} from '../support/records/records.ts'

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
      { ...change({}), flashSeen: new Map() },
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
    const seen = new Map([['seen', record.flash.get('seen') as Entry]])
    const merged = merge(record, { ...change({}), flash: entriesOf({ added: 3 }), flashSeen: seen })
    assert.deepEqual(valuesOf(merged.flash), [
      ['other', 2],
      ['added', 3],
    ])
  })

  it('takes nothing away that was set anew since it was shown', () => {
    const shown = recordWith({}, { note: 'old' })
    const now = recordWith({}, { note: 'new' })
    assert.deepEqual(valuesOf(merge(now, { ...change({}), flashSeen: shown.flash }).flash), [['note', 'new']])
    const both = merge(shown, { ...change({}), flash: entriesOf({ note: 'mine' }), flashSeen: shown.flash })
    assert.deepEqual(valuesOf(both.flash), [['note', 'mine']])
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
