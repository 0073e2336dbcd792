import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { SessionError, memoryStore, session, type SessionOptions, type Sessions, type Store } from '../../src/index.ts'
import { lookAt } from '../../src/record/scan.ts'
import { discreet } from '../support/secrecy.ts'
import { KEY } from '../support/sites/http.ts'
import { collect } from '../support/stores/records.ts'
import { recordingStore, type Method } from '../support/stores/recording-store.ts'

function sessionsOn(test: TestContext, store: Store | string, options: SessionOptions = {}): Sessions {
  const sessions = session({ keys: [KEY], store, ...options })
  test.after(() => sessions.close())
  return sessions
}

describe('sessions.ready()', () => {
  const steps: Method[] = ['save', 'load', 'touch', 'add', 'list', 'remove', 'delete']

  it('does with the store what sessions need of it, and leaves nothing', async (test) => {
    const store = recordingStore()
    await sessionsOn(test, store).ready()
    assert.deepEqual(store.calls, steps)
    assert.deepEqual(await collect(store.elsewhere.keys!()), [])
  })

  it('is no session to anybody who looks meanwhile', async (test) => {
    const store = recordingStore()
    const held = store.hold('delete')
    const ready = sessionsOn(test, store).ready()
    await held.arrived
    const [key = ''] = await collect(store.elsewhere.keys!())
    const { found, record } = await lookAt(store.elsewhere, key)
    assert.ok(found && found.expiresAt <= Date.now() + 60_000)
    assert.equal(record, undefined)
    held.release()
    await ready
  })

  for (const step of steps) {
    it(`rejects with the reason if the store fails to ${step}`, async (test) => {
      const store = recordingStore()
      store.fail(step, new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'its user may not do that'))
      await assert.rejects(sessionsOn(test, store).ready(), (error: Error) => {
        discreet('ERR_SESSION_STORE_UNAVAILABLE')(error)
        assert.match(error.message, /its user may not do that/)
        return true
      })
    })
  }

  it('passes with a store that lists nothing, and with one that keeps nothing', async (test) => {
    const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
    for (const store of [{ load, save, touch, delete: remove }, 'null:']) await sessionsOn(test, store).ready()
  })

  it('writes what is encrypted if records are, and so needs the keys', async (test) => {
    const store = recordingStore()
    const held = store.hold('delete')
    const ready = sessionsOn(test, store, { encrypt: true }).ready()
    await held.arrived
    const [key = ''] = await collect(store.elsewhere.keys!())
    assert.match((await store.elsewhere.load(key))?.text ?? '', /^\{"encrypted":/)
    held.release()
    await ready
    const keyless = session({ store, encrypt: true })
    await assert.rejects(keyless.ready(), { code: 'ERR_SESSION_OPTION', message: /sessions\.ready has no keys yet/ })
  })
})

describe('sessions.ping()', () => {
  it('asks the store whether it answers, and counts no load', async (test) => {
    let pings = 0
    const sessions = sessionsOn(test, { ...recordingStore(), ping: async () => void pings++ })
    await sessions.ping()
    assert.equal(pings, 1)
    assert.equal(sessions.stats().loads, 0)
  })

  it('reads what is not there, from a store that has no ping', async (test) => {
    const store = recordingStore()
    const sessions = sessionsOn(test, store)
    await sessions.ping()
    assert.deepEqual(store.calls, ['load'])
    assert.equal(sessions.stats().loads, 0)
    store.failAll('load')
    await assert.rejects(sessions.ping(), { code: 'ERR_SESSION_STORE_UNAVAILABLE', status: 503 })
    assert.equal(sessions.stats().errors, 1)
    store.mend()
    await sessions.ping()
  })

  it('rejects by the deadline if the store says nothing', async (test) => {
    const silent = { ...recordingStore(), deadline: 20, ping: () => new Promise<void>(() => {}) }
    await assert.rejects(sessionsOn(test, silent).ping(), {
      code: 'ERR_SESSION_STORE_UNAVAILABLE',
      message: /did not answer within 20 ms/,
    })
  })
})
