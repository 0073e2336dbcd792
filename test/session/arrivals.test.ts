import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { isSessionError, memoryStore, type Found, type Store } from '../../src/index.ts'
import { SocketHost } from '../../src/http/socket-host.ts'
import type { Maker, OldSession } from '../../src/session/arrivals.ts'
import type { Awaitable } from '../../src/units.ts'
import { PATIENCE } from '../support/stores/records.ts'
import { keysOf } from '../support/stores/stores.ts'
import { visits } from '../support/visit.ts'

const KEYS = ['the newest key', 'the key before']

/** A call that a process makes while it takes a session over. */
type Step = <Answer>(name: string, work: () => Awaitable<Answer>) => Promise<Answer>
const AT_ONCE: Step = async (_name, work) => work()

/** The store of a library that is left, with one session in it. */
function oldStore() {
  const records = new Map([['id', { user: 'ada' }]])
  const session = (step: Step): OldSession => ({
    id: 'library id',
    load: () => step('read the old one', () => records.get('id')),
    end: () => step('end the old one', () => void records.delete('id')),
  })
  return { records, session }
}

/** One process on this store, each of whose calls goes through `step`. */
function processOn(store: Store, step: Step = AT_ONCE, keys = KEYS) {
  const stepped: Store = {
    ...store,
    // The store is waited for as long as a step stands still.
    deadline: PATIENCE,
    load: (...of) => step('load', () => store.load(...of)),
    save: (...of) => step('save', () => store.save(...of)),
    delete: (...of) => step('delete', () => store.delete(...of)),
  }
  const { lifecycle, diagnostics } = visits({ store: stepped })
  const maker: Maker = {
    tokensFor: (text) => keys.map((key) => createHmac('sha256', key).update(text).digest('base64url')),
    async make(token, data) {
      const host = new SocketHost(lifecycle, diagnostics, {})
      const copy = lifecycle.adopt(host, token)
      copy.write('user', (data as { user: string }).user)
      await host.save(copy)
      return copy.found as Found
    },
  }
  return {
    takeOver: (old: OldSession) => lifecycle.arrivals.takeOver(old, maker),
    async signOut(found: Found, key: string) {
      await lifecycle.destroy(lifecycle.open(new SocketHost(lifecycle, diagnostics, {}), key, found))
    },
  }
}

/** Stands still at one step, before or after it is done, until `release`. */
function stopAt(stop: number, when: 'before' | 'after') {
  let steps = 0
  let arrive!: () => void
  let release!: () => void
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const until = new Promise<void>((resolve) => (release = resolve))
  const step: Step = async (_name, work) => {
    const isHere = steps++ === stop
    if (isHere && when === 'before') await (arrive(), until)
    const answer = await work()
    if (isHere && when === 'after') await (arrive(), until)
    return answer
  }
  return { step, arrived, release, count: () => steps }
}

/** How many calls an arrival makes that nothing disturbs. */
async function lengthOfArrival(): Promise<number> {
  const { step, count } = stopAt(Infinity, 'before')
  await processOn(memoryStore({ pruneInterval: 0 }), step).takeOver(oldStore().session(step))
  return count()
}

describe('a session of another library, taken over by a process that stops', () => {
  for (const isSignedOut of [false, true]) {
    it(`at any step: another one takes it over, once${isSignedOut ? ', and after a sign-out nothing brings it back' : ''}`, async () => {
      const length = await lengthOfArrival()
      assert.ok(length >= 9, `${length} steps`)
      const stops = Array.from({ length }, (_, at) => at).flatMap((at) => [
        { at, when: 'before' as const },
        { at, when: 'after' as const },
      ])
      // All at once, because some of them wait for the one that stopped.
      await Promise.all(
        stops.map(async ({ at, when }) => {
          const title = `${when} step ${at}`
          const store = memoryStore({ pruneInterval: 0 })
          const old = oldStore()
          const { step, arrived, release } = stopAt(at, when)
          const stopped = processOn(store, step).takeOver(old.session(step))
          await arrived
          const other = processOn(store)
          const arrival = await other.takeOver(old.session(AT_ONCE))
          assert.ok('found' in arrival, title)
          assert.match(arrival.found.text, /"ada"/)
          assert.equal(old.records.size, 0, title)
          if (isSignedOut) await other.signOut(arrival.found, arrival.key)
          release()
          const late = await stopped
          if ('found' in late) assert.equal(late.key, arrival.key, title)
          else assert.deepEqual([late.absence, isSignedOut], ['missing', true], title)
          assert.deepEqual(await keysOf(store), isSignedOut ? [] : [arrival.key], title)
          if (!isSignedOut) return
          assert.deepEqual(await other.takeOver(old.session(AT_ONCE)), { absence: 'missing', key: arrival.key }, title)
        }),
      )
    })
  }

  it('by a failure of either store: the request fails, and the next one takes the session over', async () => {
    const length = await lengthOfArrival()
    await Promise.all(
      Array.from({ length }, (_, at) => at).flatMap((at) =>
        (['before', 'after'] as const).map(async (when) => {
          const store = memoryStore({ pruneInterval: 0 })
          const old = oldStore()
          let steps = 0
          const step: Step = async (name, work) => {
            const fails = steps++ === at
            if (fails && when === 'before') throw new Error(`${name} failed`)
            const answer = await work()
            if (fails) throw new Error(`${name} failed`)
            return answer
          }
          const { takeOver } = processOn(store, step)
          await assert.rejects(takeOver(old.session(step)), /failed|could not be read/)
          const arrival = await takeOver(old.session(step))
          assert.ok('found' in arrival, `${when} step ${at}`)
          assert.deepEqual(await keysOf(store), [arrival.key], `${when} step ${at}`)
          assert.equal(old.records.size, 0)
        }),
      ),
    )
  })
})

describe('a session of another library', () => {
  it('that is ended there while it is taken over, has ended', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const old = oldStore()
    let reads = 0
    const step: Step = async (name, work) => {
      if (name === 'read the old one' && reads++ === 1) old.records.clear()
      return work()
    }
    assert.deepEqual(await processOn(store).takeOver(old.session(step)), { absence: 'missing' })
    assert.deepEqual(await keysOf(store), [])
    assert.deepEqual(await processOn(store).takeOver(old.session(step)), { absence: 'missing' })
  })

  it('is the same one for processes of which one has a newer key, and replaced for one that lacks it', async () => {
    const store = memoryStore({ pruneInterval: 0 })
    const old = oldStore()
    const first = await processOn(store, AT_ONCE, ['a newer key', ...KEYS]).takeOver(old.session(AT_ONCE))
    assert.ok('found' in first)
    const same = await processOn(store, AT_ONCE, ['the newest of all', 'a newer key']).takeOver(old.session(AT_ONCE))
    assert.ok('found' in same)
    assert.deepEqual([same.key, same.token], [first.key, first.token])
    const lacking = await processOn(store).takeOver(old.session(AT_ONCE))
    assert.deepEqual(lacking, { absence: 'replaced', key: first.key })
  })

  it('is not looked for under a key that holds something else', async () => {
    for (const text of ['{}', '[]', 'null', '"a text"', '{"replaced":1']) {
      const store = memoryStore({ pruneInterval: 0 })
      const strange: Store = { ...store, load: () => ({ text, version: 1, expiresAt: Date.now() + 60_000 }) }
      await assert.rejects(
        processOn(strange).takeOver(oldStore().session(AT_ONCE)),
        (error) => isSessionError(error, 'ERR_SESSION_UNREADABLE'),
        text,
      )
    }
  })
})
