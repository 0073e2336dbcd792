import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { merge, newRecord, type Changes, type SessionRecord } from '../../src/record/record.ts'
import type { SessionHost } from '../../src/session/host.ts'
import { WorkingCopy } from '../../src/session/working-copy.ts'
import type { Found } from '../../src/store.ts'
import { codec, entriesOf, flashOf, noticesOf } from '../support/records/records.ts'
import { discreet } from '../support/secrecy.ts'

const SECRET = 'the-value-nobody-may-read'
const empty = newRecord(5, { idleTimeout: 1000, absoluteTimeout: 10_000, persistent: false })

/** A working copy over a record with this data; `seal` closes it. */
function copyWith(
  data: Record<string, unknown> = {},
  { flash = {}, record = empty }: { flash?: Record<string, unknown>; record?: SessionRecord } = {},
) {
  let seal: ReturnType<SessionHost['sealedBy']>
  const never = (): never => assert.fail('no I/O here')
  const host: SessionHost = {
    save: never,
    reload: never,
    update: never,
    regenerate: never,
    destroy: never,
    identify: never,
    signalOf: never,
    sealedBy: () => seal,
  }
  const loaded = { ...record, entries: entriesOf(data), flash: noticesOf(flash) }
  const copy = new WorkingCopy(loaded, codec, host, { key: 'a'.repeat(64), found: foundOf(loaded) })
  return { copy, seal: (code: typeof seal) => (seal = code) }
}

function foundOf(parsed: SessionRecord): Found {
  return { text: 'as good as any', version: 1, expiresAt: 1000, parsed }
}

/** What would be stored: the names that were set with their values, and `undefined` for those that were deleted. */
function changed(changes: Changes | undefined): Record<string, unknown> | undefined {
  return changes && Object.fromEntries([...changes.entries].map(([name, entry]) => [name, entry?.read(codec, name)]))
}

/** What a commit does, without the store. */
function commit(copy: WorkingCopy): Changes | undefined {
  const changes = copy.changes()
  if (changes) {
    const record = merge(copy.record, changes)
    copy.committed(foundOf(record), record, changes)
  }
  return changes
}

describe('WorkingCopy.changes()', () => {
  it('is nothing where all was only read', () => {
    const { copy } = copyWith({
      a: 1,
      b: { c: [1] },
      when: new Date(0),
      many: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [index, {}])),
    })
    for (const name of copy.names()) copy.read(name)
    assert.equal(copy.changes(), undefined)
  })

  it('is nothing where what was set is what was there', () => {
    const { copy } = copyWith({ a: 1, b: { c: 1 }, when: new Date(0) })
    copy.write('a', 1)
    copy.write('b', { c: 1 })
    copy.write('when', new Date(0))
    copy.write('new', 1)
    copy.write('new', undefined)
    copy.write('never was', undefined)
    assert.equal(copy.changes(), undefined)
  })

  it('has what was set, deleted, or changed inside, and nothing else', () => {
    const { copy } = copyWith({
      same: { a: 1 },
      deep: { a: { b: [1] } },
      gone: 1,
      set: 1,
      when: new Date(0),
      tags: new Set(['a']),
    })
    copy.read('same')
    ;(copy.read('deep') as { a: { b: unknown[] } }).a.b.push(2)
    ;(copy.read('when') as Date).setTime(5)
    ;(copy.read('tags') as Set<string>).add('b')
    copy.write('gone', undefined)
    copy.write('set', { a: 1 })
    copy.write('null', null)
    assert.deepEqual(changed(copy.changes()), {
      deep: { a: { b: [1, 2] } },
      when: new Date(5),
      tags: new Set(['a', 'b']),
      gone: undefined,
      set: { a: 1 },
      null: null,
    })
  })

  it('has a value as it is when it is asked for, not as it was when it was set', () => {
    const { copy } = copyWith()
    const cart = { items: [] as string[] }
    copy.write('cart', cart)
    cart.items.push('pen')
    assert.deepEqual(changed(copy.changes()), { cart: { items: ['pen'] } })
  })

  it('names the place of what cannot be stored', () => {
    const { copy } = copyWith()
    copy.write('cart', { items: [{ price: SECRET, total: () => SECRET }] })
    assert.throws(
      () => copy.changes(),
      (error: Error) =>
        discreet('ERR_SESSION_VALUE', SECRET)(error) &&
        error.message.startsWith('session.cart.items[0].total cannot be stored'),
    )
  })

  it('is not nothing where a record must be made', () => {
    const { copy } = copyWith()
    copy.demandRecord()
    assert.deepEqual(changed(copy.changes()), {})
  })
})

describe('WorkingCopy.committed(found, record, changes)', () => {
  it('leaves nothing to be committed again', () => {
    const { copy } = copyWith({ a: 1, b: { c: 1 }, d: 1 })
    copy.write('a', 2)
    ;(copy.read('b') as { c: number }).c = 2
    copy.write('d', undefined)
    copy.flash('note', 1)
    copy.remember({})
    copy.demandRecord()
    copy.outcomeUnknown()
    assert.ok(commit(copy))
    assert.equal(copy.changes(), undefined)
    assert.equal(copy.mustRead, false)
    assert.deepEqual(copy.names(), ['a', 'b'])
  })

  it('leaves what was changed while the commit was under way', () => {
    const { copy } = copyWith({ a: 1, b: { c: 1 } })
    copy.write('a', 2)
    copy.read('b')
    copy.flash('note', 1)
    copy.remember({ idleTimeout: 5 })
    const changes = copy.changes() as Changes
    copy.write('a', 3)
    ;(copy.read('b') as { c: number }).c = 2
    copy.flash('another note', 2)
    copy.flash('note', 3)
    copy.remember({ absoluteTimeout: 7 })
    const record = merge(copy.record, changes)
    copy.committed(foundOf(record), record, changes)
    const rest = copy.changes() as Changes
    assert.deepEqual(changed(rest), { a: 3, b: { c: 2 } })
    const next = merge(record, rest)
    assert.deepEqual(flashOf(next), { note: [1, 3], 'another note': [2] })
    assert.deepEqual([next.idleTimeout, next.absoluteTimeout], [5, 7])
  })

  it('leaves a flash that was left while the commit of another was under way', () => {
    const { copy } = copyWith()
    copy.flash('note', 1)
    const changes = copy.changes() as Changes
    copy.flash('another note', 2)
    const record = merge(copy.record, changes)
    copy.committed(foundOf(record), record, changes)
    const rest = copy.changes() as Changes
    assert.deepEqual([...(rest.flash?.keys() ?? [])], ['another note'])
    assert.deepEqual(flashOf(merge(record, rest)), { note: [1], 'another note': [2] })
  })

  it('leaves the terms that were changed while it was under way, also if they were set together with others', () => {
    const { copy } = copyWith()
    copy.remember({ idleTimeout: 5 })
    copy.identify({ subject: 'ada', label: 'laptop' })
    const changes = copy.changes()
    copy.remember({ idleTimeout: 6 })
    const record = merge(copy.record, changes as Changes)
    copy.committed(foundOf(record), record, { ...(changes as Changes) })
    assert.deepEqual(copy.changes()?.terms, { idleTimeout: 6 })
    copy.identify({ subject: 'ada', label: undefined })
    assert.deepEqual(copy.changes()?.terms, { idleTimeout: 6, subject: 'ada', label: undefined, turn: undefined })
  })

  it('leaves to the next request the flash of others that came with it', () => {
    const { copy } = copyWith()
    const record = { ...copy.record, flash: noticesOf({ note: 'theirs' }) }
    copy.committed(foundOf(record), record)
    copy.flash('own', 1)
    assert.equal(copy.changes()?.flashSeen, undefined)
    assert.equal(copy.flashes('note').at(-1), undefined)
  })

  it('notices a change and its undoing, each against what was stored last', () => {
    const { copy } = copyWith({ a: { b: 1 } })
    const value = copy.read('a') as { b: number }
    value.b = 2
    assert.deepEqual(changed(commit(copy)), { a: { b: 2 } })
    value.b = 1
    assert.deepEqual(changed(commit(copy)), { a: { b: 1 } })
    copy.write('new', 1)
    commit(copy)
    copy.write('new', undefined)
    assert.deepEqual(changed(commit(copy)), { new: undefined })
    assert.equal(copy.changes(), undefined)
  })

  it('shows what others have stored meanwhile, where this request has nothing of its own', () => {
    const { copy } = copyWith({ a: 1 })
    copy.write('mine', 1)
    const changes = copy.changes() as Changes
    const record = { ...merge(copy.record, changes), entries: new Map(entriesOf({ a: 2, theirs: 3, mine: 1 })) }
    copy.committed(foundOf(record), record, changes)
    assert.deepEqual([copy.read('a'), copy.read('theirs'), copy.read('mine')], [2, 3, 1])
  })
})

describe('WorkingCopy.catchUp(record, keep, found)', () => {
  it('reads anew what this request has not changed, and keeps what it has', () => {
    const { copy } = copyWith({ list: [1], mine: [1], count: 1 })
    copy.read('list')
    ;(copy.read('mine') as number[]).push(2)
    copy.write('count', 1)
    const newest = { ...copy.record, entries: entriesOf({ list: [5], mine: [5], count: 5 }) }
    copy.catchUp(newest, true, foundOf(newest))
    assert.deepEqual([copy.read('list'), copy.read('mine'), copy.read('count')], [[5], [1, 2], 5])
  })
})

describe('WorkingCopy.reset(stored)', () => {
  it('drops all that was done', () => {
    const { copy } = copyWith({ a: { b: 1 } }, { flash: { note: 1 } })
    ;(copy.read('a') as { b: number }).b = 2
    copy.write('new', 1)
    copy.flash('for the next', 1)
    copy.remember({})
    const record = { ...copy.record, entries: entriesOf({ a: { b: 3 } }), flash: noticesOf({ fresh: 1 }) }
    copy.reset({ found: foundOf(record), record })
    assert.deepEqual(copy.read('a'), { b: 3 })
    assert.deepEqual(copy.names(), ['a'])
    assert.deepEqual([copy.flashes('note').at(-1), copy.flashes('fresh').at(-1)], [undefined, 1])
    const changes = copy.changes() as Changes
    assert.deepEqual([changes.entries.size, changes.flash, changes.terms], [0, undefined, undefined])
  })
})

describe('WorkingCopy.flash(key, value)', () => {
  it('is for the next request and not for this one, whatever this one commits in between', () => {
    const { copy } = copyWith()
    copy.flash('note', { a: 1 })
    assert.equal(copy.flashes('note').at(-1), undefined)
    commit(copy)
    assert.equal(copy.flashes('note').at(-1), undefined)
    copy.write('a', 1)
    commit(copy)
    assert.deepEqual(flashOf(copy.record), { note: [{ a: 1 }] })
    assert.equal(copy.changes(), undefined)
  })

  it('shows what an earlier request left until the end, and drops it with the first commit', () => {
    const { copy } = copyWith({}, { flash: { note: { a: 1 }, other: 2 } })
    assert.deepEqual(copy.flashes('note').at(-1), { a: 1 })
    assert.ok(copy.changes(), 'also if it was only looked at')
    commit(copy)
    assert.deepEqual(flashOf(copy.record), { other: [2] }, 'and nothing that nobody has asked for')
    assert.deepEqual(copy.flashes('note').at(-1), { a: 1 })
    assert.equal(copy.changes(), undefined)
  })

  it('may leave under the same key what was found there', () => {
    const { copy } = copyWith({}, { flash: { note: 'same' } })
    copy.flash('note', copy.flashes('note').at(-1))
    commit(copy)
    copy.write('a', 1)
    commit(copy)
    assert.deepEqual(flashOf(copy.record), { note: ['same'] })
  })

  it('puts none in the place of another, and stores each once', () => {
    const { copy } = copyWith({}, { flash: { error: 'waiting' } })
    for (const text of ['first', 'second']) copy.flash('error', text)
    commit(copy)
    copy.flash('error', 'third')
    commit(copy)
    assert.equal(copy.changes(), undefined)
    assert.deepEqual(flashOf(copy.record), { error: ['waiting', 'first', 'second', 'third'] })
    const { copy: next } = copyWith({}, { record: copy.record })
    assert.deepEqual(next.flashes('error'), [])
  })

  it('is a copy for each who reads, and stores what was in the value at the end', () => {
    const { copy } = copyWith({}, { flash: { list: [1] } })
    ;(copy.flashes('list').at(-1) as number[]).push(2)
    assert.deepEqual(copy.flashes('list').at(-1), [1])
    const list = ['a']
    copy.flash('mine', list)
    list.push('b')
    commit(copy)
    assert.deepEqual(flashOf(copy.record), { mine: [['a', 'b']] })
  })

  it('has no name among the data', () => {
    const { copy } = copyWith({ a: 1 }, { flash: { note: 1 } })
    copy.flash('for the next', 1)
    assert.deepEqual(copy.names(), ['a'])
    assert.equal(copy.has('note'), false)
  })

  it('names the place of what cannot be stored', () => {
    const { copy } = copyWith()
    copy.flash('note', { inner: () => SECRET })
    assert.throws(
      () => copy.changes(),
      (error: Error) =>
        discreet('ERR_SESSION_VALUE', SECRET)(error) && /session\.flash\.note\.inner/.test(error.message),
    )
  })
})

describe('WorkingCopy.remember(options)', () => {
  it('makes the cookie persistent, and changes the timeouts that are given', () => {
    const { copy } = copyWith()
    copy.remember({ idleTimeout: 5 })
    assert.deepEqual(copy.changes()?.terms, { persistent: true, idleTimeout: 5 })
    copy.remember({ absoluteTimeout: 7 })
    assert.deepEqual(copy.terms, { persistent: true, idleTimeout: 5, absoluteTimeout: 7 })
    commit(copy)
    assert.equal(copy.record.absoluteTimeout, 7)
  })
})

describe('a session that can no longer be changed', () => {
  const writes: [name: string, write: (copy: WorkingCopy) => void][] = [
    ['a value', (copy) => copy.write('user', SECRET)],
    ['a flash', (copy) => copy.flash('note', SECRET)],
    ['its terms', (copy) => copy.remember({})],
  ]
  for (const [what, write] of writes) {
    it(`says so, and what to do, when somebody sets ${what}`, () => {
      for (const code of ['ERR_SESSION_COMMITTED', 'ERR_SESSION_HEADERS_SENT'] as const) {
        const { copy, seal } = copyWith()
        seal(code)
        assert.throws(
          () => write(copy),
          (error: Error) => discreet(code, SECRET)(error) && /await.*session\.(?:update|save)/.test(error.message),
        )
      }
      for (const phase of ['destroyed', 'replaced'] as const) {
        const { copy } = copyWith()
        if (phase === 'destroyed') copy.end()
        else copy.replaced()
        assert.throws(
          () => write(copy),
          (error: Error) => discreet('ERR_SESSION_ENDED', SECRET)(error) && /getSession\(\)/.test(error.message),
        )
      }
    })
  }

  it('can still be read, unless it was destroyed', () => {
    const { copy, seal } = copyWith({ a: 1 }, { flash: { note: 1 } })
    seal('ERR_SESSION_COMMITTED')
    assert.deepEqual([copy.read('a'), copy.flashes('note').at(-1)], [1, 1])
    copy.replaced()
    assert.deepEqual([copy.read('a'), copy.has('a'), copy.names()], [1, true, ['a']])
    const destroyed = copyWith({ a: 1 }, { flash: { note: 1 } }).copy
    destroyed.end()
    assert.deepEqual(
      [destroyed.read('a'), destroyed.has('a'), destroyed.names(), destroyed.flashes('note').at(-1)],
      [undefined, false, [], undefined],
    )
  })
})

describe('the phase of a working copy', () => {
  const moves = (copy: WorkingCopy): Record<string, () => void> => ({
    end: () => copy.end(),
    reopen: () => copy.reopen(),
    replaced: () => copy.replaced(),
  })
  const machine: [from: string[], move: string, to: string][] = [
    [[], 'end', 'destroyed'],
    [[], 'reopen', 'open'],
    [[], 'replaced', 'replaced'],
    [['end'], 'reopen', 'open'],
    [['end'], 'end', 'destroyed'],
    [['end'], 'replaced', 'destroyed'],
    [['replaced'], 'end', 'replaced'],
    [['replaced'], 'reopen', 'replaced'],
  ]
  for (const [before, move, phase] of machine) {
    it(`is ${phase} after ${[...before, move].join(', ')}`, () => {
      const { copy } = copyWith()
      for (const name of [...before, move]) moves(copy)[name]?.()
      assert.deepEqual([copy.phase, copy.isOpen], [phase, phase === 'open'])
    })
  }

  it('aborts a signal that is asked for after the end', () => {
    const { copy } = copyWith()
    const before = copy.demandEndSignal()
    assert.equal(before.signal.aborted, false)
    copy.end()
    assert.equal(copy.demandEndSignal(), before)
    assert.equal(before.signal.aborted, true)
  })
})

describe('WorkingCopy.handOver(next, keep)', () => {
  function handedOver(keep: boolean | string[] | undefined): { next: WorkingCopy; data: object } {
    const { copy } = copyWith({ a: 1, b: { c: 1 } }, { flash: { received: 1 } })
    copy.write('d', 4)
    copy.write('a', undefined)
    copy.flash('left', 2)
    const { copy: next } = copyWith()
    copy.handOver(next, keep as never)
    return { next, data: Object.fromEntries(next.names().map((name) => [name, next.read(name)])) }
  }

  it('hands on nothing, these keys, or everything as it stands', () => {
    assert.deepEqual(handedOver(undefined).data, {})
    assert.deepEqual(handedOver(false).data, {})
    assert.deepEqual(handedOver(['d', 'a', 'never was']).data, { d: 4 })
    assert.deepEqual(handedOver(true).data, { b: { c: 1 }, d: 4 })
  })

  it('hands on with everything what was received by flash and what was left for the next request', () => {
    const { next } = handedOver(true)
    assert.equal(next.flashes('received').at(-1), 1)
    assert.deepEqual(flashOf((commit(next), next.record)), { left: [2] })
    for (const keep of [undefined, ['d']]) {
      const { next } = handedOver(keep)
      assert.equal(next.flashes('received').at(-1), undefined)
      assert.deepEqual(flashOf((commit(next), next.record)), {})
    }
  })
})

describe('WorkingCopy.token', () => {
  it('is made when it is first needed, and is then always the same', () => {
    const { copy } = copyWith()
    assert.equal(copy.key, 'a'.repeat(64))
    const fresh = new WorkingCopy(empty, codec, copy.host)
    assert.equal(fresh.token, fresh.token)
    assert.equal(fresh.key, fresh.key)
    assert.notEqual(fresh.token, new WorkingCopy(empty, codec, copy.host).token)
  })
})
