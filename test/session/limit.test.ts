import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { isSessionError, session } from '../../src/index.ts'
import { subjectNames } from '../../src/session/subject-names.ts'
import type { LimitedIdentifyOptions } from '../../src/session/member-options.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { fakeSession, readSession, signIn } from '../../src/tools/testing.ts'
import type { Key } from '../../src/units.ts'
import { KEY } from '../support/sites/http.ts'
import { later, newKey, savedOf } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { nextInstant, visits, type Visit, type Visits } from '../support/visit.ts'

const HOUR = 60 * 60_000

interface Site extends Visits {
  readonly store: RecordingStore
  /** Another process on the same store. */
  readonly elsewhere: Visits
  /** A visitor whom this process has signed in. */
  signedIn(options: LimitedIdentifyOptions | string, where?: Visits): Promise<Visit>
  /** The user's sessions that live. */
  living(): Promise<Key[]>
}

function site(): Site {
  const store = recordingStore()
  const [here, elsewhere] = [visits({ store }), visits({ store: store.elsewhere })]
  return {
    ...here,
    store,
    elsewhere,
    async signedIn(options, where = here) {
      const visit = where.stranger()
      visit.session['cart'] = 1
      await visit.end()
      await visit.session.regenerate({ keep: ['cart'] })
      await visit.session.identify('ada', options as LimitedIdentifyOptions)
      visit.session['userId'] = 'ada'
      await visit.end()
      return visit
    },
    living: async () => (await elsewhere.lifecycle.subjects.list('ada', undefined)).map(({ id }) => id).sort(),
  }
}

function keysOf(...signedIn: Visit[]): Key[] {
  return signedIn.map(({ copy }) => copy.key).sort()
}

const LIMIT = { code: 'ERR_SESSION_LIMIT', status: 409 }

describe('a limit of parallel sessions', () => {
  it('ends the oldest of one too many', async () => {
    const { signedIn, living } = site()
    await signedIn({ max: 2 })
    const [second, third] = [await signedIn({ max: 2 }), await signedIn({ max: 2, label: 'phone' })]
    assert.deepEqual(await living(), keysOf(second, third))
  })

  it('counts sessions that were identified without one, from their beginning', async () => {
    const { signedIn, living } = site()
    await signedIn('first')
    await nextInstant()
    const second = await signedIn('second')
    const third = await signedIn({ max: 2 })
    assert.deepEqual(await living(), keysOf(second, third))
  })

  it('is the one that the sign-in names', async () => {
    const { signedIn, living } = site()
    for (let n = 0; n < 4; n++) await signedIn({ max: 4 })
    assert.equal((await living()).length, 4)
    const last = await signedIn({ max: 1 })
    assert.deepEqual(await living(), keysOf(last))
  })

  it('keeps sign-ins in their order, whatever the clocks of their machines say', async (test) => {
    const { signedIn, living } = site()
    const clock = test.mock.method(Date, 'now', () => performance.timeOrigin + performance.now() + HOUR)
    await signedIn({ max: 1 })
    clock.mock.restore()
    const second = await signedIn({ max: 1 })
    assert.deepEqual(await living(), keysOf(second))
    await assert.rejects(signedIn({ max: 1, over: 'refuse' }), LIMIT)
    assert.deepEqual(await living(), keysOf(second))
  })

  it('takes a session that says again whose it is for no new sign-in', async () => {
    const { signedIn, living } = site()
    const [first, second] = [await signedIn({ max: 2 }), await signedIn({ max: 2 })]
    await first.session.identify('ada', { max: 2, label: 'renamed' })
    await first.session.identify('ada', { max: 2, over: 'refuse', label: 'renamed again' })
    first.session.identify('ada', 'renamed once more')
    await first.end()
    assert.deepEqual(await living(), keysOf(first, second))
    const third = await signedIn({ max: 2 })
    assert.deepEqual(await living(), keysOf(second, third))
  })

  it('takes one that becomes another user’s for a new sign-in of that user', async () => {
    const { signedIn, living } = site()
    const [first, second] = [await signedIn({ max: 2 }), await signedIn({ max: 2 })]
    first.session.identify('bob')
    await first.end()
    await first.session.identify('ada', { max: 1 })
    assert.deepEqual(await living(), keysOf(first))
    await second.end()
  })

  it('counts neither what has expired, nor what is only noted, nor what cannot be read', async () => {
    const { store, signedIn, living } = site()
    const [name = ''] = subjectNames('sid', [])('ada')
    const expired = await signedIn({ max: 2 })
    const unreadable = newKey()
    savedOf(await store.elsewhere.save(unreadable, '{"format":99}', later(), undefined))
    for (const key of [newKey(), unreadable]) await store.elsewhere.subjects?.add(name, key, later())
    const found = await store.elsewhere.load(expired.copy.key)
    const text = found!.text.replace(/(?<="createdAt":)\d+/, (createdAt) => String(Number(createdAt) - 2 * HOUR))
    savedOf(await store.elsewhere.save(expired.copy.key, text, found!.expiresAt, found))
    const first = await signedIn({ max: 2, over: 'refuse' })
    const second = await signedIn({ max: 2, over: 'refuse' })
    assert.deepEqual(
      (await living()).filter((key) => key !== expired.copy.key),
      keysOf(first, second),
    )
    assert.equal((await store.elsewhere.load(unreadable))?.text, '{"format":99}')
  })

  it('costs a sign-in nothing of it if there is none', async () => {
    const { store, signedIn } = site()
    const { copy } = await signedIn('laptop')
    assert.equal(store.count('list'), 0)
    assert.doesNotMatch((await store.elsewhere.load(copy.key))!.text, /turn|also/)
  })
})

describe('over: refuse', () => {
  it('refuses one too many, and stores nothing of it', async () => {
    const { store, signedIn, stranger, living } = site()
    const first = await signedIn({ max: 1, over: 'refuse' })
    const visit = stranger()
    visit.session['cart'] = 2
    await visit.end()
    visit.session['userId'] = 'ada'
    visit.session.remember(HOUR)
    const saves = store.count('save')
    await assert.rejects(visit.session.identify('ada', { max: 1, over: 'refuse' }), LIMIT)
    assert.deepEqual([visit.session['userId'], visit.session['cart']], [undefined, 2])
    assert.equal(await visit.end(), 'unchanged')
    assert.equal(store.count('save'), saves)
    assert.deepEqual(await living(), keysOf(first))
    assert.equal(visit.session.endedBecause, undefined)
  })

  it('lets somebody in once there is room', async () => {
    const { signedIn, living } = site()
    const first = await signedIn({ max: 1, over: 'refuse' })
    await first.session.destroy()
    const second = await signedIn({ max: 1, over: 'refuse' })
    assert.deepEqual(await living(), keysOf(second))
  })

  it('leaves everybody alone if the limit was lowered', async () => {
    const { signedIn, living } = site()
    const all = [await signedIn({ max: 3 }), await signedIn({ max: 3 }), await signedIn({ max: 3 })]
    await assert.rejects(signedIn({ max: 2, over: 'refuse' }), LIMIT)
    await assert.rejects(all[2]!.session.identify('ada', { max: 2, over: 'refuse' }), LIMIT)
    assert.deepEqual(await living(), keysOf(...all))
  })
})

describe('two sign-ins for the last place', () => {
  for (const over of ['endOldest', 'refuse'] as const) {
    it(`leave one of them, whoever looks first, with over: ${over}`, async () => {
      for (const isFirstSlow of [true, false]) {
        const { store, signedIn, elsewhere, living } = site()
        // Both have seen that there is room, and both have stored who they are, before either looks again.
        const held = [store.hold('save'), store.hold('save'), store.hold('save'), store.hold('list', 'after')]
        const [, , , firstLook] = held
        for (const { release } of held.slice(0, 3)) release()
        const slow = signedIn({ max: 1, over })
        slow.catch(() => {})
        await firstLook?.arrived
        const stored = store.hold('save', isFirstSlow ? 'before' : 'after')
        firstLook?.release()
        await stored.arrived
        const quick = await signedIn({ max: 1, over }, elsewhere).catch((error: unknown) => error)
        stored.release()
        const outcome = await slow.catch((error: unknown) => error)
        assert.equal((await living()).length, 1, `${over} ${isFirstSlow}`)
        for (const each of [quick, outcome])
          if (each instanceof Error) assert.ok(isSessionError(each, 'ERR_SESSION_LIMIT'), inspect(each))
      }
    })
  }

  it('take the identity back from the one that is refused, and nothing else', async () => {
    const { store, stranger, elsewhere, signedIn, living } = site()
    const visit = stranger()
    visit.session['cart'] = 1
    await visit.end()
    const key = visit.copy.key
    visit.session['userId'] = 'ada'
    const looked = store.hold('list', 'after')
    const signing = visit.session.identify('ada', { max: 1, over: 'refuse', also: { tenant: 'acme' } })
    signing.catch(() => {})
    await looked.arrived
    const winner = await signedIn({ max: 1, over: 'refuse' }, elsewhere)
    await nextInstant()
    const writer = await elsewhere.returning(key)
    writer.session['cart'] = 2
    await writer.end()
    looked.release()
    await assert.rejects(signing, LIMIT)
    await visit.end()
    const { session, copy } = await elsewhere.returning(key)
    assert.deepEqual({ ...session }, { cart: 2 })
    assert.deepEqual([copy.record.subject, copy.record.also, copy.record.turn], [undefined, undefined, undefined])
    assert.deepEqual(await living(), keysOf(winner))
    assert.deepEqual(await elsewhere.lifecycle.subjects.list({ tenant: 'acme' }, undefined), [])
  })
})

describe('a session that is moving to a new id while somebody signs in', () => {
  it('counts once', async () => {
    const { store, elsewhere, signedIn, living } = site()
    const mover = await signedIn({ max: 2 })
    const second = await signedIn({ max: 2 })
    const created = store.hold('save', 'after')
    const moving = mover.session.regenerate({ keep: true })
    await created.arrived // both records are there
    await second.session.destroy()
    const newcomer = await signedIn({ max: 2 }, elsewhere)
    created.release()
    await moving
    assert.deepEqual(await living(), keysOf(mover, newcomer))
    assert.equal(mover.copy.isOpen, true)
  })

  it('is ended under both ids', async () => {
    for (const step of [1, 2]) {
      const { store, elsewhere, signedIn, living } = site()
      const mover = await signedIn({ max: 1 })
      const held = Array.from({ length: step }, () => store.hold('save', 'after'))
      const moving = mover.session.regenerate({ keep: true })
      for (const { release } of held.slice(0, -1)) release()
      await held.at(-1)?.arrived
      const newcomer = await signedIn({ max: 1 }, elsewhere)
      held.at(-1)?.release()
      await moving.catch((error: unknown) => assert.ok(isSessionError(error, 'ERR_SESSION_GONE'), inspect(error)))
      await mover.end()
      assert.deepEqual(await living(), keysOf(newcomer), `after save ${step}`)
    }
  })

  it('is ended where it is, if it moves between the look and the end', async () => {
    const { store, elsewhere, signedIn, living, stranger } = site()
    const mover = await signedIn({ max: 1 }, elsewhere)
    const newcomer = stranger()
    const looks = [store.hold('list', 'after'), store.hold('list', 'after')]
    const signing = newcomer.session.identify('ada', { max: 1 })
    looks[0]?.release()
    await looks[1]?.arrived
    await mover.session.regenerate({ keep: true })
    looks[1]?.release()
    await signing
    assert.deepEqual(await living(), keysOf(newcomer))
  })
})

describe('a sign-in that is broken off', () => {
  it('is counted by the next one, if its process died before it had looked', async () => {
    const { store, elsewhere, signedIn, living, stranger } = site()
    await signedIn({ max: 1 })
    const dying = stranger()
    const held = [store.hold('list'), store.hold('list')]
    held[0]?.release()
    void dying.session.identify('ada', { max: 1 })
    await held[1]?.arrived
    assert.equal((await living()).length, 2)
    const next = await signedIn({ max: 1 }, elsewhere)
    assert.deepEqual(await living(), keysOf(next))
  })

  it('rejects and signs nobody in, if the store fails while the others are ended', async () => {
    const { store, elsewhere, signedIn, living, stranger } = site()
    const [first, second] = [await signedIn({ max: 2 }), await signedIn({ max: 2 })]
    const visit = stranger()
    visit.session['cart'] = 1
    await visit.end()
    visit.session['userId'] = 'ada'
    const looks = [store.hold('list', 'after'), store.hold('list', 'after')]
    const signing = visit.session.identify('ada', { max: 1 })
    signing.catch(() => {})
    looks[0]?.release()
    await looks[1]?.arrived
    store.fail('load', new Error('the server is down'))
    store.fail('load', new Error('the server is down'))
    looks[1]?.release()
    await assert.rejects(signing, { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    await visit.end()
    assert.deepEqual({ ...(await elsewhere.returning(visit.copy.key)).session }, { cart: 1 })
    assert.deepEqual(await living(), keysOf(first, second))
  })

  it('rejects with ERR_SESSION_GONE if its own session was ended meanwhile', async () => {
    const { elsewhere, store, signedIn, living, stranger } = site()
    const visit = stranger()
    visit.session['cart'] = 1
    await visit.end()
    const looked = store.hold('list', 'after')
    const signing = visit.session.identify('ada', { max: 1 })
    signing.catch(() => {})
    await looked.arrived
    await elsewhere.lifecycle.subjects.revoke(visit.copy.key)
    looked.release()
    await assert.rejects(signing, { code: 'ERR_SESSION_GONE' })
    const other = await signedIn({ max: 1 })
    assert.deepEqual(await living(), keysOf(other))
  })
})

describe('identify with a limit', () => {
  it('works on a session of a socket, of a test and of signIn', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    const sign = (label: string): ReturnType<typeof signIn> =>
      signIn(sessions, (visitor) => void visitor.identify('ada', { label, max: 1 }))
    await sign('first')
    const second = await sign('second')
    assert.deepEqual(
      (await sessions.list('ada')).map(({ label }) => label),
      ['second'],
    )
    const socket = await readSession(sessions, second)
    await socket?.identify('ada', { label: 'socket', max: 1 })
    assert.deepEqual(
      (await sessions.list('ada')).map(({ label }) => label),
      ['socket'],
    )
    await fakeSession().identify('ada', { max: 5, over: 'refuse' })
  })

  it('refuses what is no limit, with what to write', async () => {
    const refused: [options: unknown, message: RegExp][] = [
      [{ max: 0 }, /^session\.identify: max must be a whole number above 0; it is 0\.$/],
      [{ max: -1 }, /whole number above 0; it is -1/],
      [{ max: 2.5 }, /whole number above 0; it is 2\.5/],
      [{ max: '5' }, /whole number above 0; it is '5'/],
      [{ max: Infinity }, /whole number above 0; it is Infinity/],
      [{ max: null }, /whole number above 0; it is null/],
      [{ max: 5, over: 'endNewest' }, /over must be one of endOldest, refuse; it is 'endNewest'/],
      [{ max: 5, over: null }, /over must be one of/],
      [{ over: 'refuse' }, /there is no max\. Write \{ max: 5, over: … \}/],
      [{ limit: 5 }, /limit is not an option\. Write max\./],
      [{ max: 5, lable: 'phone' }, /lable is not an option; did you mean label\?/],
      [{ max: 5, also: { tenant: 1 } }, /also\.tenant must be a string/],
    ]
    for (const [options, message] of refused) {
      const said = async (): Promise<void> => fakeSession().identify('ada', options as LimitedIdentifyOptions)
      await assert.rejects(said, (error) => {
        assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), inspect(options))
        assert.match(error.message, message)
        return true
      })
    }
    await assert.rejects(fakeSession().identify('', { max: 5 }), { code: 'ERR_SESSION_OPTION' })
  })

  it('is refused at once by a store that cannot list, and stores nothing', async () => {
    const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
    const { stranger } = visits({ store: { load, save, touch, delete: remove } })
    const visit = stranger()
    await assert.rejects(visit.session.identify('ada', { max: 5 }), {
      code: 'ERR_SESSION_OPTION',
      message: /cannot tell which sessions are a user’s.*Files, memory, Redis and SQL databases can/,
    })
    assert.equal(await visit.end(), 'unchanged')
  })

  it('cannot be said inside update, nor after the end of the request', async () => {
    const { stored, returning } = site()
    const { session, seal: _, ...visit } = await returning(await stored({ cart: 1 }))
    await assert.rejects(
      session.update((fresh) => void fresh.identify('ada', { max: 5 })),
      { code: 'ERR_SESSION_OPTION' },
    )
    assert.equal(visit.copy.record.subject, undefined)
  })
})
