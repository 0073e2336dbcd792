import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { subjectNames } from '../../src/session/subject-names.ts'
import type { Key } from '../../src/units.ts'
import { collect } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { visits, type Visit, type Visits } from '../support/visit.ts'

const IDLE = 60_000
const nameOf = subjectNames('sid', [])

interface Recorded extends Visits {
  readonly store: RecordingStore
  /** The ids of this user's sessions, as `list` tells. */
  listed(subject: string): Promise<Key[]>
  /** What the store has noted for this user. */
  noted(subject: string): Promise<Key[]>
}

function recorded(): Recorded {
  const store = recordingStore()
  const made = visits({ store, idleTimeout: IDLE })
  return {
    ...made,
    store,
    listed: async (subject) => (await made.lifecycle.subjects.list(subject, undefined)).map(({ id }) => id),
    noted: async (subject) => collect(store.elsewhere.subjects!.keys(nameOf(subject)[0]!)),
  }
}

/** A session of this user, signed in and saved. */
async function signedIn({ stranger }: Visits, subject: string): Promise<Visit> {
  const visit = stranger()
  visit.session['cart'] = 0
  visit.session.identify(subject)
  await visit.end()
  return visit
}

/** Moves a session into the past, behind everybody's back: it began, and was used, so long ago. */
async function agedBy({ elsewhere }: RecordingStore, key: Key, length: number): Promise<void> {
  const found = await elsewhere.load(key)
  assert.ok(found)
  const text = found.text.replace(/(?<="createdAt":)\d+/, (createdAt) => String(Number(createdAt) - length))
  assert.ok((await elsewhere.save(key, text, found.expiresAt - length, found)).saved)
}

describe('a session that becomes a user’s', () => {
  it('is noted before it is saved, so that a process that dies in between leaves none unnoted', async () => {
    const { store, stranger, noted } = recorded()
    const visit = stranger()
    visit.session.identify('ada')
    const held = store.hold('save')
    const saving = visit.end()
    await held.arrived
    assert.deepEqual(await noted('ada'), [visit.copy.key])
    held.release()
    await saving
  })

  it('stays noted though somebody lists the user before its record is there', async () => {
    const made = recorded()
    const visit = made.stranger()
    visit.session.identify('ada')
    const held = made.store.hold('save')
    const saving = visit.end()
    await held.arrived
    assert.deepEqual(await made.listed('ada'), [])
    assert.equal((await made.lifecycle.subjects.revokeAll('ada', [])).revoked, 0)
    assert.deepEqual(await made.noted('ada'), [visit.copy.key])
    held.release()
    await saving
    assert.deepEqual(await made.listed('ada'), [visit.copy.key])
  })

  it('is noted once more after the save, whatever has become of the first note', async () => {
    const { store, stranger, listed } = recorded()
    const visit = stranger()
    visit.session.identify('ada')
    const held = store.hold('save', 'after')
    const saving = visit.end()
    await held.arrived
    await store.elsewhere.subjects?.remove(nameOf('ada')[0]!, visit.copy.key)
    held.release()
    await saving
    assert.deepEqual(await listed('ada'), [visit.copy.key])
  })

  it('is not saved if it cannot be noted', async () => {
    const { store, stranger } = recorded()
    const visit = stranger()
    visit.session.identify('ada')
    store.fail('add', new Error('down'))
    await assert.rejects(visit.end(), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    assert.equal(store.count('save'), 0)
  })

  it('stays signed in if only the second note fails', async () => {
    const { store, stranger, listed } = recorded()
    const visit = stranger()
    visit.session.identify('ada')
    const held = store.hold('save')
    const saving = visit.end()
    await held.arrived
    store.fail('add', new Error('down'))
    held.release()
    assert.equal(await saving, 'saved')
    assert.deepEqual(await listed('ada'), [visit.copy.key])
  })

  it('is found if it was said inside update', async () => {
    const { stored, returning, listed } = recorded()
    const key = await stored({ cart: 1 })
    const { session } = await returning(key)
    await session.update((fresh) => fresh.identify('ada'))
    assert.deepEqual(await listed('ada'), [key])
  })

  it('is found beside a remember that knew nothing of the user', async () => {
    const { stored, returning, listed, store } = recorded()
    const key = await stored({ cart: 1 })
    const [signing, remembering] = [await returning(key), await returning(key)]
    signing.session.identify('ada')
    remembering.session.remember(30 * 24 * 60 * 60_000)
    const held = store.hold('save')
    const both = [remembering.end(), signing.end()]
    await held.arrived
    held.release()
    await Promise.all(both)
    await agedBy(store, key, IDLE) // the timeouts that were remembered hold
    assert.deepEqual(await listed('ada'), [key])
  })
})

describe('a session that becomes another user’s', () => {
  it('is noted for the new one, and no longer for the old one', async () => {
    const made = recorded()
    const { copy, session } = await signedIn(made, 'ada')
    session.identify('bob')
    await session.save()
    assert.deepEqual([await made.noted('ada'), await made.noted('bob')], [[], [copy.key]])
  })

  it('is noted for the old one again if another request gives it back meanwhile', async () => {
    const made = recorded()
    const { copy } = await signedIn(made, 'ada')
    const elsewhere = visits({ store: made.store }) // another process
    const [one, other] = [await made.returning(copy.key), await elsewhere.returning(copy.key)]
    one.session.identify('bob')
    const held = made.store.hold('remove')
    const giving = one.end()
    await held.arrived
    other.session.identify('carol')
    await other.end()
    other.session.identify('ada')
    await other.end()
    held.release()
    await giving
    assert.deepEqual(await made.listed('ada'), [copy.key])
    assert.deepEqual([await made.listed('bob'), await made.listed('carol')], [[], []])
  })

  it('keeps the note if nobody can say whose it is by now', async () => {
    const made = recorded()
    const { copy, session } = await signedIn(made, 'ada')
    session.identify('bob')
    made.store.fail('load', new Error('down')) // the look after the note was taken back
    await session.save()
    assert.deepEqual(await made.noted('ada'), [copy.key])
    assert.deepEqual(await made.listed('ada'), [])
  })
})

describe('the note of a session', () => {
  it('is renewed by the first write in a tenth of the idle timeout, and by no other one', async () => {
    const made = recorded()
    const { copy } = await signedIn(made, 'ada')
    await made.store.elsewhere.subjects?.remove(nameOf('ada')[0]!, copy.key) // an index that was lost
    await agedBy(made.store, copy.key, IDLE / 2)
    const { session } = await made.returning(copy.key)
    session['cart'] = 1
    await session.save()
    assert.deepEqual(await made.listed('ada'), [copy.key])
    const before = made.store.count('add')
    for (let n = 2; n < 10; n++) {
      session['cart'] = n
      await session.save()
    }
    // Nine writes take no tenth of a minute; but one may have begun meanwhile.
    assert.ok(made.store.count('add') <= before + 1)
  })

  it('is renewed when the session is extended', async () => {
    const made = recorded()
    const { copy } = await signedIn(made, 'ada')
    await made.store.elsewhere.subjects?.remove(nameOf('ada')[0]!, copy.key)
    await agedBy(made.store, copy.key, IDLE / 2)
    const { copy: found } = await made.returning(copy.key)
    made.lifecycle.touch(copy.key, found.found!)
    await made.lifecycle.settled()
    assert.deepEqual(await made.listed('ada'), [copy.key])
  })

  it('may fail to be renewed: the write counts', async () => {
    const made = recorded()
    const { copy } = await signedIn(made, 'ada')
    await agedBy(made.store, copy.key, IDLE / 2)
    const { session, end } = await made.returning(copy.key)
    made.store.failAll('add')
    session['cart'] = 1
    assert.equal(await end(), 'saved')
    made.store.mend()
    assert.deepEqual(await made.listed('ada'), [copy.key])
  })

  it('costs nobody anything who has not said whose the session is', async () => {
    const { store, stored, returning, lifecycle } = recorded()
    const key = await stored({ cart: 1 })
    await agedBy(store, key, IDLE / 2)
    const { copy, session, end } = await returning(key)
    lifecycle.touch(key, copy.found!)
    await lifecycle.settled()
    session['cart'] = 2
    await end()
    await session.destroy()
    assert.deepEqual([store.count('add'), store.count('remove')], [0, 0])
  })

  it('is taken back when its visitor ends the session', async () => {
    const made = recorded()
    const { session } = await signedIn(made, 'ada')
    await session.destroy()
    assert.deepEqual(await made.noted('ada'), [])
  })

  it('is there under the old and the new id while a session moves', async () => {
    const made = recorded()
    const visit = await signedIn(made, 'ada')
    const old = visit.copy.key
    made.store.hold('save').release()
    const held = made.store.hold('save')
    const moving = visit.session.regenerate({ keep: true })
    await held.arrived
    assert.equal((await made.noted('ada')).length, 2)
    held.release()
    await moving
    assert.deepEqual(await made.listed('ada'), [visit.copy.key])
    assert.notEqual(visit.copy.key, old)
  })
})

describe('a store that cannot list', () => {
  it('refuses whose session it is when that is saved, and nothing else', async () => {
    const { subjects: _, ...store } = recordingStore()
    const made = visits({ store })
    const visit = made.stranger()
    visit.session['cart'] = 1
    await visit.end()
    visit.session.identify('ada')
    await assert.rejects(visit.end(), { code: 'ERR_SESSION_OPTION' })
  })
})
