import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { merge, newRecord, type Changes, type SessionRecord } from '../../src/record/record.ts'
import { MAX_TIMEOUT } from '../../src/timeouts.ts'
import { WorkingCopy, type SessionHost } from '../../src/session/working-copy.ts'
import type { Found } from '../../src/store.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { discreet } from '../support/secrecy.ts'

const SECRET = 'the-value-nobody-may-read'
const codec = new Codec()
const empty = newRecord(5, { idleTimeout: 1000, absoluteTimeout: 10_000, persistent: false })

function entriesOf(values: object): Map<string, Entry> {
  return new Map(Object.entries(values).map(([name, value]) => [name, new Entry(codec.encode(value, name))]))
}

/** A state over a record with this data; `seal` closes it. */
function stateWith(data: object = {}, { flash = {}, record = empty }: { flash?: object; record?: SessionRecord } = {}) {
  let seal: ReturnType<SessionHost['sealedBy']>
  const never = (): never => assert.fail('no I/O here')
  const actions: SessionHost = {
    save: never,
    reload: never,
    update: never,
    regenerate: never,
    destroy: never,
    signalOf: never,
    sealedBy: () => seal,
  }
  const loaded = { ...record, entries: entriesOf(data), flash: entriesOf(flash) }
  const state = new WorkingCopy(loaded, codec, actions, { key: 'a'.repeat(64), found: foundOf(loaded) })
  return { state, seal: (code: typeof seal) => (seal = code) }
}

function foundOf(parsed: SessionRecord): Found {
  return { text: 'as good as any', version: 1, expiresAt: 1000, parsed }
}

/** What would be stored: the names that were set with their values, and `undefined` for those that were deleted. */
function changed(changes: Changes | undefined): Record<string, unknown> | undefined {
  return changes && Object.fromEntries([...changes.entries].map(([name, entry]) => [name, entry?.read(codec)]))
}

function flashOf(record: SessionRecord): Record<string, unknown> {
  return Object.fromEntries([...record.flash].map(([name, entry]) => [name, entry.read(codec)]))
}

/** What a commit does, without the store. */
function commit(state: WorkingCopy): Changes | undefined {
  const changes = state.changes()
  if (changes) {
    const record = merge(state.record, changes)
    state.committed(foundOf(record), record, changes)
  }
  return changes
}

describe('WorkingCopy.changes()', () => {
  it('is nothing where all was only read', () => {
    const { state } = stateWith({
      a: 1,
      b: { c: [1] },
      when: new Date(0),
      many: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [index, {}])),
    })
    for (const name of state.names()) state.read(name)
    assert.equal(state.changes(), undefined)
  })

  it('is nothing where what was set is what was there', () => {
    const { state } = stateWith({ a: 1, b: { c: 1 }, when: new Date(0) })
    state.write('a', 1)
    state.write('b', { c: 1 })
    state.write('when', new Date(0))
    state.write('new', 1)
    state.write('new', undefined)
    state.write('never was', undefined)
    assert.equal(state.changes(), undefined)
  })

  it('has what was set, deleted, or changed inside, and nothing else', () => {
    const { state } = stateWith({
      same: { a: 1 },
      deep: { a: { b: [1] } },
      gone: 1,
      set: 1,
      when: new Date(0),
      tags: new Set(['a']),
    })
    state.read('same')
    ;(state.read('deep') as { a: { b: unknown[] } }).a.b.push(2)
    ;(state.read('when') as Date).setTime(5)
    ;(state.read('tags') as Set<string>).add('b')
    state.write('gone', undefined)
    state.write('set', { a: 1 })
    state.write('null', null)
    assert.deepEqual(changed(state.changes()), {
      deep: { a: { b: [1, 2] } },
      when: new Date(5),
      tags: new Set(['a', 'b']),
      gone: undefined,
      set: { a: 1 },
      null: null,
    })
  })

  it('has a value as it is when it is asked for, not as it was when it was set', () => {
    const { state } = stateWith()
    const cart = { items: [] as string[] }
    state.write('cart', cart)
    cart.items.push('pen')
    assert.deepEqual(changed(state.changes()), { cart: { items: ['pen'] } })
  })

  it('names the place of what cannot be stored', () => {
    const { state } = stateWith()
    state.write('cart', { items: [{ price: SECRET, total: () => SECRET }] })
    assert.throws(
      () => state.changes(),
      (error: Error) =>
        discreet('ERR_SESSION_VALUE', SECRET)(error) &&
        error.message.startsWith('session.cart.items[0].total cannot be stored'),
    )
  })

  it('is not nothing where a record must be made', () => {
    const { state } = stateWith()
    state.mustCreate = true
    assert.deepEqual(changed(state.changes()), {})
  })
})

describe('WorkingCopy.committed(found, record, changes)', () => {
  it('leaves nothing to be committed again', () => {
    const { state } = stateWith({ a: 1, b: { c: 1 }, d: 1 })
    state.write('a', 2)
    ;(state.read('b') as { c: number }).c = 2
    state.write('d', undefined)
    state.flash('note', 1)
    state.remember({})
    state.mustCreate = state.mustRead = true
    assert.ok(commit(state))
    assert.equal(state.changes(), undefined)
    assert.equal(state.mustRead, false)
    assert.deepEqual(state.names(), ['a', 'b'])
  })

  it('leaves what was changed while the commit was under way', () => {
    const { state } = stateWith({ a: 1, b: { c: 1 } })
    state.write('a', 2)
    state.read('b')
    state.flash('note', 1)
    state.remember({ idleTimeout: 5 })
    const changes = state.changes() as Changes
    state.write('a', 3)
    ;(state.read('b') as { c: number }).c = 2
    state.flash('another note', 2)
    state.flash('note', 3)
    state.remember({ absoluteTimeout: 7 })
    const record = merge(state.record, changes)
    state.committed(foundOf(record), record, changes)
    const rest = state.changes() as Changes
    assert.deepEqual(changed(rest), { a: 3, b: { c: 2 } })
    const next = merge(record, rest)
    assert.deepEqual(flashOf(next), { note: 3, 'another note': 2 })
    assert.deepEqual([next.idleTimeout, next.absoluteTimeout], [5, 7])
  })

  it('leaves a flash that was left while the commit of another was under way', () => {
    const { state } = stateWith()
    state.flash('note', 1)
    const changes = state.changes() as Changes
    state.flash('another note', 2)
    const record = merge(state.record, changes)
    state.committed(foundOf(record), record, changes)
    const rest = state.changes() as Changes
    assert.deepEqual([...(rest.flash?.keys() ?? [])], ['another note'])
    assert.deepEqual(flashOf(merge(record, rest)), { note: 1, 'another note': 2 })
  })

  it('notices a change and its undoing, each against what was stored last', () => {
    const { state } = stateWith({ a: { b: 1 } })
    const value = state.read('a') as { b: number }
    value.b = 2
    assert.deepEqual(changed(commit(state)), { a: { b: 2 } })
    value.b = 1
    assert.deepEqual(changed(commit(state)), { a: { b: 1 } })
    state.write('new', 1)
    commit(state)
    state.write('new', undefined)
    assert.deepEqual(changed(commit(state)), { new: undefined })
    assert.equal(state.changes(), undefined)
  })

  it('shows what others have stored meanwhile, where this request has nothing of its own', () => {
    const { state } = stateWith({ a: 1 })
    state.write('mine', 1)
    const changes = state.changes() as Changes
    const record = { ...merge(state.record, changes), entries: new Map(entriesOf({ a: 2, theirs: 3, mine: 1 })) }
    state.committed(foundOf(record), record, changes)
    assert.deepEqual([state.read('a'), state.read('theirs'), state.read('mine')], [2, 3, 1])
  })
})

describe('WorkingCopy.refresh(names)', () => {
  it('reads anew what this request has not changed, and keeps what it has', () => {
    const { state } = stateWith({ list: [1], mine: [1], count: 1 })
    state.read('list')
    ;(state.read('mine') as number[]).push(2)
    state.write('count', 1)
    state.record = { ...state.record, entries: entriesOf({ list: [5], mine: [5], count: 5 }) }
    state.refresh(['list', 'mine', 'count', 'never was'])
    assert.deepEqual([state.read('list'), state.read('mine'), state.read('count')], [[5], [1, 2], 5])
  })
})

describe('WorkingCopy.reset(stored)', () => {
  it('drops all that was done', () => {
    const { state } = stateWith({ a: { b: 1 } }, { flash: { note: 1 } })
    ;(state.read('a') as { b: number }).b = 2
    state.write('new', 1)
    state.flash('for the next', 1)
    state.remember({})
    const record = { ...state.record, entries: entriesOf({ a: { b: 3 } }), flash: entriesOf({ fresh: 1 }) }
    state.reset({ found: foundOf(record), record })
    assert.deepEqual(state.read('a'), { b: 3 })
    assert.deepEqual(state.names(), ['a'])
    assert.deepEqual([state.flash('note'), state.flash('fresh')], [undefined, 1])
    const changes = state.changes() as Changes
    assert.deepEqual([changes.entries.size, changes.flash, changes.terms], [0, undefined, undefined])
  })
})

describe('WorkingCopy.flash(key, value)', () => {
  it('is for the next request and not for this one, whatever this one commits in between', () => {
    const { state } = stateWith()
    state.flash('note', { a: 1 })
    assert.equal(state.flash('note'), undefined)
    commit(state)
    assert.equal(state.flash('note'), undefined)
    state.write('a', 1)
    commit(state)
    assert.deepEqual(flashOf(state.record), { note: { a: 1 } })
    assert.equal(state.changes(), undefined)
  })

  it('shows what an earlier request left until the end, and drops it with the first commit', () => {
    const { state } = stateWith({}, { flash: { note: { a: 1 }, other: 2 } })
    assert.deepEqual(state.flash('note'), { a: 1 })
    assert.ok(state.changes(), 'also if it was only looked at')
    commit(state)
    assert.deepEqual(flashOf(state.record), {})
    assert.deepEqual([state.flash('note'), state.flash('other')], [{ a: 1 }, 2])
    assert.equal(state.changes(), undefined)
  })

  it('may leave under the same key what was found there', () => {
    const { state } = stateWith({}, { flash: { note: 'same' } })
    state.flash('note', 'same')
    commit(state)
    state.write('a', 1)
    commit(state)
    assert.deepEqual(flashOf(state.record), { note: 'same' })
  })

  it('is a copy for each who reads, and stores what was in the value at the end', () => {
    const { state } = stateWith({}, { flash: { list: [1] } })
    ;(state.flash('list') as number[]).push(2)
    assert.deepEqual(state.flash('list'), [1])
    const list = ['a']
    state.flash('mine', list)
    list.push('b')
    commit(state)
    assert.deepEqual(flashOf(state.record), { mine: ['a', 'b'] })
  })

  it('has no name among the data', () => {
    const { state } = stateWith({ a: 1 }, { flash: { note: 1 } })
    state.flash('for the next', 1)
    assert.deepEqual(state.names(), ['a'])
    assert.equal(state.has('note'), false)
  })

  it('takes nothing but text as a key, because a record knows nothing else', () => {
    const { state } = stateWith()
    for (const key of [undefined, null, 5, Symbol(SECRET), {}]) {
      assert.throws(() => state.flash(key as string, SECRET), discreet('ERR_SESSION_VALUE', SECRET))
      assert.throws(() => state.flash(key as string), discreet('ERR_SESSION_VALUE', SECRET))
    }
    assert.equal(state.changes(), undefined)
  })

  it('names the place of what cannot be stored', () => {
    const { state } = stateWith()
    state.flash('note', { inner: () => SECRET })
    assert.throws(
      () => state.changes(),
      (error: Error) =>
        discreet('ERR_SESSION_VALUE', SECRET)(error) && /session\.flash\.note\.inner/.test(error.message),
    )
  })
})

describe('WorkingCopy.remember(options)', () => {
  it('makes the cookie persistent, and changes the timeouts that are given', () => {
    const { state } = stateWith()
    state.remember({ idleTimeout: 5 })
    assert.deepEqual(state.changes()?.terms, { persistent: true, idleTimeout: 5 })
    state.remember({ absoluteTimeout: 7 })
    assert.deepEqual(state.terms, { persistent: true, idleTimeout: 5, absoluteTimeout: 7 })
    commit(state)
    assert.equal(state.record.absoluteTimeout, 7)
  })

  it('refuses what is no length of time', () => {
    const { state } = stateWith()
    for (const wrong of [0, -1, NaN, Infinity, '5', null, MAX_TIMEOUT + 1]) {
      assert.throws(() => state.remember({ idleTimeout: wrong as number }), discreet('ERR_SESSION_OPTION'))
      assert.throws(() => state.remember({ absoluteTimeout: wrong as number }), discreet('ERR_SESSION_OPTION'))
    }
    assert.equal(state.changes(), undefined)
  })
})

describe('a session that can no longer be changed', () => {
  const writes: [name: string, write: (state: WorkingCopy) => void][] = [
    ['a value', (state) => state.write('user', SECRET)],
    ['a flash', (state) => state.flash('note', SECRET)],
    ['its terms', (state) => state.remember({})],
  ]
  for (const [what, write] of writes) {
    it(`says so, and what to do, when somebody sets ${what}`, () => {
      for (const code of ['ERR_SESSION_COMMITTED', 'ERR_SESSION_HEADERS_SENT'] as const) {
        const { state, seal } = stateWith()
        seal(code)
        assert.throws(
          () => write(state),
          (error: Error) => discreet(code, SECRET)(error) && /await.*session\.(?:update|save)/.test(error.message),
        )
      }
      for (const phase of ['destroyed', 'replaced'] as const) {
        const { state } = stateWith()
        state.phase = phase
        assert.throws(
          () => write(state),
          (error: Error) => discreet('ERR_SESSION_ENDED', SECRET)(error) && /getSession\(\)/.test(error.message),
        )
      }
    })
  }

  it('can still be read, unless it was destroyed', () => {
    const { state, seal } = stateWith({ a: 1 }, { flash: { note: 1 } })
    seal('ERR_SESSION_COMMITTED')
    assert.deepEqual([state.read('a'), state.flash('note')], [1, 1])
    state.phase = 'replaced'
    assert.deepEqual([state.read('a'), state.has('a'), state.names()], [1, true, ['a']])
    state.phase = 'destroyed'
    assert.deepEqual(
      [state.read('a'), state.has('a'), state.names(), state.flash('note')],
      [undefined, false, [], undefined],
    )
  })
})

describe('WorkingCopy.handOver(next, keep)', () => {
  function handedOver(keep: boolean | string[] | undefined): { next: WorkingCopy; data: object } {
    const { state } = stateWith({ a: 1, b: { c: 1 } }, { flash: { received: 1 } })
    state.write('d', 4)
    state.write('a', undefined)
    state.flash('left', 2)
    const { state: next } = stateWith()
    state.handOver(next, keep as never)
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
    assert.equal(next.flash('received'), 1)
    assert.deepEqual(flashOf((commit(next), next.record)), { left: 2 })
    for (const keep of [undefined, ['d']]) {
      const { next } = handedOver(keep)
      assert.equal(next.flash('received'), undefined)
      assert.deepEqual(flashOf((commit(next), next.record)), {})
    }
  })
})

describe('WorkingCopy.id', () => {
  it('is made when it is first needed, and is then always the same', () => {
    const { state } = stateWith()
    assert.equal(state.key, 'a'.repeat(64))
    const fresh = new WorkingCopy(empty, codec, state.actions)
    assert.equal(fresh.id, fresh.id)
    assert.equal(fresh.key, fresh.key)
    assert.notEqual(fresh.id, new WorkingCopy(empty, codec, state.actions).id)
  })
})
