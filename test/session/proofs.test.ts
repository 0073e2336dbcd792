import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { withProofs } from '../../src/record/proofs.ts'
import { discreet } from '../support/secrecy.ts'
import { recordingStore, type Method, type RecordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { visits, type AnySession, type Visit, type Visits } from '../support/visit.ts'
import { collectWarnings } from '../support/warnings.ts'

const MINUTE = 60_000
const SECRET = 'the-value-nobody-may-read'

function recorded(): Visits & { store: RecordingStore } {
  const store = recordingStore()
  return { ...visits({ store, idleTimeout: 10 * MINUTE }), store }
}

/** A visitor with a stored session, and the next visits of the same. */
async function visitor(data: object = {}): Promise<{
  readonly all: ReturnType<typeof recorded>
  readonly key: string
  come(): Promise<Visit>
}> {
  const all = recorded()
  const key = await all.stored(data)
  return { all, key, come: () => all.returning(key) }
}

/** The session of this visit, as the next request finds it. */
async function later({ returning }: Visits, visit: Visit): Promise<AnySession> {
  await visit.end()
  return (await returning(visit.copy.key)).session
}

/** Which of these kinds were proved in the last minute. */
function proved(session: AnySession, kinds: string[] = ['password', 'passkey']): string[] {
  return kinds.filter((kind) => session.provedWithin(kind, MINUTE))
}

/** The calls of the store during some work. */
async function callsDuring(store: RecordingStore, work: () => Promise<unknown>): Promise<Method[]> {
  const before = store.calls.length
  await work()
  return store.calls.slice(before)
}

/** Proves the password; the save of another request falls between the two steps of that: the new record, and the marker. */
async function proving({ store }: { store: RecordingStore }, visit: Visit, other: Visit): Promise<void> {
  const held = store.hold('save', 'after')
  const proof = visit.session.prove('password')
  await held.arrived
  await other.session.save()
  held.release()
  await proof
}

describe('session.prove(kind)', () => {
  it('notes the proof, keeps everything, and takes a new token', async () => {
    const { all, key, come } = await visitor({ cart: ['tea'] })
    const visit = await come()
    visit.session.identify('ada', 'Laptop')
    visit.session.remember(5 * MINUTE)
    visit.session.flash('notice', 'hello')
    const { createdAt } = visit.session
    assert.deepEqual(proved(visit.session), [])
    await visit.session.prove('password')
    assert.deepEqual(proved(visit.session), ['password'], 'in the request that has proved it')
    const next = await later(all, visit)
    assert.deepEqual(proved(next), ['password'], 'and in the next one')
    assert.deepEqual([{ ...next }, next.createdAt, next.flash('notice')], [{ cart: ['tea'] }, createdAt, 'hello'])
    assert.notEqual(next.id, key)
    assert.equal(await all.lifecycle.load(key), 'replaced')
  })

  it('costs the store no more than a regenerate that keeps everything', async () => {
    const calls = async (work: (session: AnySession) => Promise<void>): Promise<Method[]> => {
      const { all, come } = await visitor({ cart: ['tea'] })
      const visit = await come()
      return callsDuring(all.store, async () => {
        await work(visit.session)
        await visit.end()
      })
    }
    const regenerated = await calls((session) => session.regenerate({ keep: true }))
    assert.deepEqual(regenerated, ['save', 'save'])
    assert.deepEqual(await calls((session) => session.prove('password')), regenerated)
  })

  it('notes several proofs at once, beside those of before', async () => {
    const { all, come } = await visitor()
    const visit = await come()
    await visit.session.prove('passkey')
    await visit.session.prove(['password', 'otp'])
    const next = await later(all, visit)
    assert.deepEqual(proved(next, ['passkey', 'password', 'otp', 'mail']), ['passkey', 'password', 'otp'])
  })

  it('begins the session of a visitor who has none', async () => {
    const all = recorded()
    const visit = all.stranger()
    await visit.session.prove('mail')
    assert.deepEqual(await callsDuring(all.store, () => visit.end()), ['save'])
    assert.deepEqual(proved((await all.returning(visit.copy.key)).session, ['mail']), ['mail'])
  })

  it('is no step of an update', async () => {
    const { come } = await visitor()
    const { session } = await come()
    await assert.rejects(
      session.update((draft) => void draft.prove('password')),
      discreet('ERR_SESSION_OPTION'),
    )
  })
})

describe('regenerate({ proved })', () => {
  it('is a sign-in with its proof, in the steps of the sign-in', async () => {
    const { all, come } = await visitor({ cart: ['tea'], draft: 'x' })
    const visit = await come()
    const calls = await callsDuring(all.store, () => visit.session.regenerate({ keep: ['cart'], proved: 'password' }))
    assert.deepEqual(calls, ['save', 'save'])
    visit.session.identify('ada')
    assert.deepEqual(proved(visit.session), ['password'])
    const next = await later(all, visit)
    assert.deepEqual([{ ...next }, proved(next)], [{ cart: ['tea'] }, ['password']])
  })
})

describe('a proof ends', () => {
  for (const [how, end] of Object.entries<(session: AnySession) => Promise<void>>({
    'with regenerate()': (session) => session.regenerate(),
    'with a regenerate that keeps some data': (session) => session.regenerate({ keep: ['cart'] }),
    'with a sign-in that proves something else': (session) => session.regenerate({ proved: 'passkey' }),
    'with destroy()': (session) => session.destroy(),
    'with identify, if it names another user': async (session) => session.identify('bob'),
    'with identify, if it names another user first and the same user then': async (session) => {
      session.identify('bob')
      session.identify('ada')
    },
  })) {
    it(how, async () => {
      const { all, come } = await visitor({ cart: ['tea'] })
      const visit = await come()
      visit.session.identify('ada')
      await visit.session.prove('password')
      const again = await all.returning(visit.copy.key)
      await end(again.session)
      assert.deepEqual(proved(again.session, ['password']), [], 'in this request')
      if (!again.copy.isOpen) return // destroyed: there is no next one
      assert.deepEqual(proved(await later(all, again), ['password']), [], 'and in the next one')
    })
  }

  it('and not with regenerate({ keep: true }), nor with identify, if it names the same user again', async () => {
    const { all, come } = await visitor()
    const visit = await come()
    visit.session.identify('ada')
    await visit.session.prove('password')
    visit.session.identify('ada', 'Another label')
    await visit.session.regenerate({ keep: true })
    assert.deepEqual(proved(await later(all, visit)), ['password'])
  })

  it('with its time', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { come } = await visitor()
    const visit = await come()
    await visit.session.prove('password')
    t.mock.timers.tick(MINUTE)
    assert.equal(visit.session.provedWithin('password', MINUTE), true)
    t.mock.timers.tick(1)
    assert.equal(visit.session.provedWithin('password', MINUTE), false)
    assert.equal(visit.session.provedWithin('password', 2 * MINUTE), true)
    await visit.session.prove('password')
    assert.equal(visit.session.provedWithin('password', MINUTE), true, 'and the latest one counts')
  })

  it('with its time on the clock of the node that asks, and counts at most a minute before it', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { come } = await visitor()
    const visit = await come()
    await visit.session.prove('password') // by a node whose clock is ahead of what follows
    const ahead = (by: number): void => t.mock.timers.setTime(1_700_000_000_000 - by)
    ahead(30_000)
    assert.equal(visit.session.provedWithin('password', 10 * MINUTE), true)
    assert.equal(visit.session.provedWithin('password', 20_000), false, 'no longer than one that is as far back')
    ahead(MINUTE)
    assert.equal(visit.session.provedWithin('password', 10 * MINUTE), true)
    ahead(MINUTE + 1)
    assert.equal(visit.session.provedWithin('password', 10 * MINUTE), false)
    await visit.session.prove('password')
    assert.equal(
      visit.session.provedWithin('password', 10 * MINUTE),
      true,
      'a new proof counts, although it is earlier',
    )
  })
})

describe('a proof, while other requests of the visitor are under way', () => {
  it('is not lost by what they write, and takes it over', async () => {
    const { all, come } = await visitor({ cart: ['tea'] })
    const [visit, other] = [await come(), await come()]
    other.session['seat'] = 7
    await proving(all, visit, other)
    const next = await later(all, visit)
    assert.deepEqual([{ ...next }, proved(next)], [{ cart: ['tea'], seat: 7 }, ['password']])
  })

  it('is not had by a request that came with the old token', async () => {
    const { come } = await visitor()
    const [visit, other] = [await come(), await come()]
    await visit.session.prove('password')
    assert.deepEqual(proved(other.session), [])
    other.session['a'] = 1
    await assert.rejects(other.session.save(), discreet('ERR_SESSION_GONE'))
  })

  it('is not brought back by a request that began before its end', async () => {
    const { all, come } = await visitor()
    const signedIn = await come()
    signedIn.session.identify('ada')
    await signedIn.session.prove('password')
    const [visit, other] = [await all.returning(signedIn.copy.key), await all.returning(signedIn.copy.key)]
    visit.session.identify('bob')
    await visit.session.save()
    other.session['a'] = 1
    await other.session.save()
    await other.session.regenerate({ keep: true })
    assert.deepEqual(proved(await later(all, other)), [])
  })

  it('of one user is no proof of another, who has got the session meanwhile', async () => {
    for (const before of [undefined, 'ada']) {
      const { all, come, key } = await visitor()
      const first = await come()
      if (before !== undefined) first.session.identify(before)
      await first.session.save()
      const [visit, other] = [await come(), await come()]
      other.session.identify('bob')
      await assert.rejects(proving(all, visit, other), discreet('ERR_SESSION_GONE', SECRET))
      assert.deepEqual(
        await keysOf(all.store.elsewhere),
        [key],
        'the session is where it was, and no second one is left',
      )
      assert.deepEqual(proved((await come()).session), [])
    }
  })

  it('counts for the user that this request has named before it, whoever had the session meanwhile', async () => {
    const { all, come } = await visitor()
    const [visit, other] = [await come(), await come()]
    visit.session.identify('ada')
    other.session.identify('bob')
    await proving(all, visit, other)
    const next = await all.returning((await later(all, visit)).id)
    assert.deepEqual([next.copy.record.subject, proved(next.session)], ['ada', ['password']])
  })

  it('is not handed to a second proof with the old token, which takes its place', async () => {
    const { all, come } = await visitor({ cart: ['tea'] })
    const [one, two] = [await come(), await come()]
    await one.session.prove('password')
    await two.session.prove('passkey')
    const next = await later(all, two)
    assert.deepEqual([{ ...next }, proved(next)], [{ cart: ['tea'] }, ['passkey']])
    assert.equal(await all.lifecycle.load(one.copy.key), 'replaced', 'one session is left')
  })
})

describe('a session of a release before this one', () => {
  it('keeps data of the names that are members now, and shows it to nobody', async () => {
    const all = recorded()
    const key = await all.stored({ cart: ['tea'] })
    const found = await all.store.load(key)
    assert.ok(found)
    const text = found.text.replace('"cart":', '"prove":"mine",\n"provedWithin":[1],\n"cart":')
    await all.store.save(key, text, found.expiresAt, found)
    const visit = await all.returning(key)
    assert.equal(typeof visit.session.prove, 'function')
    assert.deepEqual(visit.session.provedWithin('password', MINUTE), false)
    assert.deepEqual({ ...visit.session }, { cart: ['tea'] })
    visit.session['cart'].push('milk')
    await visit.session.save()
    await visit.session.prove('password')
    const next = await later(all, visit)
    assert.deepEqual([{ ...next }, proved(next)], [{ cart: ['tea', 'milk'] }, ['password']])
  })
})

describe('the arguments of a proof', () => {
  const kinds: [title: string, kinds: unknown, said: RegExp][] = [
    ['nothing', undefined, /must be a string, not undefined\. Write .*'password'/],
    ['a number', 600, /must be a string, not a number/],
    ['an empty string', '', /must be a string, not an empty one/],
    ['an empty list', [], /the list of kinds is empty/],
    ['a list with a hole', ['password', null], /must be a string, not null/],
    ['a promise', Promise.resolve('password'), /is a promise\. Await it first/],
    ['a sentence', `the ${SECRET}`, /a word of 1 to 64 visible characters/],
    ['a quotation mark', `"${SECRET}`, /a word of 1 to 64 visible characters/],
    ['a line break', `${SECRET}\n`, /a word of 1 to 64 visible characters/],
    ['a text without end', SECRET.repeat(3), /a word of 1 to 64 visible characters/],
  ]

  for (const [title, kind, said] of kinds) {
    it(`refuses ${title} as the kind, without showing it`, async () => {
      const { session } = visits().stranger()
      const refused = (error: Error): boolean => {
        discreet('ERR_SESSION_OPTION', SECRET)(error)
        assert.match(error.message, said)
        return true
      }
      await assert.rejects(session.prove(kind as string), refused)
      if (kind !== undefined) await assert.rejects(session.regenerate({ proved: kind as string }), refused)
      assert.throws(() => session.provedWithin(kind as string, MINUTE), kind === 600 ? /comes first/ : refused)
    })
  }

  for (const [title, within, said] of [
    ['nothing', undefined, /how old the proof may be is missing.*provedWithin\('password', 10 \* 60_000\)/],
    ['a string', '10m', /must be a number of milliseconds above 0/],
    ['no time at all', 0, /above 0/],
    ['less than nothing', -1, /above 0/],
    ['no number', Number.NaN, /above 0/],
    ['eternity', Infinity, /at most/],
  ] as const) {
    it(`refuses ${title} as the age`, () => {
      const { session } = visits().stranger()
      assert.throws(
        () => session.provedWithin('password', within as number),
        (error: Error) => discreet('ERR_SESSION_OPTION')(error) && said.test(error.message),
      )
    })
  }

  it('warns once of an age that was hardly meant, such as one in seconds', async (t: TestContext) => {
    const warnings = await collectWarnings(t)
    const { session } = visits().stranger()
    for (const within of [10_000, 600, 600, 3600]) session.provedWithin('password', within)
    const told = await warnings()
    assert.deepEqual(
      told.map(({ code }) => code),
      ['SESSION_PROOF_SHORT'],
    )
    assert.match(
      told[0]?.message ?? '',
      /session\.provedWithin: a proof counts for 600 milliseconds only\. Were seconds/,
    )
  })

  it('names the options of a regenerate that were probably meant', async () => {
    const { session } = visits().stranger()
    await assert.rejects(session.regenerate({ prove: 'password' } as never), /proved: 'password'/)
  })
})

describe('the proofs of a record', () => {
  it('are those of before and the new ones', () => {
    const before = withProofs(undefined, ['password', 'passkey'], 1)
    assert.deepEqual(
      [...withProofs(before, ['password', '__proto__'], 2)],
      [
        ['password', 2],
        ['passkey', 1],
        ['__proto__', 2],
      ],
    )
  })
})
