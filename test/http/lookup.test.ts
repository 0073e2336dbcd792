import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lookUp } from '../../src/http/lookup.ts'
import { SessionCookie } from '../../src/http/cookie.ts'
import { newToken, keyOf } from '../../src/session/token.ts'
import { keyringOf } from '../../src/http/keyring.ts'
import { isPromise } from '../../src/units.ts'
import { KEY } from '../support/sites/http.ts'
import { later } from '../support/stores/records.ts'
import { recordingStore, type RecordingOptions } from '../support/stores/recording-store.ts'
import { visits } from '../support/visit.ts'

/** A reception over a store, and cookies of visitors with and without a live session. */
async function reception(options: RecordingOptions = {}) {
  const store = recordingStore(options)
  const { lifecycle, diagnostics, stranger } = visits({ store })
  const cookie = new SessionCookie('sid', diagnostics)
  cookie.useKeys(keyringOf([KEY]))
  const header = (token: string): string => cookie.write(token)
  const visit = stranger()
  visit.session['user'] = 'ada'
  await visit.end()
  store.calls.length = 0
  return {
    store,
    diagnostics,
    live: header(visit.copy.token),
    liveToken: visit.copy.token,
    dead: () => header(newToken()),
    cookieOf: header,
    look: (cookies: string | undefined) => lookUp({ lifecycle, cookie, diagnostics }, cookies),
  }
}

describe('lookUp(services, header)', () => {
  it('asks no store where no cookie is ours', async () => {
    const { look, store, diagnostics } = await reception()
    for (const header of [undefined, '', 'a=b', 'sid=short']) assert.equal(look(header), undefined)
    assert.deepEqual([store.calls, diagnostics.stats.suspicious], [[], 0])
  })

  it('answers at once where the store does', async () => {
    const { look, live, liveToken } = await reception({ isSynchronous: true })
    const visit = look(live)
    assert.ok(visit && !isPromise(visit) && 'found' in visit)
    assert.deepEqual([visit.cookie.token, visit.cookie.key], [liveToken, keyOf(liveToken)])
  })

  for (const isSynchronous of [true, false]) {
    it(`tries the cookies one after the other until one is live (answers ${isSynchronous ? 'at once' : 'late'})`, async () => {
      const { look, live, liveToken, dead, store, diagnostics } = await reception({ isSynchronous })
      const visit = await look(`${dead()}; ${dead()}; ${live}; ${dead()}`)
      assert.ok(visit && 'found' in visit)
      assert.equal(visit.cookie.token, liveToken)
      assert.deepEqual([store.count('load'), diagnostics.stats.suspicious], [3, 0])
    })
  }

  it('counts a visitor of whose cookies none is live once', async () => {
    const { look, dead, diagnostics } = await reception()
    assert.deepEqual(await look(`${dead()}; ${dead()}`), { unreadable: [] })
    assert.equal(diagnostics.stats.suspicious, 1)
  })

  it('names the records that cannot be read, which are not suspicious', async () => {
    const { look, cookieOf, dead, store, diagnostics } = await reception()
    const [one, other] = [newToken(), newToken()]
    for (const token of [one, other]) await store.elsewhere.save(keyOf(token), 'no record', later(), undefined)
    assert.deepEqual(await look(`${cookieOf(one)}; ${dead()}; ${cookieOf(other)}`), {
      unreadable: [keyOf(one), keyOf(other)],
    })
    assert.deepEqual([diagnostics.stats.suspicious, diagnostics.stats.errors], [0, 2])
  })

  it('passes on a failure of the store', async () => {
    const { look, live, dead, store } = await reception()
    const failure = new Error('down')
    const unavailable = { code: 'ERR_SESSION_STORE_UNAVAILABLE', cause: failure }
    store.fail('load', failure)
    await assert.rejects(async () => look(live), unavailable)
    const held = store.hold('load')
    const answer = look(`${dead()}; ${live}`)
    await held.arrived
    store.fail('load', failure)
    held.release()
    await assert.rejects(async () => answer, unavailable)
  })
})
