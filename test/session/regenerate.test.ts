import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Store } from '../../src/store.ts'
import { clocksOf } from '../support/clocks.ts'
import { keysOf } from '../support/stores/stores.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { discreet } from '../support/secrecy.ts'
import { visits, type AnySession, type Visit, type Visits } from '../support/visit.ts'

const MINUTE = 60_000

function recorded(): Visits & { store: RecordingStore } {
  const store = recordingStore()
  return { ...visits({ store }), store }
}

/** A regenerate, during which another request that began before it changes and saves the old session. */
async function during(
  keep: true | string[],
  data: object,
  own: (session: AnySession) => void,
  others: (session: AnySession) => void,
): Promise<{ visit: Visit; store: RecordingStore; returning: Visits['returning'] }> {
  const { stored, returning, store } = recorded()
  const key = await stored(data)
  const [visit, other] = [await returning(key), await returning(key)]
  own(visit.session)
  const held = store.hold('save', 'after')
  const regenerating = visit.session.regenerate({ keep: keep as never })
  await held.arrived
  others(other.session)
  await other.session.save()
  held.release()
  await regenerating
  await visit.end()
  return { visit, store, returning }
}

async function dataOf({ visit, returning }: { visit: Visit; returning: Visits['returning'] }): Promise<object> {
  return { ...(await returning(visit.copy.key)).session }
}

describe('regenerate({ keep }), while others write the old session', () => {
  it('takes over what they set, changed and deleted', async () => {
    const made = await during(
      true,
      { user: 'ann', cart: [1], draft: 'x', note: 'y' },
      (session) => void (session['user'] = 'bob'),
      (session) => {
        session['cart'].push(2)
        delete session['draft']
        session['seat'] = 7
      },
    )
    assert.deepEqual(await dataOf(made), { user: 'bob', cart: [1, 2], note: 'y', seat: 7 })
    assert.equal((await keysOf(made.store.elsewhere)).length, 1)
  })

  it('shows them to this request, and lets its own changes of the same keys win', async () => {
    const made = await during(
      true,
      { list: [1], own: [1], deleted: 1 },
      (session) => {
        assert.deepEqual([session['list'], session['own']], [[1], [1]])
        session['own'].push(2)
        delete session['deleted']
      },
      (session) => {
        session['list'].push(3)
        session['own'].push(4)
        session['deleted'] = 2
      },
    )
    assert.deepEqual({ ...made.visit.session }, { list: [1, 3], own: [1, 2] })
    assert.deepEqual(await dataOf(made), { list: [1, 3], own: [1, 2] })
  })

  it('keeps of them what it was told to keep, and writes nothing anew for the rest', async () => {
    const kept = await during(
      ['cart'],
      { cart: [1] },
      () => {},
      (session) => {
        session['cart'].push(2)
        session['user'] = 'ann'
      },
    )
    assert.deepEqual(await dataOf(kept), { cart: [1, 2] })
    const { store, ...made } = await during(
      ['cart'],
      { cart: [1] },
      (session) => (session['untold'] = () => 1),
      (session) => void (session['user'] = 'ann'),
    )
    assert.deepEqual(await dataOf({ ...made }), { cart: [1] })
    assert.equal(store.count('save'), 5, 'the old one, the new one, that of the other request, and the marker, twice')
  })

  it('takes over what they remembered, and flashed, but not what this request was shown', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const setter = await returning(key)
    setter.session.flash('seen', 'by this request')
    await setter.end()
    const [visit, other] = [await returning(key), await returning(key)]
    assert.equal(visit.session.flash('seen'), 'by this request')
    const held = store.hold('save', 'after')
    const regenerating = visit.session.regenerate({ keep: true })
    await held.arrived
    other.session.flash('left', 'by the other')
    other.session.remember({ idleTimeout: 5 * MINUTE })
    await other.session.save()
    held.release()
    await regenerating
    await visit.end()
    const next = await returning(visit.copy.key)
    assert.deepEqual([next.session.flash('seen'), next.session.flash('left')], [undefined, 'by the other'])
    assert.deepEqual([next.copy.record.idleTimeout, next.copy.record.persistent], [5 * MINUTE, true])
  })

  it('keeps a flash that was saved before it', async () => {
    const { stored, returning } = recorded()
    const visit = await returning(await stored({}))
    visit.session.flash('note', 'hello')
    await visit.session.save()
    await visit.session.regenerate({ keep: true })
    await visit.end()
    assert.equal((await returning(visit.copy.key)).session.flash('note'), 'hello')
  })

  it('carries nothing over if nothing is kept, and stores the new session once', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const [visit, other] = [await returning(key), await returning(key)]
    other.session['user'] = 'bob'
    await other.end()
    const before = store.count('save')
    for (const keep of [undefined, []]) {
      await visit.session.regenerate(keep && { keep })
      assert.deepEqual({ ...visit.session }, {})
    }
    assert.equal(store.count('save') - before, 4, 'each time a marker, once one that lost, and the first new session')
  })

  it('costs two saves with the data of the new session if nothing is kept, and three if something is', async () => {
    for (const [keep, saves] of [
      [undefined, 2],
      [['cart'], 2], // there is none
      [['user'], 3],
      [true, 3],
    ] as const) {
      const { stored, returning, store } = recorded()
      const visit = await returning(await stored({ user: 'ann' }))
      store.calls.length = 0
      await visit.session.regenerate(keep && { keep: keep as never })
      visit.session['role'] = 'admin'
      await visit.end()
      assert.deepEqual(store.calls, Array(saves).fill('save'), String(keep))
      assert.equal((await returning(visit.copy.key)).session['role'], 'admin')
    }
  })

  it('leaves nothing if the new session is destroyed before it was stored', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const [visit, late] = [await returning(key), await returning(key)]
    await visit.session.regenerate()
    await visit.session.destroy()
    await assert.rejects(late.session.regenerate({ keep: true }), discreet('ERR_SESSION_GONE'))
    assert.deepEqual(await keysOf(store.elsewhere), [])
  })

  it('keeps what others wrote meanwhile under a name that was not there before', async () => {
    const { stored, returning, store } = recorded()
    const key = await stored({ user: 'ann' })
    const [visit, other] = [await returning(key), await returning(key)]
    const held = store.hold('save')
    const regenerating = visit.session.regenerate({ keep: ['cart'] as never })
    await held.arrived
    other.session['cart'] = ['tea']
    await other.end()
    held.release()
    await regenerating
    await visit.end()
    assert.deepEqual({ ...(await returning(visit.copy.key)).session }, { cart: ['tea'] })
    assert.equal((await keysOf(store.elsewhere)).length, 1)
  })

  it('gives up when they do not end, keeps its id, and leaves no second record', async (t: TestContext) => {
    const clocks = clocksOf(t)
    const { store } = recorded()
    const old = { key: '' }
    const busy: Store = {
      ...store,
      async save(key, text, expiresAt, expected) {
        const found = await store.elsewhere.load(key)
        if (key === old.key && text.startsWith('{"replaced"') && found) {
          clocks.pass(500)
          await store.elsewhere.save(key, found.text, found.expiresAt, found)
        }
        return store.save(key, text, expiresAt, expected)
      },
    }
    const { stored, returning } = visits({ store: busy })
    const key = await stored({ user: 'ann' })
    old.key = key
    const visit = await returning(key)
    await assert.rejects(visit.session.regenerate({ keep: true }), discreet('ERR_SESSION_BUSY', key))
    assert.equal(visit.session.id, key)
    assert.deepEqual(await keysOf(store.elsewhere), [key])
    visit.session['user'] = 'bob'
    await visit.end()
    assert.equal((await returning(key)).session['user'], 'bob')
  })
})

/** Plans for the save that puts the marker in the place of the old session, which is the second one. */
function atMarker(store: RecordingStore): void {
  store.hold('save').release()
}

describe('two regenerates of one session in one request', () => {
  it('let nothing be written that would be in neither session, also once one of them has failed', async () => {
    const { stored, returning, store } = recorded()
    const visit = await returning(await stored({ user: 'ann' }))
    store.fail('save', new Error('refused'))
    const held = store.hold('save')
    const [one, other] = [visit.session.regenerate({ keep: true }), visit.session.regenerate({ keep: true })]
    await assert.rejects(one, discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    await held.arrived
    assert.throws(() => (visit.session['user'] = 'bob'), /regenerate/)
    held.release()
    await other
    assert.deepEqual({ ...visit.session }, { user: 'ann' })
    visit.session['user'] = 'bob'
    await visit.end()
    assert.deepEqual({ ...(await returning(visit.copy.key)).session }, { user: 'bob' })
  })
})

describe('regenerate(), when the end of the old session fails', () => {
  it('tries it once more, so that a lost connection signs nobody out', async (t) => {
    clocksOf(t)
    for (const when of ['before', 'after'] as const) {
      const { stored, returning, store: recording } = recorded()
      const key = await stored({ user: 'ann' })
      const visit = await returning(key)
      atMarker(recording)
      recording.fail('save', new Error('cut'), when)
      await visit.session.regenerate({ keep: true })
      assert.notEqual(visit.session.id, key)
      assert.deepEqual(await keysOf(recording.elsewhere), [visit.session.id])
      assert.equal((await returning(visit.session.id)).session['user'], 'ann')
    }
  })

  it('lets nothing live on if the old one turns out to be gone: it was a logout', async (t) => {
    clocksOf(t)
    const { stored, returning, store: recording } = recorded()
    const key = await stored({ user: 'ann' })
    const visit = await returning(key)
    atMarker(recording)
    recording.fail('save', new Error('cut'))
    const held = recording.hold('save')
    const regenerating = visit.session.regenerate({ keep: true })
    await held.arrived
    await recording.elsewhere.delete(key)
    held.release()
    await assert.rejects(regenerating, discreet('ERR_SESSION_GONE'))
    assert.deepEqual(await keysOf(recording.elsewhere), [])
  })

  it('does not ask a second time if the store let it wait', async (t: TestContext) => {
    const { stored, returning, store: recording } = recorded()
    const key = await stored({ user: 'ann' })
    const visit = await returning(key)
    let now = performance.now()
    t.mock.method(performance, 'now', () => (now += 1001))
    atMarker(recording)
    recording.fail('save', new Error('too late'))
    await assert.rejects(visit.session.regenerate({ keep: true }), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    assert.equal(visit.session.id, key)
    assert.equal(recording.count('save'), 3, 'the old record, the new one, and the marker once')
    assert.deepEqual(await keysOf(recording.elsewhere), [key])
  })
})
