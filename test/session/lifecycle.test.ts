import assert from 'node:assert/strict'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { newToken, keyOf } from '../../src/session/token.ts'
import { Codec } from '../../src/record/codec.ts'
import { Lifecycle } from '../../src/session/lifecycle.ts'
import type { Store } from '../../src/store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { discreet } from '../support/secrecy.ts'
import { visits, type Visits } from '../support/visit.ts'

const SECRET = 'the-value-nobody-may-read'
const MINUTE = 60_000

function recorded(): Visits & { store: RecordingStore } {
  const store = recordingStore()
  return { ...visits({ store }), store }
}

function mockDate(test: TestContext): void {
  test.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
}

describe('a new session', () => {
  it('is not stored for nothing: not for being read, nor for keys that came and went', async () => {
    const { stranger, store } = recorded()
    const { session, end } = stranger()
    assert.deepEqual({ ...session }, {})
    session['a'] = 1
    delete session['a']
    assert.equal(await end(), 'unchanged')
    assert.deepEqual(store.calls, [])
  })

  const reasons: [what: string, use: (session: ReturnType<Visits['stranger']>['session']) => unknown][] = [
    ['a value', (session) => (session['a'] = 0)],
    ['a flash', (session) => session.flash('note', 1)],
    ['remember', (session) => session.remember({})],
    ['update', (session) => session.update((fresh) => void Object.assign(fresh, { a: 1 }))],
  ]
  for (const [what, use] of reasons) {
    it(`is stored for ${what}`, async () => {
      const { stranger, store, returning } = recorded()
      const visit = stranger()
      await use(visit.session)
      await visit.end()
      assert.equal(store.count('save'), 1)
      assert.equal((await returning(visit.copy.key)).session.isNew, false)
    })
  }

  it('is stored for regenerate, when the request ends', async () => {
    const { stranger, store } = recorded()
    const visit = stranger()
    const { id } = visit.session
    await visit.session.regenerate()
    assert.deepEqual(store.calls, [])
    assert.notEqual(visit.session.id, id)
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual(store.calls, ['save'])
  })

  it('needs no store to be read again, or to be ended', async () => {
    const { stranger, store } = recorded()
    const visit = stranger()
    visit.session['a'] = 1
    await visit.session.reload()
    assert.deepEqual({ ...visit.session }, {})
    await visit.session.destroy()
    assert.equal(await visit.end(), 'unchanged')
    assert.deepEqual(store.calls, [])
  })

  it('may begin with a cookie that outlives the browser, also after regenerate', async () => {
    const { stranger } = visits({ persistent: true })
    const visit = stranger()
    assert.equal(visit.copy.record.persistent, true)
    await visit.session.regenerate()
    assert.equal(visit.copy.record.persistent, true)
  })
})

describe('a session that comes back', () => {
  it('has what was put into it, and costs one load and no save', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann', cart: { items: [1] } })
    store.calls.length = 0
    const visit = await returning(key)
    assert.deepEqual({ ...visit.session }, { user: 'ann', cart: { items: [1] } })
    assert.equal(await visit.end(), 'unchanged')
    assert.deepEqual(store.calls, ['load'])
  })

  it('stays when all its keys are deleted', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ user: 'ann' })
    const visit = await returning(key)
    delete visit.session['user']
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual({ ...(await returning(key)).session }, {})
  })

  it('is none if the store has none, and is counted as missed', async () => {
    const { lifecycle, diagnostics } = recorded()
    assert.equal(await lifecycle.load(keyOf(newToken())), 'missing')
    assert.equal(diagnostics.stats.misses, 1)
  })

  it('is none after its absolute timeout, whatever the store thinks', async (t) => {
    mockDate(t)
    const { stored, lifecycle, store } = recorded()
    const key = await stored({ user: 'ann' })
    await store.elsewhere.touch(key, Date.now() + 1000 * MINUTE)
    t.mock.timers.tick(10 * MINUTE - 1)
    assert.equal(typeof (await lifecycle.load(key)), 'object')
    t.mock.timers.tick(1)
    assert.equal(await lifecycle.load(key), 'missing')
  })

  it('is none after its idle timeout, whatever the store thinks', async (t) => {
    mockDate(t)
    const { stored, store } = recorded()
    const key = await stored({ user: 'ann' })
    const lazy = visits({
      store: {
        ...store,
        load: async (key) => {
          const now = Date.now()
          t.mock.timers.setTime(1_700_000_000_000)
          const found = await store.load(key)
          t.mock.timers.setTime(now)
          return found
        },
      },
    })
    t.mock.timers.tick(MINUTE)
    assert.equal(await lazy.lifecycle.load(key), 'missing')
  })

  it('is none if its record cannot be read, which is told and left alone', async (t) => {
    const { lifecycle, diagnostics, store } = recorded()
    const told: unknown[] = []
    const onMessage = (message: unknown): void => void told.push(message)
    channel('koa-server-session:error').subscribe(onMessage)
    t.after(() => channel('koa-server-session:error').unsubscribe(onMessage))
    const key = keyOf(newToken())
    await store.elsewhere.save(key, SECRET, Date.now() + MINUTE, undefined)
    assert.equal(await lifecycle.load(key), 'unreadable')
    const atOnce = visits({ store: store.elsewhere })
    assert.equal(atOnce.lifecycle.load(key), 'unreadable')
    assert.equal(diagnostics.stats.errors, 1)
    assert.equal(told.length, 2)
    assert.ok(discreet('ERR_SESSION_UNREADABLE', SECRET, key)((told[0] as { error: unknown }).error))
    assert.equal((await store.elsewhere.load(key))?.text, SECRET)
  })
})

describe('a commit', () => {
  it('keeps what two requests did to different keys', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1, b: { c: 1 } })
    const [first, second] = [await returning(key), await returning(key)]
    first.session['a'] = 2
    second.session['b'].c = 2
    assert.deepEqual(await Promise.all([first.end(), second.end()]), ['saved', 'saved'])
    assert.deepEqual({ ...(await returning(key)).session }, { a: 2, b: { c: 2 } })
  })

  it('drops the changes if the session was ended meanwhile, and the session is empty from then on', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ a: 1 })
    const late = await returning(key)
    await (await returning(key)).session.destroy()
    late.session['a'] = 2
    assert.equal(await late.end(), 'gone')
    assert.deepEqual({ ...late.session }, {})
    assert.throws(() => (late.session['a'] = 3), discreet('ERR_SESSION_ENDED'))
    assert.equal(await late.end(), 'unchanged')
    assert.equal(await store.elsewhere.load(key), undefined)
  })

  it('by save() rejects if the session was ended meanwhile', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const late = await returning(key)
    await (await returning(key)).session.destroy()
    late.session['a'] = SECRET
    await assert.rejects(late.session.save(), discreet('ERR_SESSION_GONE', SECRET, key))
  })

  it('by save() leaves nothing to the end of the request but what came later', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ a: 1 })
    const visit = await returning(key)
    visit.session['a'] = 2
    await visit.session.save()
    assert.equal(await visit.end(), 'unchanged')
    visit.session['b'] = 3
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual({ ...(await returning(key)).session }, { a: 2, b: 3 })
    assert.equal(store.count('save'), 3)
  })

  it('that nobody waited for is done when the next one is', async () => {
    const { stranger, store, returning } = recorded()
    const visit = stranger()
    const held = store.hold('save')
    visit.session['a'] = 1
    const first = visit.session.save()
    await held.arrived
    visit.session['b'] = 2
    const second = visit.end()
    held.release()
    assert.equal(await second, 'saved')
    await first
    assert.deepEqual({ ...(await returning(visit.copy.key)).session }, { a: 1, b: 2 })
  })

  it('of which nobody knows the outcome is read before it is tried again', async () => {
    const { stored, returning, store: recording } = recorded()
    const key = await stored({ a: 1 })
    const visit = await returning(key)
    visit.session['a'] = 2
    recording.fail('save', new Error('cut'), 'after')
    await assert.rejects(visit.session.save(), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    recording.calls.length = 0
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual(recording.calls, ['load'])
    assert.equal((await returning(key)).session['a'], 2)
  })

  it('of a new session, of which nobody knows the outcome, makes one record and no two', async () => {
    for (const when of ['before', 'after'] as const) {
      const { stranger, returning, store: recording } = recorded()
      const visit = stranger()
      visit.session['a'] = 1
      recording.fail('save', new Error('cut'), when)
      await assert.rejects(visit.session.save(), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
      await visit.session.save()
      assert.equal(visit.session.isNew, false)
      assert.deepEqual({ ...(await returning(visit.copy.key)).session }, { a: 1 })
    }
  })
})

describe('update(change)', () => {
  it('is exact, however many run at once', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ count: 0 })
    const increment = async (visit: Awaited<ReturnType<Visits['returning']>>): Promise<number> =>
      visit.session.update((session) => (session['count'] += 1))
    const requests = await Promise.all(Array.from({ length: 10 }, () => returning(key)))
    const results = await Promise.all(requests.flatMap((visit) => Array.from({ length: 10 }, () => increment(visit))))
    assert.deepEqual(
      results.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, index) => index + 1),
    )
    assert.equal((await returning(key)).session['count'], 100)
    assert.ok(store.count('save') <= 4)
  })

  it('commits what was changed before it once, however many run at once', async () => {
    for (const isNew of [false, true]) {
      const { stored, returning, stranger } = recorded()
      const visit = isNew ? stranger() : await returning(await stored({ count: 50 }))
      visit.session['count'] = 0
      await Promise.all(
        Array.from({ length: 10 }, () => visit.session.update((session) => void (session['count'] += 1))),
      )
      assert.equal((await returning(visit.copy.key)).session['count'], 10)
      assert.equal(visit.session['count'], 10)
    }
  })

  it('commits with a save that nobody waited for what was changed once', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ count: 50 }))
    visit.session['count'] = 0
    const increment = (): Promise<unknown> => visit.session.update((session) => (session['count'] += 1))
    await Promise.all([visit.session.save(), increment(), increment(), visit.session.save(), increment()])
    await visit.end()
    assert.equal((await returning(visit.copy.key)).session['count'], 3)
  })

  it('keeps what was set while it was under way', async () => {
    const { stored, returning, store } = recorded()
    const visit = await returning(await stored({ a: 1 }))
    const held = store.hold('save')
    const updating = visit.session.update((session) => void (session['a'] = 2))
    await held.arrived
    visit.session['a'] = 3
    held.release()
    await updating
    assert.equal(visit.session['a'], 3)
    await visit.end()
    assert.equal((await returning(visit.copy.key)).session['a'], 3)
  })

  it('shows this request what it did, also to objects that had been read', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ list: [1] }))
    assert.deepEqual(visit.session['list'], [1])
    await visit.session.update((session) => void session['list'].push(2))
    assert.deepEqual(visit.session['list'], [1, 2])
    assert.equal(await visit.end(), 'unchanged')
  })

  it('sees what other requests have stored', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const visit = await returning(key)
    const other = await returning(key)
    other.session['a'] = 2
    await other.end()
    assert.equal(await visit.session.update((session) => session['a']), 2, 'also if it changes nothing')
  })

  it('that changes nothing asks the store itself, and no cache that has yet to hear of a change', async () => {
    const source = recordingStore({ power: 'watch' })
    const cache = { max: 100, maxBytes: 1_000_000, maxAge: MINUTE, allowStale: false }
    const here = visits({ store: source, cache })
    const elsewhere = visits({ store: source.elsewhere })
    const key = await here.stored({ seat: 'free' })
    const visit = await here.returning(key)
    const other = await elsewhere.returning(key)
    other.session['seat'] = 'taken'
    await other.end()
    assert.equal((await here.returning(key)).session['seat'], 'free', 'the cache has not heard of it')
    assert.equal(await visit.session.update((session) => session['seat']), 'taken')
    assert.equal(
      (await here.returning(key)).session['seat'],
      'taken',
      'what the update saw is shown to all from then on',
    )
    await other.session.destroy()
    assert.ok(await here.returning(key), 'the cache has not heard of that either')
    await assert.rejects(
      visit.session.update(() => {}),
      discreet('ERR_SESSION_GONE'),
    )
  })

  it('costs the thousandth time what it costs the hundredth, in a session that stays open as long as a socket', async () => {
    let encoded = 0
    const serializer = { stringify: (value: unknown) => (encoded++, JSON.stringify(value)), parse: JSON.parse }
    const { stored, returning } = visits({ codec: new Codec(serializer) })
    const { session } = await returning(await stored({ list: [0] }))
    const costs: number[] = []
    for (let n = 1; n <= 1000; n++) {
      encoded = 0
      await session.update((fresh) => (fresh['list'] = [n]))
      costs.push(encoded)
    }
    assert.ok(costs[999]! <= costs[99]!, `${costs[99]} values compared, then ${costs[999]}`)
  })

  it('rejects with what the function throws, and stores nothing', async () => {
    const { stored, returning, store } = recorded()
    const visit = await returning(await stored({ a: 1 }))
    const error = new Error('of the function')
    store.calls.length = 0
    await assert.rejects(
      visit.session.update((session) => {
        session['a'] = 2
        throw error
      }),
      error,
    )
    assert.deepEqual([visit.session['a'], store.calls], [1, []])
  })

  it('rejects if the session is gone, or was ended here', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const [visit, other] = [await returning(key), await returning(key)]
    await other.session.destroy()
    await assert.rejects(
      other.session.update(() => {}),
      discreet('ERR_SESSION_ENDED'),
    )
    await assert.rejects(
      visit.session.update((session) => void (session['a'] = 2)),
      discreet('ERR_SESSION_GONE'),
    )
    await assert.rejects(
      visit.session.update(() => {}),
      discreet('ERR_SESSION_ENDED'),
    )
  })

  it('is allowed after the end of the request', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ a: 1 }))
    await visit.end()
    visit.seal = 'ERR_SESSION_COMMITTED'
    assert.throws(() => (visit.session['a'] = 2), discreet('ERR_SESSION_COMMITTED'))
    await visit.session.update((session) => void (session['a'] = 2))
    assert.equal((await returning(visit.copy.key)).session['a'], 2)
  })
})

describe('reload()', () => {
  it('drops the changes and shows what is stored now, in place', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const [visit, other] = [await returning(key), await returning(key)]
    const { session } = visit
    other.session['a'] = 2
    await other.end()
    session['a'] = 5
    session['b'] = 6
    await session.reload()
    assert.deepEqual({ ...session }, { a: 2 })
    assert.equal(await visit.end(), 'unchanged')
  })

  it('rejects if the session is gone, which then reads as ended', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const [visit, other] = [await returning(key), await returning(key)]
    await other.session.destroy()
    await assert.rejects(visit.session.reload(), discreet('ERR_SESSION_GONE'))
    assert.deepEqual({ ...visit.session }, {})
    await assert.rejects(visit.session.reload(), discreet('ERR_SESSION_ENDED'))
  })

  it('drops nothing if the store cannot be read', async () => {
    const { stored, returning, store: recording } = recorded()
    const visit = await returning(await stored({ a: 1 }))
    visit.session['a'] = 2
    recording.fail('load', new Error('down'))
    await assert.rejects(visit.session.reload(), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    assert.equal(visit.session['a'], 2)
  })
})

describe('regenerate({ keep })', () => {
  async function regenerated(keep: boolean | string[] | undefined, t: TestContext) {
    mockDate(t)
    const all = recorded()
    const key = await all.stored({ user: 'ann', cart: [1] })
    const visit = await all.returning(key)
    visit.session.remember({ idleTimeout: 2 * MINUTE })
    await visit.end()
    t.mock.timers.tick(1000)
    visit.session['user'] = 'bob'
    const old = visit.session
    await visit.session.regenerate(keep === undefined ? undefined : { keep: keep as never })
    await visit.end()
    return { ...all, visit, old, key }
  }

  it('gives a new id and kills the old one before it resolves', async (t) => {
    const { visit, key, store, returning, old } = await regenerated(undefined, t)
    assert.notEqual(visit.session.id, key)
    assert.equal(old.id, key)
    await assert.rejects(returning(key), /replaced/)
    assert.deepEqual(await keysOf(store.elsewhere), [visit.session.id])
    assert.deepEqual({ ...(await returning(visit.session.id)).session }, {})
  })

  it('keeps nothing, the named keys, or everything', async (t) => {
    assert.deepEqual({ ...(await regenerated(undefined, t)).visit.session }, {})
    t.mock.timers.reset()
    assert.deepEqual({ ...(await regenerated(['user'], t)).visit.session }, { user: 'bob' })
    t.mock.timers.reset()
    const { visit, returning } = await regenerated(true, t)
    assert.deepEqual({ ...(await returning(visit.session.id)).session }, { user: 'bob', cart: [1] })
  })

  it('keeps the age and what was remembered with everything, and begins anew without', async (t) => {
    const kept = (await regenerated(true, t)).visit
    assert.equal(kept.session.createdAt, Date.now() - 1000)
    assert.deepEqual([kept.copy.record.persistent, kept.copy.record.idleTimeout], [true, 2 * MINUTE])
    for (const keep of [undefined, ['user']]) {
      t.mock.timers.reset()
      const { session, copy } = (await regenerated(keep, t)).visit
      assert.equal(session.createdAt, Date.now())
      assert.deepEqual([copy.record.persistent, copy.record.idleTimeout], [false, MINUTE])
    }
  })

  it('leaves the old object for reading, as passport does, and for nothing else', async (t) => {
    const { old } = await regenerated(undefined, t)
    assert.deepEqual({ ...old }, { user: 'bob', cart: [1] })
    assert.throws(() => (old['user'] = 'eve'), discreet('ERR_SESSION_ENDED'))
    await assert.rejects(old.regenerate(), discreet('ERR_SESSION_ENDED'))
    await assert.rejects(old.destroy(), discreet('ERR_SESSION_ENDED'))
    await assert.rejects(
      old.update(() => {}),
      discreet('ERR_SESSION_ENDED'),
    )
  })

  it('fails and leaves no session if the old one was gone already', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const [visit, other] = [await returning(key), await returning(key)]
    await other.session.destroy()
    await assert.rejects(visit.session.regenerate({ keep: true }), discreet('ERR_SESSION_GONE', key))
    assert.deepEqual({ ...visit.session }, {})
    for await (const left of store.elsewhere.keys?.() ?? []) assert.fail(`a record is left: ${left}`)
  })

  it('leaves one session of two at once: the later one, because nobody holds the other yet', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const [first, second] = [await returning(key), await returning(key)]
    await Promise.all([first, second].map((visit) => visit.session.regenerate({ keep: true })))
    const [left = '', ...more] = await keysOf(store.elsewhere)
    assert.deepEqual(more, [])
    const [winner, loser] = first.session.id === left ? [first, second] : [second, first]
    winner.session['user'] = 'bob'
    loser.session['user'] = 'eve'
    assert.deepEqual([await winner.end(), await loser.end()], ['saved', 'gone'])
    assert.equal((await returning(left)).session['user'], 'bob')
  })

  it('leaves the session as it was if the store fails on the way, and no second record', async () => {
    for (const passing of [0, 1]) {
      const { stored, returning, store: recording } = recorded()
      const key = await stored({ user: 'ann' })
      const visit = await returning(key)
      for (let save = 0; save < passing; save++) recording.hold('save').release()
      for (const _ of ['once', 'again']) recording.fail('save', new Error('down'))
      await assert.rejects(visit.session.regenerate({ keep: true }), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
      recording.mend()
      assert.equal(visit.session.id, key)
      assert.deepEqual(await keysOf(recording.elsewhere), [key])
      visit.session['user'] = 'bob'
      await visit.end()
      assert.equal((await returning(key)).session['user'], 'bob')
    }
  })

  it('waits for the record that a save is just making, so that none is left behind', async () => {
    const { stranger, store } = recorded()
    const visit = stranger()
    const held = store.hold('save')
    visit.session['a'] = 1
    const saving = visit.session.save()
    await held.arrived
    const { id } = visit.session
    const regenerating = visit.session.regenerate({ keep: true })
    held.release()
    await Promise.all([saving, regenerating])
    assert.notEqual(visit.session.id, id)
    assert.deepEqual(await keysOf(store.elsewhere), [visit.session.id])
  })

  it('refuses a keep that it does not understand', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    for (const keep of ['user', 1, {}, null]) {
      await assert.rejects(visit.session.regenerate({ keep: keep as never }), discreet('ERR_SESSION_OPTION'))
    }
  })

  it('is counted, and told to who listens', async (t) => {
    const { stored, returning, diagnostics } = recorded()
    const visit = await returning(await stored({ user: SECRET }))
    let ended = 0
    const handlers = { asyncEnd: () => void ended++ }
    tracingChannel('koa-server-session:regenerate').subscribe(handlers as never)
    t.after(() => tracingChannel('koa-server-session:regenerate').unsubscribe(handlers as never))
    await visit.session.regenerate()
    assert.deepEqual([diagnostics.stats.regenerates, ended], [1, 1])
  })
})

describe('destroy()', () => {
  it('ends the session for everybody, at once', async () => {
    const { stored, returning, store, lifecycle } = recorded()
    const key = await stored({ user: 'ann' })
    const visit = await returning(key)
    await visit.session.destroy()
    assert.equal(await lifecycle.load(key), 'missing')
    assert.deepEqual({ ...visit.session }, {})
    assert.throws(() => (visit.session['user'] = 'eve'), discreet('ERR_SESSION_ENDED'))
    assert.equal(await visit.end(), 'unchanged')
    await visit.session.destroy()
    assert.equal(store.count('delete'), 1)
  })

  it('is final: a save, a touch and an update that were under way bring nothing back', async (t) => {
    mockDate(t)
    const { stored, returning, store, lifecycle } = recorded()
    const key = await stored({ user: 'ann' })
    const [saver, updater, leaver] = [await returning(key), await returning(key), await returning(key)]
    saver.session['user'] = 'eve'
    const [save, touch] = [store.hold('save'), store.hold('touch')]
    const saving = saver.end()
    await save.arrived
    const updating = assert.rejects(
      updater.session.update((session) => void (session['a'] = 1)),
      discreet('ERR_SESSION_GONE'),
    )
    const { found } = leaver.copy
    assert.ok(found)
    t.mock.timers.tick(MINUTE / 2)
    lifecycle.touch(key, found)
    await touch.arrived
    await leaver.session.destroy()
    save.release()
    touch.release()
    assert.equal(await saving, 'gone')
    await updating
    await lifecycle.settled()
    assert.equal(await store.elsewhere.load(key), undefined)
  })

  it('waits for the record that a save is just making', async () => {
    const { stranger, store } = recorded()
    const visit = stranger()
    const held = store.hold('save')
    visit.session['a'] = 1
    const saving = visit.session.save()
    await held.arrived
    const destroying = visit.session.destroy()
    held.release()
    await Promise.all([saving, destroying])
    assert.equal(await store.elsewhere.load(visit.copy.key), undefined)
  })

  it('that is asked for twice at once ends the session once, and both learn what becomes of it', async () => {
    const { stored, returning, store: recording } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    const held = recording.hold('delete')
    const outcomes: string[] = []
    const both = [1, 2].map(() => visit.session.destroy().then(() => outcomes.push('ended')))
    await held.arrived
    await recording.idle()
    assert.deepEqual(outcomes, [])
    held.release()
    await Promise.all(both)
    assert.equal(recording.count('delete'), 1)

    const other = await returning(await stored({ user: 'ann' }))
    recording.fail('delete', new Error('down'))
    const settled = await Promise.allSettled([other.session.destroy(), other.session.destroy()])
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(other.session['user'], 'ann')
  })

  it('that failed tells nobody that the session has ended', async () => {
    const { stored, returning, store: recording } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    recording.fail('delete', new Error('down'))
    await assert.rejects(visit.session.destroy(), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    assert.equal(visit.session['user'], 'ann')
    await visit.session.destroy()
    assert.deepEqual({ ...visit.session }, {})
  })

  it('deletes what may have been made by a save whose outcome is unknown', async () => {
    const { stranger, store: recording } = recorded()
    const visit = stranger()
    visit.session['a'] = 1
    recording.fail('save', new Error('cut'), 'after')
    await assert.rejects(visit.session.save())
    await visit.session.destroy()
    assert.equal(await recording.elsewhere.load(visit.copy.key), undefined)
  })
})

describe('the idle timeout', () => {
  it('is extended when a tenth of it has passed, and not before', async (t) => {
    mockDate(t)
    const { stored, returning, store, lifecycle } = recorded()
    const key = await stored({ user: 'ann' })
    const { found } = (await returning(key)).copy
    assert.ok(found)
    t.mock.timers.tick(MINUTE / 10 - 1)
    lifecycle.touch(key, found)
    assert.equal(store.count('touch'), 0)
    t.mock.timers.tick(1)
    lifecycle.touch(key, found)
    lifecycle.touch(key, found)
    await lifecycle.settled()
    assert.equal(store.count('touch'), 1, 'once, however many requests come at once')
    const touched = await store.elsewhere.load(key)
    assert.equal(touched?.expiresAt, Date.now() + MINUTE)
    assert.equal(touched?.version, found.version)
  })

  it('is not extended beyond the absolute timeout', async (t) => {
    mockDate(t)
    const { stored, returning, store, lifecycle } = recorded()
    const key = await stored({ user: 'ann' })
    const end = Date.now() + 10 * MINUTE
    for (let minute = 0; minute < 22; minute++) {
      t.mock.timers.tick(MINUTE / 2)
      const found = await lifecycle.load(key)
      if (found === undefined || typeof found === 'string') break
      lifecycle.touch(key, found)
      await lifecycle.settled()
      assert.ok(((await store.elsewhere.load(key))?.expiresAt ?? 0) <= end)
    }
    await assert.rejects(returning(key))
    assert.ok(Date.now() >= end)
  })

  it('that cannot be extended harms nobody, and the next request tries again', async (t) => {
    mockDate(t)
    const { stored, returning, store: recording, lifecycle } = recorded()
    const key = await stored({ user: 'ann' })
    const { found } = (await returning(key)).copy
    assert.ok(found)
    t.mock.timers.tick(MINUTE / 2)
    recording.fail('touch', new Error('down'))
    lifecycle.touch(key, found)
    await lifecycle.settled()
    lifecycle.touch(key, found)
    await lifecycle.settled()
    assert.equal(recording.count('touch'), 2)
    const throwing: Store = {
      ...recording,
      touch() {
        throw new Error('down')
      },
    }
    assert.doesNotThrow(() => visits({ store: throwing }).lifecycle.touch(key, found))
  })

  it('that is extended while remember() gives it a later end keeps the later one', async (t) => {
    mockDate(t)
    const { stored, returning, store, lifecycle } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    const { key, found } = visit.copy
    assert.ok(found)
    t.mock.timers.tick(MINUTE / 2)
    const touch = store.hold('touch')
    lifecycle.touch(key, found)
    await touch.arrived
    visit.session.remember({ idleTimeout: 30 * MINUTE, absoluteTimeout: 60 * MINUTE })
    await visit.end()
    touch.release()
    await lifecycle.settled()
    assert.equal((await returning(key)).session.expiresAt, Date.now() + 30 * MINUTE)
  })

  it('is extended by a use, whatever a request that is none writes meanwhile', async (t) => {
    mockDate(t)
    const { stored, returning, store, lifecycle } = recorded()
    for (const first of ['the write', 'the use']) {
      const key = await stored({ user: 'ann' })
      const { copy } = await returning(key)
      const { found } = copy
      assert.ok(found)
      const passive = lifecycle.open({ ...copy.host, isPassive: true }, key, found)
      passive.write('polled', first)
      t.mock.timers.tick(MINUTE / 2)
      const [save, touch] = [store.hold('save'), store.hold('touch')]
      const beginnings = [() => void lifecycle.commit(passive), () => lifecycle.touch(key, found)]
      for (const begin of first === 'the write' ? beginnings : beginnings.toReversed()) {
        begin()
        await store.idle()
      }
      touch.release()
      await store.idle()
      save.release()
      await lifecycle.settled()
      await store.idle()
      const kept = await store.elsewhere.load(key)
      assert.equal(kept?.expiresAt, Date.now() + MINUTE, first)
      assert.match(kept.text, /polled/)
    }
  })

  it('may be one of its own, once the session is remembered', async (t) => {
    mockDate(t)
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    visit.session.remember({ idleTimeout: 30 * MINUTE, absoluteTimeout: 60 * MINUTE })
    await visit.end()
    t.mock.timers.tick(29 * MINUTE)
    assert.equal((await returning(visit.copy.key)).session['user'], 'ann')
    assert.equal(visit.session.expiresAt, visit.session.createdAt + 30 * MINUTE)
  })
})

describe('flash', () => {
  it('is seen by the next request that uses the session, and by none after', async () => {
    const { stranger, returning } = recorded()
    const first = stranger()
    first.session.flash('note', 'hello')
    await first.end()
    const unused = await returning(first.copy.key)
    assert.ok(unused)
    const second = await returning(first.copy.key)
    assert.equal(second.session.flash('note'), 'hello')
    assert.equal(await second.end(), 'saved')
    assert.equal((await returning(first.copy.key)).session.flash('note'), undefined)
  })

  it('survives a save, an update and a reload of the request that sets it', async () => {
    const { stored, returning } = recorded()
    const key = await stored({ a: 1 })
    const visit = await returning(key)
    visit.session.flash('note', 'hello')
    await visit.session.save()
    await visit.session.update((session) => void (session['a'] = 2))
    visit.session['a'] = 3
    await visit.end()
    assert.equal((await returning(key)).session.flash('note'), 'hello')
  })

  it('goes over to the new session with regenerate({ keep: true })', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({ a: 1 }))
    visit.session.flash('note', 'hello')
    await visit.session.regenerate({ keep: true })
    assert.equal(visit.session.flash('note'), undefined)
    await visit.end()
    assert.equal((await returning(visit.session.id)).session.flash('note'), 'hello')
  })

  it('that two requests see at once is dropped once, and what a third leaves stays', async () => {
    const { stored, returning } = recorded()
    const key = await stored({})
    const setter = await returning(key)
    setter.session.flash('note', 'first')
    await setter.end()
    const [one, two] = [await returning(key), await returning(key)]
    assert.deepEqual([one.session.flash('note'), two.session.flash('note')], ['first', 'first'])
    one.session.flash('note', 'first')
    await one.end()
    await two.end()
    assert.deepEqual((await returning(key)).session.flashes('note'), ['first'], 'the one that a third has left')
    assert.deepEqual((await returning(key)).session.flashes('note'), ['first'], 'and that nobody has taken')
  })

  it('is not lost if others leave one under the same key in parallel, whoever is stored first', async () => {
    const { stored, returning } = recorded()
    const key = await stored({})
    const visits = await Promise.all([returning(key), returning(key), returning(key)])
    for (const { session } of visits) session.flash('error', 'The name is missing')
    await Promise.all(visits.map((visit) => visit.end()))
    const page = await returning(key)
    assert.deepEqual(page.session.flashes('error'), Array(3).fill('The name is missing'))
    assert.equal(page.session.flash('error'), 'The name is missing')
    await page.end()
    assert.deepEqual((await returning(key)).session.flashes('error'), [])
  })

  it('is there once if the save that brought it failed and was stored all the same', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({})
    const visit = await returning(key)
    visit.session.flash('note', 'Saved')
    store.fail('save', new Error('the answer was lost'), 'after')
    await assert.rejects(visit.session.save(), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual((await returning(key)).session.flashes('note'), ['Saved'])
  })

  it('is shown to one request alone if both ask by update', async () => {
    const { stored, returning } = recorded()
    const key = await stored({})
    const setter = await returning(key)
    setter.session.flash('note', 'Saved')
    await setter.end()
    const pages = await Promise.all([returning(key), returning(key)])
    const shown = await Promise.all(pages.map(({ session }) => session.update((fresh) => fresh.flashes('note'))))
    assert.deepEqual(shown.toSorted(), [[], ['Saved']])
  })
})

describe('a record that would be too large', () => {
  it('is refused, and the old one stays', async () => {
    const all = visits({ maxRecordBytes: 1000 })
    const key = await all.stored({ a: 1 })
    const visit = await all.returning(key)
    visit.session['large'] = SECRET.repeat(100)
    await assert.rejects(visit.end(), discreet('ERR_SESSION_TOO_LARGE', SECRET, key))
    assert.deepEqual({ ...(await all.returning(key)).session }, { a: 1 })
  })
})

describe('a serializer of the user', () => {
  it('writes and reads every value, and changes are noticed as ever', async () => {
    const serializer = {
      stringify: (value: unknown) => Buffer.from(JSON.stringify(value)).toString('hex'),
      parse: (text: string) => JSON.parse(Buffer.from(text, 'hex').toString()) as unknown,
    }
    const { stored, returning, store } = visits({ codec: new Codec(serializer) })
    const key = await stored({ cart: { items: [1] }, name: SECRET })
    assert.ok(!(await store.load(key))?.text.includes(SECRET))
    const visit = await returning(key)
    assert.equal(visit.session['name'], SECRET)
    assert.equal(await visit.end(), 'unchanged')
    visit.session['cart'].items.push(2)
    assert.equal(await visit.end(), 'saved')
    assert.deepEqual((await returning(key)).session['cart'], { items: [1, 2] })
  })
})

describe('Lifecycle', () => {
  it('answers a load at once if its store does', () => {
    const { lifecycle } = visits()
    assert.ok(lifecycle instanceof Lifecycle)
    assert.equal(lifecycle.load(keyOf(newToken())), 'missing')
  })
})
