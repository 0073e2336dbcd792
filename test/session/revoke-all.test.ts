import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isSessionError } from '../../src/index.ts'
import { subjectNames } from '../../src/session/subject-names.ts'
import { revokedOf } from '../../src/session/subjects.ts'
import type { Store, SubjectIndex } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import type { Key } from '../../src/units.ts'
import { collect, later, newKey } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { visits, type Visit, type Visits } from '../support/visit.ts'

const [ADA = ''] = subjectNames('sid', [])('ada')

async function signedIn({ stranger }: Visits, subject = 'ada'): Promise<Visit> {
  const visit = stranger()
  visit.session.identify(subject)
  await visit.end()
  return visit
}

async function revokeAll({ lifecycle }: Visits, except: Key[] = []): Promise<number> {
  return revokedOf(await lifecycle.subjects.revokeAll('ada', except))
}

describe('revokeAll', () => {
  it('ends a session that takes a new id between the listing and the look', async () => {
    const store = recordingStore()
    const made = visits({ store })
    const thief = await signedIn(made)
    const held = store.hold('load')
    const revoking = revokeAll(made)
    await held.arrived
    await thief.session.regenerate({ keep: true })
    held.release()
    assert.equal(await revoking, 1)
    assert.deepEqual(await keysOf(store.elsewhere), [])
  })

  it('follows it for as long as it does that, beside sessions that have long been over', async () => {
    const store = recordingStore()
    const made = visits({ store })
    for (let n = 0; n < 300; n++) await store.subjects?.add(ADA, newKey(), later())
    const thief = await signedIn(made)
    let holding = store.hold('list', 'after')
    const revoking = revokeAll(made)
    for (let hasMoved = true; hasMoved;) {
      await holding.arrived
      const { release } = holding
      hasMoved = await thief.session.regenerate({ keep: true }).then(
        () => true,
        (error: unknown) => !isSessionError(error, 'ERR_SESSION_GONE'),
      )
      if (hasMoved) holding = store.hold('list', 'after')
      release()
    }
    assert.equal(await revoking, 1)
    assert.deepEqual(await keysOf(store.elsewhere), [])
  })

  it('ends a session that moves while it is looked at, under either id', async () => {
    for (const step of ['the new record', 'the marker'] as const) {
      for (const when of ['before', 'after'] as const) {
        const store = recordingStore()
        const [made, elsewhere] = [visits({ store }), visits({ store })]
        const { copy } = await signedIn(made)
        const thief = await elsewhere.returning(copy.key)
        if (step === 'the marker') store.hold('save').release()
        const held = store.hold('save', when)
        const moving = thief.session.regenerate({ keep: true }).catch((error: unknown) => error)
        await held.arrived
        const revoked = await revokeAll(made)
        held.release()
        const failure = await moving
        const isLeft = (await made.lifecycle.subjects.list('ada', undefined)).length > 0
        assert.ok(!isLeft, `${step} ${when}: ${revoked} revoked, ${String(failure)}`)
      }
    }
  })

  it('loses to no session that is written all the time', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    let conflicts = 0
    const busy: Store = {
      ...store,
      async delete(key, expected) {
        const found = await store.load(key)
        if (expected && found) conflicts += (await store.save(key, found.text, found.expiresAt, found)).saved ? 1 : 0
        return store.delete(key, expected)
      },
    }
    const made = visits({ store: busy })
    const { copy } = await signedIn(made)
    assert.equal(await revokeAll(made), 1)
    assert.equal(await store.load(copy.key), undefined)
    assert.ok(conflicts > 1)
  })

  it('leaves a session alone that has become another user’s meanwhile', async () => {
    const store = recordingStore()
    const [made, elsewhere] = [visits({ store }), visits({ store })]
    const { copy } = await signedIn(made)
    const { session } = await elsewhere.returning(copy.key)
    const held = store.hold('delete')
    const revoking = revokeAll(made)
    await held.arrived
    session.identify('bob')
    await session.save()
    held.release()
    assert.equal(await revoking, 0)
    assert.deepEqual(
      (await made.lifecycle.subjects.list('bob', undefined)).map(({ id }) => id),
      [copy.key],
    )
  })

  it('leaves the excepted sessions alone', async () => {
    const made = visits()
    const [lost, kept] = [await signedIn(made), await signedIn(made)]
    assert.equal(await revokeAll(made, [kept.copy.key]), 1)
    assert.deepEqual(
      [await made.store.load(lost.copy.key), (await made.store.load(kept.copy.key)) !== undefined],
      [undefined, true],
    )
  })

  it('says so if new sessions come for as long as it looks', async () => {
    const made = visits()
    const visit = await signedIn(made)
    const { text = '', expiresAt = 0 } = (await made.store.load(visit.copy.key)) ?? {}
    const index = made.store.subjects as SubjectIndex
    const endless: Store = {
      ...made.store,
      subjects: {
        ...index,
        async *keys() {
          const key = newKey()
          await made.store.save(key, text, expiresAt, undefined)
          yield key
        },
      },
    }
    await assert.rejects(revokeAll(visits({ store: endless })), (error) => isSessionError(error, 'ERR_SESSION_BUSY'))
  })
})

describe('revokeAll, where not every record can be looked at', () => {
  it('ends the rest, and rejects because of the one that cannot be read', async () => {
    const made = visits()
    const sessions = await Promise.all([1, 2, 3].map(() => signedIn(made)))
    const [{ copy }] = sessions as [Visit]
    const found = await made.store.load(copy.key)
    await made.store.save(copy.key, found!.text.replace('"format":1', '"format":2'), found!.expiresAt, found)
    await assert.rejects(revokeAll(made), (error) => {
      assert.ok(isSessionError(error, 'ERR_SESSION_UNREADABLE'))
      assert.match(
        error.message,
        /^sessions\.revokeAll: One session that is noted for this user cannot be read.* 2 others were ended/,
      )
      assert.ok(!error.message.includes(copy.key))
      return true
    })
    for (const { copy: other } of sessions.slice(1)) assert.equal(await made.store.load(other.key), undefined)
    assert.ok(await made.store.load(copy.key))
    assert.deepEqual(await collect(made.store.subjects!.keys(ADA)), [copy.key])
  })

  it('ends the rest, and rejects with the failure of the store', async () => {
    const store = recordingStore()
    const made = visits({ store })
    const sessions = await Promise.all([1, 2, 3].map(() => signedIn(made)))
    const lost: Store = {
      ...store,
      load: (key) => (key === sessions[0]!.copy.key ? Promise.reject(new Error('no such server')) : store.load(key)),
    }
    await assert.rejects(revokeAll(visits({ store: lost })), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    assert.equal((await made.lifecycle.subjects.list('ada', undefined)).length, 1)
  })
})
