import assert from 'node:assert/strict'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { Diagnostics, type DiagnosticMessage } from '../src/diagnostics.ts'
import { assertHides } from './support/secrecy.ts'

const SECRET = 'what was loaded from the store'

/** Everything that is said about `name` until the test ends: which part of it, and the message. */
function listen(test: TestContext, name: string): [part: string, message: object][] {
  const heard: [string, object][] = []
  const parts = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
  const handlers = Object.fromEntries(
    parts.map((part) => [part, (message: unknown) => void heard.push([part, { ...(message as object) }])]),
  )
  const traced = tracingChannel(`koa-server-session:${name}`)
  traced.subscribe(handlers as never)
  test.after(() => traced.unsubscribe(handlers as never))
  return heard
}

describe('Diagnostics.report(name, details)', () => {
  const NAMES = ['conflict', 'merge', 'invalidate', 'stale', 'error', 'suspicious'] as const

  it('tells who listens what happened, and to which middleware', (t) => {
    const heard: unknown[] = []
    const onMessage = (message: unknown): void => void heard.push(message)
    for (const name of NAMES) {
      channel(`koa-server-session:${name}`).subscribe(onMessage)
      t.after(() => channel(`koa-server-session:${name}`).unsubscribe(onMessage))
      new Diagnostics('own').report(name, { reason: name })
    }
    assert.deepEqual(
      heard,
      NAMES.map((reason) => ({ cookieName: 'own', reason })),
    )
  })

  it('costs nothing where nobody listens', () => {
    assert.equal(new Diagnostics('sid').report('conflict'), undefined)
  })
})

describe('Diagnostics.trace(name, work)', () => {
  it('gives back the very answer, and no promise of one, where nobody listens', () => {
    const answer = { text: SECRET }
    assert.equal(
      new Diagnostics('sid').trace('load', () => answer),
      answer,
    )
    const error = new Error('down')
    assert.throws(
      () =>
        new Diagnostics('sid').trace('load', () => {
          throw error
        }),
      error,
    )
  })

  for (const name of ['load', 'save', 'touch', 'destroy', 'regenerate'] as const) {
    it(`tells who listens when ${name} began and ended, and not what came of it`, async (t) => {
      const heard = listen(t, name)
      assert.deepEqual(await new Diagnostics('own').trace(name, () => ({ text: SECRET })), { text: SECRET })
      assert.deepEqual(await new Diagnostics('own').trace(name, async () => ({ text: SECRET })), { text: SECRET })
      assert.deepEqual(
        heard.map(([part]) => part),
        ['start', 'end', 'asyncStart', 'asyncEnd', 'start', 'end', 'asyncStart', 'asyncEnd'],
      )
      for (const [, message] of heard) {
        const { cookieName, operation } = message as DiagnosticMessage
        assert.deepEqual([cookieName, operation], ['own', name])
      }
      assertHides(heard, SECRET)
    })
  }

  it('tells who listens the outcome once there is one, in a word that is no data', async (t) => {
    const heard = listen(t, 'load')
    const answer = { text: SECRET }
    const found = await new Diagnostics('sid').trace(
      'load',
      () => answer,
      ({ text }) => (text === SECRET ? 'found' : 'missing'),
    )
    assert.equal(found, answer)
    assert.deepEqual(
      heard.map(([part, message]) => [part, (message as DiagnosticMessage).outcome]),
      [
        ['start', undefined],
        ['end', undefined],
        ['asyncStart', 'found'],
        ['asyncEnd', 'found'],
      ],
    )
    assertHides(heard, SECRET)
  })

  it('tells who listens what failed, and fails with the same error', async (t) => {
    const heard = listen(t, 'save')
    const error = new Error('down')
    const failing = [
      () => Promise.reject(error),
      () => {
        throw error
      },
    ]
    for (const work of failing) await assert.rejects(async () => new Diagnostics('sid').trace('save', work), error)
    const errors = heard
      .filter(([part]) => part === 'error')
      .map(([, message]) => (message as { error?: unknown }).error)
    assert.deepEqual(errors, [error, error])
  })
})

describe('Diagnostics.warn(code, message)', () => {
  it('warns once of each thing, with a code that can be filtered', async (t) => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void (warning.name === 'SessionWarning' && warnings.push(warning))
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const diagnostics = new Diagnostics('sid')
    diagnostics.warn('A', 'about a')
    diagnostics.warn('A', 'about a')
    diagnostics.warn('B', 'about b')
    await new Promise(setImmediate)
    assert.deepEqual(
      warnings.map((warning) => [(warning as Error & { code: string }).code, warning.message]),
      [
        ['A', 'about a'],
        ['B', 'about b'],
      ],
    )
  })
})
