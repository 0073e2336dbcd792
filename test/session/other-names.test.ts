import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { fakeSession, signIn } from '../../src/tools/testing.ts'
import { isSessionError, session, type SessionSummary } from '../../src/index.ts'
import { subjectNames } from '../../src/session/subject-names.ts'
import { KEY } from '../support/sites/http.ts'
import { collect } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { visits, type Visit, type Visits } from '../support/visit.ts'

const nameOf = subjectNames('sid', [])

interface Recorded extends Visits {
  readonly store: RecordingStore
  signedIn(subject: string, also?: Record<string, string>): Promise<Visit>
  listed(whose: string | Record<string, string>): Promise<string[]>
  /** What the store has noted under this name. */
  noted(kind: string, value: string): Promise<string[]>
}

function recorded(): Recorded {
  const store = recordingStore()
  const made = visits({ store })
  return {
    ...made,
    store,
    async signedIn(subject, also) {
      const visit = made.stranger()
      visit.session['cart'] = 1
      visit.session.identify(subject, { ...(also && { also }) })
      await visit.end()
      return visit
    },
    listed: async (whose) => (await made.lifecycle.subjects.list(whose, undefined)).map(({ id }) => id).sort(),
    noted: (kind, value) => collect(store.elsewhere.subjects!.keys(nameOf(value, kind)[0]!)),
  }
}

describe('identify with other names', () => {
  it('lets list and revokeAll find the session by each of them, and by its user', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    const signedIn = (user: string, tenant: string): Promise<{ id: string }> =>
      signIn(sessions, (visitor) =>
        visitor.identify(user, { label: 'phone', also: { tenant, oidcSid: `sid of ${user}` } }),
      )
    const { id } = await signedIn('ada', 'acme')
    await signedIn('bob', 'acme')
    await signedIn('eve', 'other')
    const summary = ({ subject, label, also }: SessionSummary): unknown => ({ subject, label, also })
    // Both may have signed in within one millisecond, so the order of the list says nothing.
    const bySubject = (one: SessionSummary, other: SessionSummary): number => (one.subject < other.subject ? -1 : 1)
    assert.deepEqual((await sessions.list({ tenant: 'acme' })).toSorted(bySubject).map(summary), [
      { subject: 'ada', label: 'phone', also: { tenant: 'acme', oidcSid: 'sid of ada' } },
      { subject: 'bob', label: 'phone', also: { tenant: 'acme', oidcSid: 'sid of bob' } },
    ])
    assert.deepEqual(
      (await sessions.list('ada')).map((each) => each.id),
      [id],
    )
    assert.equal(await sessions.revokeAll({ oidcSid: 'sid of bob' }), 1)
    assert.equal(await sessions.revokeAll({ tenant: 'acme' }, { except: id }), 0)
    assert.equal(await sessions.revokeAll({ tenant: 'acme' }), 1)
    assert.deepEqual(
      (await sessions.list({ tenant: 'other' })).map(({ subject }) => subject),
      ['eve'],
    )
  })

  it('finds only what has all names, if there are several', async () => {
    const { signedIn, listed, lifecycle } = recorded()
    const { copy } = await signedIn('ada', { tenant: 'acme', role: 'admin' })
    await signedIn('ada', { tenant: 'other', role: 'admin' })
    await signedIn('bob', { tenant: 'acme' })
    assert.deepEqual(await listed({ tenant: 'acme', role: 'admin' }), [copy.key])
    assert.deepEqual(await listed({ role: 'admin', subject: 'ada', tenant: 'acme' }), [copy.key])
    assert.equal((await lifecycle.subjects.revokeAll({ subject: 'ada', tenant: 'acme' }, [])).revoked, 1)
    assert.deepEqual([(await listed('ada')).length, (await listed('bob')).length], [1, 1])
  })

  it('never takes a name for a user, or for another name, whatever its value', async () => {
    const { signedIn, listed } = recorded()
    const { copy } = await signedIn('sid tenant acme', { tenant: 'ada', tenan: 't ada' })
    assert.deepEqual(await listed('ada'), [])
    assert.deepEqual(await listed({ tenant: 'acme' }), [])
    assert.deepEqual(await listed({ tenan: 't ada' }), [copy.key])
    assert.notDeepEqual(nameOf('acme', 'tenant'), nameOf('tenant acme'))
    assert.notDeepEqual(nameOf(' tenant acme'), nameOf('acme', 'tenant'))
  })

  it('notes the session under each name before it is saved', async () => {
    const { store, stranger, noted } = recorded()
    const visit = stranger()
    visit.session.identify('ada', { also: { tenant: 'acme', sid: '7' } })
    const held = store.hold('save')
    const saving = visit.end()
    await held.arrived
    for (const [kind, value] of Object.entries({ subject: 'ada', tenant: 'acme', sid: '7' }))
      assert.deepEqual(await noted(kind, value), [visit.copy.key])
    held.release()
    await saving
  })

  it('says all of it anew: a name that is left out is gone, and its note too', async () => {
    const { signedIn, listed, noted } = recorded()
    const visit = await signedIn('ada', { tenant: 'acme', sid: '7' })
    visit.session.identify('ada', { also: { sid: '8', tenant: 'acme' } })
    await visit.end()
    assert.deepEqual([await listed({ sid: '7' }), await noted('sid', '7')], [[], []])
    for (const whose of [{ sid: '8' }, { tenant: 'acme' }, 'ada'])
      assert.deepEqual(await listed(whose), [visit.copy.key])
    visit.session.identify('ada')
    await visit.end()
    assert.deepEqual(
      [await listed({ tenant: 'acme' }), await noted('tenant', 'acme'), await noted('sid', '8')],
      [[], [], []],
    )
    assert.deepEqual(await listed('ada'), [visit.copy.key])
  })

  it('stores nothing if it says the same again, in whatever order', async () => {
    const { signedIn, store } = recorded()
    const visit = await signedIn('ada', { tenant: 'acme', sid: '7' })
    const saves = store.count('save')
    visit.session.identify('ada', { also: { sid: '7', tenant: 'acme' } })
    await visit.end()
    assert.equal(store.count('save'), saves)
  })

  it('keeps the names under a new id, if everything is kept', async () => {
    const { signedIn, listed, noted } = recorded()
    const visit = await signedIn('ada', { tenant: 'acme' })
    const before = visit.copy.key
    await visit.session.regenerate({ keep: true })
    await visit.end()
    assert.notEqual(visit.copy.key, before)
    assert.deepEqual(await listed({ tenant: 'acme' }), [visit.copy.key])
    await visit.session.regenerate()
    visit.session.identify('ada')
    await visit.end()
    assert.deepEqual(await listed({ tenant: 'acme' }), [])
    assert.ok((await noted('subject', 'ada')).includes(visit.copy.key))
  })

  it('leaves no note under any name when the session ends', async () => {
    const { signedIn, noted, lifecycle } = recorded()
    await (await signedIn('ada', { tenant: 'acme' })).session.destroy()
    await lifecycle.subjects.revoke((await signedIn('ada', { tenant: 'acme' })).copy.key)
    await signedIn('bob', { tenant: 'acme' })
    await lifecycle.subjects.revokeAll({ tenant: 'acme' }, [])
    for (const [kind, value] of [
      ['subject', 'ada'],
      ['subject', 'bob'],
      ['tenant', 'acme'],
    ] as const)
      assert.deepEqual(await noted(kind, value), [], `${kind} ${value}`)
  })

  it('notes a name again that another request has given back meanwhile', async () => {
    const { signedIn, store, listed } = recorded()
    const visit = await signedIn('ada', { tenant: 'acme' })
    visit.session.identify('ada')
    const held = store.hold('remove')
    const saving = visit.end()
    await held.arrived
    // Of another process: in this one, it would wait for the save that takes the note back.
    const other = await visits({ store: store.elsewhere }).returning(visit.copy.key)
    other.session.identify('ada', { also: { tenant: 'acme' } })
    await other.end()
    held.release()
    await saving
    assert.deepEqual(await listed({ tenant: 'acme' }), [visit.copy.key])
  })

  it('is what a fake session takes too', () => {
    const visitor = fakeSession((made) => made.identify('ada', { also: { tenant: 'acme' } }))
    assert.equal(visitor.isNew, false)
  })
})

const MANY = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`name${n}`, 'value']))

describe('what cannot be a name', () => {
  const said: [names: unknown, message: RegExp][] = [
    [{ tenant: 42 }, /tenant must be a string of 1 to 1024 characters, not a number\. Write String\(…\) around it\./],
    [{ tenant: '' }, /tenant must be a string of 1 to 1024 characters, not an empty one/],
    [{ tenant: undefined }, /not undefined\. Leave the name out if there is none/],
    [{ tenant: null }, /not null\. Leave the name out/],
    [{ tenant: Promise.resolve('acme') }, /Await it first/],
    [{ tenant: ['acme'] }, /not a list/],
    [{ tenant: 'a'.repeat(1025) }, /tenant must have 1024 characters at most; it has 1025/],
    [{ tenant: 'acme\ud800' }, /tenant must be well-formed text/],
    [{ 'tenant id': 'acme' }, /a name must begin with a letter and have up to 64 letters and digits/],
    [{ '': 'acme' }, /a name must begin with a letter/],
    [{ 7: 'acme' }, /a name must begin with a letter/],
    [{ ['n'.repeat(65)]: 'acme' }, /a name must begin with a letter/],
    [MANY, /there may be 8 names at most, not 9/],
  ]
  for (const [names, message] of said) {
    const shown = inspect(names, { breakLength: Infinity, maxStringLength: 20 }).slice(0, 60)
    it(`is in ${shown}: identify, list and revokeAll say so`, async (test) => {
      const sessions = session({ keys: [KEY], store: 'memory:' })
      test.after(() => sessions.close())
      const calls = {
        'session.identify': async () => fakeSession().identify('ada', { also: names as Record<string, string> }),
        'sessions.list': () => sessions.list(names as Record<string, string>),
        'sessions.revokeAll': () => sessions.revokeAll(names as Record<string, string>),
      }
      for (const [method, call] of Object.entries(calls)) {
        await assert.rejects(call, (error) => {
          assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), String(error))
          assert.ok(error.message.startsWith(`${method}: `), error.message)
          assert.match(error.message, message)
          assert.ok(!error.message.includes('acme'), error.message)
          return true
        })
      }
    })
  }

  it('is nothing at all, and what identify has names of its own for', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    await assert.rejects(sessions.revokeAll({}), /the names must not be empty, or they would mean every session/)
    await assert.rejects(
      sessions.revokeAll({ id: 'ada', mail: 'ada@example.org' }),
      /not an Object\. Pass its id, as a string/,
    )
    const refused: [options: unknown, message: RegExp][] = [
      [{ also: { subject: 'ada' } }, /also\.subject is taken: the subject is the first argument/],
      [{ also: { id: '7' } }, /also\.id is taken/],
      [{ also: 'acme' }, /also must be an object of names, such as \{ tenant: 'acme' \}/],
      [{ also: ['acme'] }, /also must be an object/],
      [{ tenant: 'acme' }, /tenant is not an option\. Write also: \{ … \} around it/],
      [{ lable: 'phone' }, /did you mean label\?/],
      [{ label: '' }, /the label must be a string that is not empty/],
      [42, /the label must be a string that is not empty, or absent, not a number/],
    ]
    for (const [options, message] of refused)
      assert.throws(() => fakeSession().identify('ada', options as string), message, inspect(options))
  })
})
