import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { SessionError } from '../../src/errors.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { collectedAll, collectedUntil } from '../support/processes/garbage.ts'
import type { Found } from '../../src/store.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { discreet } from '../support/secrecy.ts'
import type { CacheBounds } from '../../src/layers/cached.ts'
import { visits, type Visits } from '../support/visit.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND

interface Site extends Visits {
  readonly store: RecordingStore
  /** Lets time pass, in steps, and what happens meanwhile happen. */
  pass(length: Milliseconds, step?: Milliseconds): Promise<void>
  /** A stored session and the signal of somebody who holds it. */
  held(): Promise<{ key: Key; signal: AbortSignal }>
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** By another process. */
async function regenerateElsewhere(store: RecordingStore, key: Key): Promise<void> {
  const { session } = await visits({ store: store.elsewhere }).returning(key)
  await session.regenerate({ keep: true })
}

function site(
  test: TestContext,
  power?: 'watch',
  options: { idleTimeout?: Milliseconds; absoluteTimeout?: Milliseconds; cache?: CacheBounds } = {},
): Site {
  test.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 })
  const store = recordingStore(power && { power })
  const all = visits({ idleTimeout: 60 * MINUTE, absoluteTimeout: 600 * MINUTE, ...options, store })
  test.after(() => all.signals.close())
  return {
    ...all,
    store,
    async pass(length, step = 100) {
      for (let passed = 0; passed < length; passed += step) {
        test.mock.timers.tick(Math.min(step, length - passed))
        await turn()
      }
    },
    async held() {
      const key = await all.stored({ a: 1 })
      return { key, signal: (await all.returning(key)).session.signal }
    },
  }
}

describe('session.signal', () => {
  it('is always the same one, and is made without any store', async (test) => {
    const { stranger, diagnostics, store } = site(test)
    const { session } = stranger()
    assert.equal(session.signal, session.signal)
    assert.equal(session.signal.aborted, false)
    assert.deepEqual([store.calls, diagnostics.stats.signals], [[], 0])
  })

  it('is no data, and its name cannot be one', async (test) => {
    const { stranger } = site(test)
    const { session } = stranger()
    assert.deepEqual([Object.keys(session), 'signal' in session], [[], true])
    assert.throws(() => (session['signal' as 'a'] = 1), discreet('ERR_SESSION_RESERVED_KEY'))
  })

  it('is refused inside of update()', async (test) => {
    const { held, returning } = site(test)
    const visit = await returning((await held()).key)
    await assert.rejects(
      visit.session.update((fresh) => fresh.signal),
      discreet('ERR_SESSION_OPTION'),
    )
  })

  it('is aborted at once when this process destroys the session, for all who hold it', async (test) => {
    const { held, returning, diagnostics } = site(test)
    const { key, signal } = await held()
    const [one, two] = [await returning(key), await returning(key)]
    assert.equal(one.session.signal.aborted, false)
    assert.equal(diagnostics.stats.signals, 1)
    await two.session.destroy()
    for (const each of [signal, one.session.signal, two.session.signal]) {
      assert.ok(discreet('ERR_SESSION_ENDED')(each.reason))
    }
    assert.equal(diagnostics.stats.signals, 0)
  })

  it('is aborted by regenerate(), and the new session has another one', async (test) => {
    const { held, returning } = site(test)
    const { key, signal } = await held()
    const visit = await returning(key)
    const before = visit.session.signal
    await visit.session.regenerate({ keep: true })
    assert.deepEqual([signal.aborted, before.aborted, visit.session.signal.aborted], [true, true, false])
    await visit.end()
    const { signal: next } = visit.session
    await visit.session.destroy()
    assert.equal(next.aborted, true)
  })

  it('of a session that has ended already is aborted', async (test) => {
    const { held, returning } = site(test)
    const { key } = await held()
    const [visit, other] = [await returning(key), await returning(key)]
    const old = visit.session
    await old.regenerate()
    assert.equal(old.signal.aborted, true)
    await assert.rejects(other.session.reload(), discreet('ERR_SESSION_GONE'))
    assert.equal(other.session.signal.aborted, true)
  })

  it('of a session that was never saved is aborted by destroy() and regenerate()', async (test) => {
    const { stranger, store } = site(test)
    for (const how of ['destroy', 'regenerate'] as const) {
      const { session } = stranger()
      const { signal } = session
      await (how === 'destroy' ? session.destroy() : session.regenerate())
      assert.equal(signal.aborted, true, how)
    }
    assert.deepEqual(store.calls, [])
  })

  it('that was aborted is believed by every later request, also if the cache has not heard of the end', async (test) => {
    const cache = { max: 100, maxBytes: 1_000_000, maxAge: 60 * MINUTE, allowStale: false }
    const { held, lifecycle, pass, store } = site(test, 'watch', { cache })
    const { key, signal } = await held()
    const { count } = store
    const loads = count('load')
    assert.equal(typeof (await lifecycle.load(key)), 'object')
    assert.equal(count('load'), loads, 'the cache has it')
    await store.elsewhere.delete(key)
    await pass(SECOND)
    assert.equal(signal.aborted, true)
    assert.equal(await lifecycle.load(key), 'missing')
  })

  it('of a session that was never saved is watched from its first save on', async (test) => {
    const { stranger, store, pass, diagnostics } = site(test)
    const visit = stranger()
    const { signal } = visit.session
    visit.session['a'] = 1
    await visit.end()
    assert.equal(diagnostics.stats.signals, 1)
    await pass(SECOND)
    await store.elsewhere.delete(visit.copy.key)
    await pass(SECOND)
    assert.equal(signal.aborted, true)
  })

  it('is not aborted by a destroy that the store failed to do', async (test) => {
    const { held, returning, store } = site(test)
    const { key, signal } = await held()
    const visit = await returning(key)
    store.fail('delete', new Error('down'))
    await assert.rejects(visit.session.destroy())
    assert.equal(signal.aborted, false)
    await visit.session.destroy()
    assert.equal(signal.aborted, true)
  })

  it('is not aborted by a delete of an older version only', async (test) => {
    const { held, signals, store } = site(test)
    const { key, signal } = await held()
    const older = (await store.load(key))!
    const answer = await store.save(key, older.text, older.expiresAt, older)
    assert.ok(answer.saved)
    const front = signals.over(store)
    assert.equal(typeof (await front.delete(key, older)), 'object')
    assert.equal(signal.aborted, false)
    assert.equal(await front.delete(key, answer.saved), true)
    assert.equal(signal.aborted, true)
  })

  it('is aborted when a load, a save or a touch in this process finds the session gone', async (test) => {
    const findings: Record<string, (all: Site, key: Key) => Promise<() => unknown>> = {
      load:
        async ({ lifecycle }, key) =>
        () =>
          lifecycle.load(key),
      save: async ({ returning }, key) => {
        const visit = await returning(key)
        visit.session['a'] = 2
        return () => visit.end()
      },
      touch: async ({ lifecycle, store, pass }, key) => {
        const found = (await lifecycle.load(key)) as Found
        await pass(30 * MINUTE, MINUTE)
        // The load that goes before it still finds the session.
        const held = store.hold('load', 'after')
        lifecycle.touch(key, found)
        await held.arrived
        return () => held.release()
      },
    }
    const ends: [what: string, end: (all: Site, key: Key) => Promise<unknown>, names: string[]][] = [
      ['deleted', async ({ store }, key) => store.elsewhere.delete(key), ['load', 'save', 'touch']],
      // A touch extends whatever is there, and learns nothing of it.
      ['replaced by a marker', ({ store }, key) => regenerateElsewhere(store, key), ['load', 'save']],
    ]
    for (const [what, end, names] of ends) {
      for (const name of names) {
        await test.test(`${what}: ${name}`, async (test) => {
          const all = site(test)
          const { key, signal } = await all.held()
          const find = await findings[name]?.(all, key)
          await end(all, key)
          await find?.()
          await turn()
          assert.equal(signal.aborted, true)
        })
      }
    }
  })
})

describe('on a store that tells of writes', () => {
  it('is aborted as soon as it is told of a delete elsewhere', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const [{ key, signal }, other] = [await held(), await held()]
    await pass(2 * SECOND)
    await store.elsewhere.delete(key)
    for (const { saved, deleted } of store.listeners) {
      saved(key, 5)
      deleted(key)
      deleted('a'.repeat(64))
    }
    await pass(1, 1)
    assert.deepEqual([signal.aborted, other.signal.aborted], [true, false])
  })

  it('is not aborted by a message about a session that lives, and costs it one look', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    store.calls.length = 0
    for (const { deleted } of store.listeners) {
      for (let forged = 0; forged < 100; forged++) deleted(key)
    }
    await pass(SECOND)
    assert.deepEqual([signal.aborted, store.calls], [false, ['load']])
    await store.elsewhere.delete(key)
    for (const { deleted } of store.listeners) deleted(key)
    await pass(1, 1)
    assert.equal(signal.aborted, true)
  })

  it('is aborted as soon as it is told of a save elsewhere that leaves a marker: the session has a new id', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    await regenerateElsewhere(store, key)
    const { version = 0 } = (await store.elsewhere.load(key)) ?? {}
    for (const { saved } of store.listeners) saved(key, version)
    await pass(1, 1)
    assert.equal(signal.aborted, true)
  })

  it('costs one look in a tenth of a second if others save the session all the time', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    store.calls.length = 0
    const { version = 0 } = (await store.elsewhere.load(key)) ?? {}
    for (let save = 1; save <= 200; save++) {
      for (const { saved } of store.listeners) saved(key, version + save)
      await pass(5, 5)
    }
    assert.equal(signal.aborted, false)
    assert.ok(store.calls.length >= 9 && store.calls.length <= 11, `${store.calls.length} looks in a second`)
  })

  it('costs no look if this process saves the session, though the message comes before the answer', async (test) => {
    const { held, store, pass, returning } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    const visit = await returning(key)
    visit.session['a'] = 2
    const saving = store.hold('save', 'after')
    const ending = visit.end()
    await saving.arrived
    store.calls.length = 0
    const { version = 0 } = (await store.elsewhere.load(key)) ?? {}
    for (const { saved } of store.listeners) saved(key, version)
    saving.release()
    await ending
    for (const { saved } of store.listeners) saved(key, version)
    await pass(SECOND)
    assert.deepEqual([signal.aborted, store.calls], [false, []])
  })

  it('is aborted by a delete that is told while the session is being looked at', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    const look = store.hold('load', 'after')
    for (const { deleted } of store.listeners) deleted(key)
    await pass(1, 1)
    await look.arrived
    await store.elsewhere.delete(key)
    for (const { deleted } of store.listeners) deleted(key)
    look.release()
    await pass(2, 1)
    assert.equal(signal.aborted, true)
  })

  it('listens from the first signal to the last', async (test) => {
    const { held, stored, returning, store, diagnostics } = site(test, 'watch')
    await returning(await stored({ a: 1 }))
    assert.equal(store.listeners.size, 0)
    await held()
    const { key } = await held()
    assert.equal(store.listeners.size, 1)
    await (await returning(key)).session.destroy()
    // The other one is nobody's any more.
    await collectedUntil(() => diagnostics.stats.signals === 0)
    assert.deepEqual([diagnostics.stats.signals, store.listeners.size], [0, 0])
    const { signal } = await held()
    assert.equal(store.listeners.size, 1)
    assert.equal(signal.aborted, false)
  })

  it('notices what was deleted between the load and the first message that is heard', async (test) => {
    const { stored, returning, store, pass } = site(test, 'watch')
    const visit = await returning(await stored({ a: 1 }))
    await store.elsewhere.delete(visit.copy.key)
    assert.equal(visit.session.signal.aborted, false)
    await pass(1, 1)
    assert.equal(visit.session.signal.aborted, true)
  })

  it('looks once a minute for what nobody tells of', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    store.calls.length = 0
    await store.elsewhere.delete(key)
    await pass(57 * SECOND, SECOND)
    assert.deepEqual([store.calls, signal.aborted], [[], false])
    await pass(4 * SECOND)
    assert.deepEqual([store.calls, signal.aborted], [['load'], true])
  })

  it('looks at all again once the link vouches after messages may have been missed', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const [one, two] = [await held(), await held()]
    await pass(2 * SECOND)
    store.link.generation++
    await store.elsewhere.delete(one.key)
    await pass(SECOND)
    assert.deepEqual([one.signal.aborted, two.signal.aborted], [true, false])
    store.calls.length = 0
    await pass(30 * SECOND, SECOND)
    assert.deepEqual(store.calls, [])
  })

  it('asks the store itself, each second, while the link does not vouch', async (test) => {
    const { held, store, pass } = site(test, 'watch')
    const { key, signal } = await held()
    await pass(2 * SECOND)
    store.link.isVouching = false
    await pass(2 * SECOND)
    store.calls.length = 0
    await pass(5 * SECOND)
    assert.equal(store.count('load'), 5)
    await store.elsewhere.delete(key)
    await pass(SECOND)
    assert.equal(signal.aborted, true)
  })
})

describe('on a store that tells of nothing', () => {
  it('is aborted within a second of a delete elsewhere', async (test) => {
    const { held, store, pass } = site(test)
    const [{ key, signal }, other] = [await held(), await held()]
    await pass(10 * SECOND)
    store.calls.length = 0
    await pass(5 * SECOND)
    assert.equal(store.count('load'), 10)
    await store.elsewhere.delete(key)
    await pass(SECOND)
    assert.deepEqual([signal.aborted, other.signal.aborted], [true, false])
  })

  it('is aborted within a second of a regenerate elsewhere, which leaves a marker', async (test) => {
    const { held, store, pass } = site(test)
    const { key, signal } = await held()
    await pass(2 * SECOND)
    await regenerateElsewhere(store, key)
    assert.equal(signal.aborted, false)
    await pass(SECOND)
    assert.equal(signal.aborted, true)
  })

  it('is looked after in no request, so that what is logged then is of nobody', async (test) => {
    const requests = new AsyncLocalStorage<string>()
    const places: unknown[] = []
    const store = recordingStore()
    const { load } = store
    const { signals, stored, returning } = visits({
      store: Object.assign(store, {
        load(key: Key) {
          places.push(requests.getStore() ?? 'nobody')
          return load(key)
        },
      }),
    })
    test.after(() => signals.close())
    const key = await stored({ a: 1 })
    await requests.run('somebody', async () => (await returning(key)).session.signal)
    while (places.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(places, ['somebody', 'nobody'])
  })

  it('asks about at most a thousand sessions in a second, each in its turn', async (test) => {
    const { held, store, pass } = site(test)
    const all = []
    for (let count = 0; count < 3000; count++) all.push(await held())
    await pass(SECOND, 10)
    store.calls.length = 0
    await pass(6 * SECOND, 10)
    assert.ok(store.calls.length <= 6000 && store.calls.length > 5500, String(store.calls.length))
    for (const { key } of all) await store.elsewhere.delete(key)
    await pass(3500, 10)
    assert.equal(all.filter(({ signal }) => signal.aborted).length, 3000)
  })

  it('aborts nobody while the store fails, asks it once a second then, and goes on when it is back', async (test) => {
    const { held, store, pass } = site(test)
    const all = await Promise.all(Array.from({ length: 20 }, held))
    await pass(2 * SECOND)
    for (let count = 0; count < 30; count++) store.fail('load', new Error('down'))
    await store.elsewhere.delete(all[5]!.key)
    store.calls.length = 0
    await pass(5 * SECOND)
    assert.ok(store.calls.length <= 25, `${store.calls.length} questions`) // all of the first second, then one each
    assert.equal(all.filter(({ signal }) => signal.aborted).length, 0)
    await pass(30 * SECOND)
    assert.deepEqual(
      all.filter(({ signal }) => signal.aborted),
      [all[5]],
    )
  })

  it('takes a record that cannot be read for none, as a request does', async (test) => {
    const { held, store, pass } = site(test)
    const { signal } = await held()
    await pass(SECOND)
    store.fail('load', new SessionError('ERR_SESSION_UNREADABLE', 'of another release'))
    await pass(SECOND)
    assert.equal(signal.aborted, true)
  })
})

describe('the end of a timeout', () => {
  for (const power of [undefined, 'watch'] as const) {
    const where = power ? 'where the store tells of writes' : 'where it does not'

    it(`aborts when it has come, ${where}`, async (test) => {
      const { held, pass } = site(test, power, { idleTimeout: 90 * SECOND })
      const { signal } = await held()
      await pass(89 * SECOND, SECOND)
      assert.equal(signal.aborted, false)
      await pass(2 * SECOND)
      assert.equal(signal.aborted, true)
    })

    it(`has moved if the session was used, by this process or another one, ${where}`, async (test) => {
      const { held, lifecycle, store, pass } = site(test, power, { idleTimeout: 90 * SECOND })
      const { key, signal } = await held()
      await pass(60 * SECOND, SECOND)
      await store.elsewhere.touch(key, Date.now() + 90 * SECOND)
      await pass(60 * SECOND, SECOND)
      lifecycle.touch(key, (await lifecycle.load(key)) as Found)
      await pass(60 * SECOND, SECOND)
      assert.equal(signal.aborted, false)
      await pass(32 * SECOND, SECOND)
      assert.equal(signal.aborted, true)
    })

    it(`is that of the moment when the store was asked, ${where}`, async (test) => {
      const { held, store, pass } = site(test, power, { idleTimeout: 90 * SECOND })
      const { key, signal } = await held()
      await pass(80 * SECOND, SECOND)
      const question = store.hold('load', 'after')
      store.link.generation++
      await pass(SECOND)
      await question.arrived
      await store.elsewhere.touch(key, Date.now() + 90 * SECOND)
      await pass(20 * SECOND, SECOND)
      question.release()
      await pass(60 * SECOND, SECOND)
      assert.equal(signal.aborted, false)
      await pass(12 * SECOND, SECOND)
      assert.equal(signal.aborted, true)
    })

    it(`is the library’s, whatever the store says, ${where}`, async (test) => {
      const { held, store, pass } = site(test, power, { idleTimeout: 90 * SECOND, absoluteTimeout: 100 * SECOND })
      const { key, signal } = await held()
      await store.elsewhere.touch(key, Date.now() + 1000 * SECOND)
      await pass(99 * SECOND, SECOND)
      assert.equal(signal.aborted, false)
      await pass(2 * SECOND)
      assert.equal(signal.aborted, true)
    })
  }

  it('is met at once if remember() has brought it nearer', async (test) => {
    const { held, returning, pass } = site(test, 'watch', { idleTimeout: 50 * MINUTE })
    const { key, signal } = await held()
    await pass(2 * SECOND)
    const visit = await returning(key)
    visit.session.remember({ idleTimeout: 5 * SECOND })
    await visit.end()
    await pass(6 * SECOND)
    assert.equal(signal.aborted, true)
  })

  it('does not wait longer because the clock was set back', async (test) => {
    // Real timers, because the mocked ones go by the mocked clock: it stands still, so nothing is ever due by itself.
    test.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    const store = recordingStore()
    const { stored, returning, signals } = visits({ store })
    test.after(() => signals.close())
    // EndWatcher keep no process alive, and this one has to wait.
    const waiting = setInterval(() => {}, 1000)
    test.after(() => clearInterval(waiting))
    const key = await stored({ a: 1 })
    const { signal } = (await returning(key)).session
    const checked = store.hold('load', 'after')
    await checked.arrived
    checked.release()
    const ended = once(signal, 'abort')
    await store.elsewhere.delete(key)
    test.mock.timers.setTime(500_000)
    await ended
  })
})

describe('what nobody uses any more', () => {
  it('is let go of: neither memory nor questions to the store are left', async (test) => {
    const { stored, returning, store, pass, diagnostics } = site(test)
    const closed: (() => void)[] = []
    const HOLDERS = 5000
    const key = await stored({ a: 1 })
    const listen = async (key: Key): Promise<void> => {
      const { signal } = (await returning(key)).session
      const close = (): void => {}
      signal.addEventListener('abort', close)
      closed.push(() => signal.removeEventListener('abort', close))
    }
    const memoryOf = async (work: () => Promise<void>): Promise<number> => {
      await collectedAll()
      const before = process.memoryUsage().heapUsed
      await work()
      await collectedAll()
      return process.memoryUsage().heapUsed - before
    }
    const round = async (): Promise<void> => {
      for (let count = 0; count < HOLDERS; count++) await listen(count % 2 ? key : await stored({ a: 1 }))
      assert.equal(diagnostics.stats.signals, HOLDERS / 2 + 1)
      closed.splice(0).forEach((close) => close())
      await collectedUntil(() => diagnostics.stats.signals === 0)
      assert.equal(diagnostics.stats.signals, 0)
      for await (const stale of store.elsewhere.keys!()) if (stale !== key) await store.elsewhere.delete(stale)
      store.calls.length = 0
    }
    await round()
    const grown = []
    // The smallest, because the process may just then make something of its own, such as compiled code.
    for (let rounds = 0; rounds < 3; rounds++) grown.push(await memoryOf(round))
    assert.ok(Math.min(...grown) < HOLDERS * 100, `${grown.join(', ')} bytes more`) // a signal that is kept takes about 2 kB
    await pass(5 * SECOND)
    assert.deepEqual(store.calls, [])
  })

  it('is not what somebody still listens to, with nothing else in hand', async (test) => {
    const { held, store, pass, diagnostics } = site(test)
    const heard: string[] = []
    const keys: Key[] = []
    for (const name of ['one', 'two', 'three']) {
      const { key, signal } = await held()
      keys.push(key)
      signal.addEventListener('abort', () => heard.push(name), { once: true })
    }
    await collectedAll()
    assert.equal(diagnostics.stats.signals, 3)
    await store.elsewhere.delete(keys[1]!)
    await pass(2 * SECOND)
    assert.deepEqual(heard, ['two'])
  })
})

describe('signals.close()', () => {
  it('ends timers and the subscription, and aborts nobody', async (test) => {
    const { held, store, pass, signals, returning, diagnostics } = site(test, 'watch')
    const { key, signal } = await held()
    await signals.close()
    assert.deepEqual([store.listeners.size, diagnostics.stats.signals], [0, 0])
    store.calls.length = 0
    await pass(2 * MINUTE, SECOND)
    assert.deepEqual(store.calls, [])
    const late = (await returning(key)).session.signal
    assert.deepEqual([signal.aborted, late.aborted, store.listeners.size], [false, false, 0])
  })

  it('may come while the store is asked', async (test) => {
    const { held, store, pass, signals } = site(test)
    await held()
    const question = store.hold('load')
    await pass(SECOND)
    await question.arrived
    await signals.close()
    question.release()
    store.calls.length = 0
    await pass(10 * SECOND, SECOND)
    assert.deepEqual(store.calls, [])
  })
})
