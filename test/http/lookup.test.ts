import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lookUp } from '../../src/http/lookup.ts'
import { SessionCookie } from '../../src/http/cookie.ts'
import { newToken, keyOf } from '../../src/session/token.ts'
import { keyringOf } from '../../src/http/keyring.ts'
import { isPromise } from '../../src/units.ts'
import { KEY } from '../support/sites/http.ts'
import { recordingStore, type RecordingOptions } from '../support/stores/recording-store.ts'
import { visits } from '../support/visit.ts'

/** A reception over a store, and cookies of visitors with and without a live session. */
async function reception(options: RecordingOptions = {}) {
  const store = recordingStore(options)
  const { lifecycle, diagnostics, stranger } = visits({ store })
  const cookie = new SessionCookie({ name: 'sid' }, diagnostics)
  cookie.useKeys(keyringOf([KEY]))
  const header = (id: string): string => cookie.write(id, false).split(';')[0] as string
  const visit = stranger()
  visit.session['user'] = 'ada'
  await visit.end()
  store.calls.length = 0
  return {
    store,
    diagnostics,
    live: header(visit.state.id),
    liveId: visit.state.id,
    dead: () => header(newToken()),
    receive: (cookies: string | undefined) => lookUp({ lifecycle, cookie, diagnostics }, cookies),
  }
}

describe('receive(reception, header)', () => {
  it('asks no store where no cookie is ours', async () => {
    const { receive, store, diagnostics } = await reception()
    for (const header of [undefined, '', 'a=b', 'sid=short']) assert.equal(receive(header), undefined)
    assert.deepEqual([store.calls, diagnostics.stats.suspicious], [[], 0])
  })

  it('answers at once where the store does', async () => {
    const { receive, live, liveId } = await reception({ isSynchronous: true })
    const arrival = receive(live)
    assert.ok(arrival && !isPromise(arrival))
    assert.deepEqual([arrival.cookie.id, arrival.cookie.key], [liveId, keyOf(liveId)])
  })

  for (const isSynchronous of [true, false]) {
    it(`tries the cookies one after the other until one is live (answers ${isSynchronous ? 'at once' : 'late'})`, async () => {
      const { receive, live, liveId, dead, store, diagnostics } = await reception({ isSynchronous })
      const arrival = await receive(`${dead()}; ${dead()}; ${live}; ${dead()}`)
      assert.equal(arrival?.cookie.id, liveId)
      assert.deepEqual([store.count('load'), diagnostics.stats.suspicious], [3, 0])
    })
  }

  it('counts a visitor of whose cookies none is live once', async () => {
    const { receive, dead, diagnostics } = await reception()
    assert.equal(await receive(`${dead()}; ${dead()}`), undefined)
    assert.equal(diagnostics.stats.suspicious, 1)
  })

  it('passes on a failure of the store', async () => {
    const { receive, live, dead, store } = await reception()
    const failure = new Error('down')
    store.fail('load', failure)
    await assert.rejects(async () => receive(live), failure)
    const held = store.hold('load')
    const answer = receive(`${dead()}; ${live}`)
    await held.arrived
    store.fail('load', failure)
    held.release()
    await assert.rejects(async () => answer, failure)
  })
})
