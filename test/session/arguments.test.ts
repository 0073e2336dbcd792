import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { discreet } from '../support/secrecy.ts'
import { visits, type AnySession, type Visit } from '../support/visit.ts'
import { collectWarnings } from '../support/warnings.ts'

const SECRET = 'the-value-nobody-may-read'
const HOUR = 3_600_000
const DAY = 24 * HOUR

/** A visitor's session with the default timeouts, and the same as anything may call it. */
function stranger(): Visit & {
  readonly session: AnySession
  readonly untyped: Record<string, (...args: unknown[]) => unknown>
} {
  const visit = visits({ idleTimeout: HOUR / 2, absoluteTimeout: 8 * HOUR }).stranger()
  return { ...visit, session: visit.session, untyped: visit.session as never }
}

/** Refused with a message that says this, and nothing of the arguments. */
async function assertRefused(call: () => unknown, said: RegExp): Promise<void> {
  await assert.rejects(
    async () => call(),
    (error: Error) => {
      discreet('ERR_SESSION_OPTION', SECRET)(error)
      assert.match(error.message, said)
      return true
    },
  )
}

async function codesDuring(test: TestContext, work: () => void): Promise<string[]> {
  const warnings = await collectWarnings(test)
  work()
  return (await warnings()).map(({ code, message }) => `${code}: ${message}`)
}

describe('session.remember(…)', () => {
  it('with a length sets both timeouts, and the cookie outlives the browser', () => {
    const { session, copy } = stranger()
    session.remember(30 * DAY)
    assert.deepEqual(copy.changes()?.terms, { persistent: true, idleTimeout: 30 * DAY, absoluteTimeout: 30 * DAY })
  })

  it('with an object sets what it names, and leaves the other as it is', () => {
    const { session, copy } = stranger()
    session.remember({ idleTimeout: 2 * HOUR })
    assert.deepEqual(copy.changes()?.terms, { persistent: true, idleTimeout: 2 * HOUR })
    session.remember({})
    assert.deepEqual(copy.terms, { persistent: true, idleTimeout: 2 * HOUR, absoluteTimeout: 8 * HOUR })
  })

  const wrong: [title: string, args: unknown[], said: RegExp][] = [
    [
      'nothing',
      [],
      /takes a length in milliseconds, such as remember\(30 \* 24 \* 60 \* 60 \* 1000\) .* not undefined/,
    ],
    ['a length in words', ['30d'], /takes a length in milliseconds.* not a string/],
    ['true', [true], /takes a length in milliseconds.* not true/],
    ['null', [null], /takes a length in milliseconds.* not null/],
    ['a date', [new Date()], /takes a length in milliseconds.* not a Date/],
    ['a list', [[DAY]], /takes a length in milliseconds.* not a list/],
    ['a big integer', [5n], /takes a length in milliseconds.* not a bigint/],
    ['0', [0], /the length must be a number of milliseconds above 0/],
    ['NaN', [NaN], /the length must be a number of milliseconds above 0/],
    ['endless', [Infinity], /the length must be .* at most/],
    ['maxAge', [{ maxAge: DAY }], /maxAge is not an option\. Write remember\(milliseconds\)/],
    ['a typo', [{ idleTimout: DAY }], /idleTimout is not an option; did you mean idleTimeout\?/],
    ['a text as timeout', [{ absoluteTimeout: SECRET }], /absoluteTimeout must be a number of milliseconds above 0/],
  ]
  for (const [title, args, said] of wrong) {
    it(`refuses ${title}, and says what to write`, async () => {
      const { untyped, copy } = stranger()
      await assertRefused(() => untyped['remember']?.(...args), said)
      assert.equal(copy.changes(), undefined)
    })
  }

  const doubtful: [title: string, timeouts: Parameters<AnySession['remember']>[0], said: RegExp][] = [
    [
      'a longer life with the old pause',
      { absoluteTimeout: 30 * DAY },
      /^SESSION_TIMEOUTS_CONTRADICT: session\.remember: absoluteTimeout is 30 days and idleTimeout stays 30 minutes.*remember\(milliseconds\)/,
    ],
    [
      'a longer pause than life',
      { idleTimeout: 14 * DAY },
      /^SESSION_TIMEOUTS_CONTRADICT: session\.remember: idleTimeout \(14 days\) is longer than absoluteTimeout \(8 hours, unchanged\)/,
    ],
    ['days', 30, /^SESSION_TIMEOUT_SHORT: session\.remember: idleTimeout is 30 milliseconds/],
  ]
  for (const [title, timeouts, said] of doubtful) {
    it(`warns of ${title}, once`, async (test) => {
      const codes = await codesDuring(test, () => {
        for (const { session } of [stranger(), stranger()]) session.remember(timeouts)
      })
      assert.equal(codes.length, 1)
      assert.match(codes[0] ?? '', said)
    })
  }

  it('does not warn of a shorter life, nor of two timeouts that differ on purpose', async (test) => {
    const codes = await codesDuring(test, () => {
      stranger().session.remember({ absoluteTimeout: HOUR })
      stranger().session.remember({ idleTimeout: HOUR, absoluteTimeout: 30 * DAY })
      stranger().session.remember(5 * 60_000)
      const { session } = stranger()
      session.remember({ idleTimeout: 14 * DAY, absoluteTimeout: 30 * DAY })
      session.remember({ absoluteTimeout: 14 * DAY })
    })
    assert.deepEqual(codes, [])
  })
})

describe('session.regenerate(…)', () => {
  const wrong: [title: string, args: unknown[], said: RegExp][] = [
    ['true', [true], /Write regenerate\(\{ keep: true \}\)/],
    ['a list', [[SECRET]], /Write regenerate\(\{ keep: \['cart'\] \}\)/],
    ['a name', [SECRET], /takes options, such as \{ keep: \['cart'\] \}, not a string/],
    ['null', [null], /takes options.* not null/],
    ['a set', [new Set([SECRET])], /takes options.* not a Set/],
    ['a name that does not exist', [{ keeps: true }], /keeps is not an option; did you mean keep\?/],
    ['a name to keep that is none', [{ keep: [5] }], /keep must be true, false or a list of names/],
    ['a set of names to keep', [{ keep: new Set([SECRET]) }], /keep must be true, false or a list of names/],
  ]
  for (const [title, args, said] of wrong) {
    it(`rejects ${title}, says what to write, and leaves the session as it is`, async () => {
      const { untyped, session, copy } = stranger()
      session['cart'] = 1
      const refused = untyped['regenerate']?.(...args)
      assert.ok(refused instanceof Promise)
      await assertRefused(() => refused, said)
      assert.deepEqual([copy.phase, session['cart']], ['open', 1])
    })
  }
})

describe('session.identify(subject, label)', () => {
  const wrong: [title: string, args: unknown[], said: RegExp][] = [
    ['a number', [42], /the subject must be a string, not a number\. Write identify\(String\(user\.id\)\)/],
    ['nothing', [], /the subject must be a string that is not empty, not undefined/],
    ['an empty subject', [''], /the subject must be a string that is not empty, not an empty one/],
    ['a user', [{ id: SECRET }], /the subject must be .* not an Object/],
    ['an empty label', ['ada', ''], /the label must be a string that is not empty, or absent/],
    ['a label of another type', ['ada', { label: { name: SECRET } }], /the label must be a string .* not an Object/],
    ['what is no option', ['ada', { userAgent: SECRET }], /userAgent is not an option; there are label, /],
  ]
  for (const [title, args, said] of wrong) {
    it(`refuses ${title}, and says what to write`, async () => {
      const { untyped, copy } = stranger()
      await assertRefused(() => untyped['identify']?.(...args), said)
      assert.equal(copy.changes(), undefined)
    })
  }
})

describe('session.flash(key, value)', () => {
  const wrong: [title: string, args: unknown[], said: RegExp][] = [
    ['no key', [], /the key must be a string, not undefined\. Write flash\('notice', 'Saved'\)/],
    ['a key of another type', [{ notice: SECRET }], /the key must be a string, not an Object/],
    ['an undefined value', ['notice', undefined], /the value is undefined/],
    ['several values', ['notice', '%s is saved', SECRET], /takes one value/],
  ]
  for (const [title, args, said] of wrong) {
    it(`refuses ${title}, and says what to write`, async () => {
      const { untyped, copy } = stranger()
      await assertRefused(() => untyped['flash']?.(...args), said)
      assert.equal(copy.changes(), undefined)
    })
  }
})

describe('session.flashes(key)', () => {
  const wrong: [title: string, args: unknown[], said: RegExp][] = [
    ['no key', [], /the key must be a string, not undefined\. Write flashes\('notice'\)/],
    ['a value', ['notice', SECRET], /To leave a notice, write flash\(key, value\)/],
  ]
  for (const [title, args, said] of wrong) {
    it(`refuses ${title}, and says what to write`, async () => {
      const { untyped } = stranger()
      await assertRefused(() => untyped['flashes']?.(...args), said)
    })
  }
})

describe('session.update(change), and the callbacks of save, reload and destroy', () => {
  it('reject what is no function', async () => {
    const { untyped } = stranger()
    for (const change of [undefined, { views: SECRET }, SECRET]) {
      const refused = untyped['update']?.(change)
      assert.ok(refused instanceof Promise)
      await assertRefused(() => refused, /session\.update: it takes a function, such as \(session\) =>/)
    }
    for (const member of ['save', 'reload']) {
      const refused = untyped[member]?.({ force: SECRET })
      assert.ok(refused instanceof Promise)
      await assertRefused(
        () => refused,
        new RegExp(`session\\.${member}: it takes nothing or a callback, not an Object`),
      )
    }
    await assertRefused(() => untyped['destroy']?.({ force: SECRET }), /session\.destroy: force is not an option/)
  })
})
