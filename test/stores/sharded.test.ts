import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SessionError, isSessionError, unreadable } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { placement } from '../../src/stores/placement.ts'
import { sharded } from '../../src/stores/shards/sharded.ts'
import type { Key } from '../../src/units.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { collect, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'

type Name = 'one' | 'two' | 'three'
const NAMES: readonly Name[] = ['one', 'two', 'three']
const SUBJECT = 'e'.repeat(64)

const ownerOf = placement(new Map(NAMES.map((name) => [name, name])))

function keyOn(name: Name): Key {
  for (;;) {
    const key = newKey()
    if (ownerOf(key) === name) return key
  }
}

function three(power?: 'watch'): { store: Store; at: Record<Name, RecordingStore> } {
  const made = () => recordingStore(power && { power })
  const at = { one: made(), two: made(), three: made() }
  return { store: sharded(new Map(Object.entries(at))), at }
}

/** A store whose server is down. */
function down(reason: string): Partial<Store> {
  const fails = async (): Promise<never> => {
    throw new SessionError('ERR_SESSION_STORE_UNAVAILABLE', reason)
  }
  const cannotList = (): AsyncIterable<Key> => ({ [Symbol.asyncIterator]: () => ({ next: fails }) })
  return {
    load: fails,
    save: fails,
    touch: fails,
    delete: fails,
    ping: fails,
    keys: cannotList,
    subjects: { add: fails, remove: fails, keys: cannotList },
  }
}

describe('Several stores as one', () => {
  it('ask the server of a session, and no other one', async () => {
    const { store, at } = three()
    for (const name of NAMES) {
      const key = keyOn(name)
      const found = savedOf(await store.save(key, '1', later(), undefined))
      assert.equal((await store.load(key))?.text, '1')
      assert.equal(await store.touch(key, later(900_000)), true)
      await store.subjects!.add(SUBJECT, key, later())
      await store.subjects!.remove(SUBJECT, key)
      assert.equal(await store.delete(key, found), true)
    }
    for (const name of NAMES)
      assert.deepEqual(at[name].calls, ['save', 'load', 'touch', 'add', 'remove', 'delete'], name)
  })

  it('keep the note of whose session it is beside the session, and list those of all', async () => {
    const { store, at } = three()
    const keys = NAMES.map(keyOn)
    for (const key of keys) {
      savedOf(await store.save(key, '1', later(), undefined))
      await store.subjects!.add(SUBJECT, key, later())
    }
    for (const [index, name] of NAMES.entries())
      assert.deepEqual(await collect(at[name].elsewhere.subjects!.keys(SUBJECT)), [keys[index]])
    assert.deepEqual((await collect(store.subjects!.keys(SUBJECT))).toSorted(), keys.toSorted())
  })

  it('list no session that another list of servers has left behind', async () => {
    const own = new Map(NAMES.map((name) => [name, memoryStore({ pruneInterval: 0 })]))
    const [mine, stray] = [keyOn('one'), keyOn('two')]
    for (const key of [mine, stray]) savedOf(await own.get('one')!.save(key, '1', later(), undefined))
    const store = sharded(own)
    assert.equal(await store.load(stray), undefined)
    assert.deepEqual(await collect(store.keys!()), [mine])
  })

  it('vouch for a session by the link of its server, and hear of it from no other one', async () => {
    const { store, at } = three('watch')
    const told: string[] = []
    const watch = store.watch!({
      saved: (key, version) => void told.push(`${key} ${version}`),
      deleted: (key) => void told.push(`${key} deleted`),
    })
    const [one, two] = [keyOn('one'), keyOn('two')]
    for (const { listeners } of Object.values(at)) {
      for (const listener of listeners) {
        listener.saved(one, 7)
        listener.deleted(two)
      }
    }
    assert.deepEqual(told, [`${one} 7`, `${two} deleted`])
    assert.notEqual(watch.linkOf(one), watch.linkOf(two))
    at.two.link.isVouching = false
    assert.deepEqual([watch.linkOf(one).vouches(), watch.linkOf(two).vouches()], [true, false])
    await watch.close()
    assert.deepEqual(
      Object.values(at).map(({ listeners }) => listeners.size),
      [0, 0, 0],
    )
  })

  it('fail for the sessions of a server that is down, and say which', async () => {
    const at = new Map<string, Store>(NAMES.map((name) => [name, memoryStore({ pruneInterval: 0 })]))
    at.set('two', { ...at.get('two')!, ...down('connect ETIMEDOUT') })
    const store = sharded(at)
    const key = keyOn('two')
    for (const answer of [
      () => store.load(key),
      () => store.save(key, '1', later(), undefined),
      () => store.touch(key, later()),
      () => store.delete(key),
      () => store.subjects!.add(SUBJECT, key, later()),
      () => store.ping!(),
    ]) {
      const { error } = await rejection(answer())
      assert.equal(error.message, 'server "two": connect ETIMEDOUT')
      assert.ok(isSessionError(error.cause, 'ERR_SESSION_STORE_UNAVAILABLE'))
    }
    for (const name of ['one', 'three'] as const) savedOf(await store.save(keyOn(name), '1', later(), undefined))
  })

  it('say of all servers that are down that they are', async () => {
    const fine = memoryStore({ pruneInterval: 0 })
    const store = sharded(
      new Map<string, Store>([
        ['one', { ...fine, ...down('no answer') }],
        ['two', { ...fine, ping: async () => {} }],
        ['three', { ...fine, ...down('LOADING') }],
      ]),
    )
    const { error } = await rejection(store.ping!())
    assert.equal(error.message, 'server "one": no answer; server "three": LOADING')
  })

  it('leave what a store says of one record as it is', async () => {
    const error = unreadable('it is cut off')
    const store = sharded(
      new Map([['one', { ...memoryStore({ pruneInterval: 0 }), load: () => Promise.reject(error) }]]),
    )
    assert.equal((await rejection(store.load(newKey()))).error, error)
  })

  it('name what can be reached before they fail, so that a sign-out everywhere ends all of that', async (test) => {
    const at = new Map<string, Store>(NAMES.map((name) => [name, memoryStore({ pruneInterval: 0 })]))
    const well = sharded(at)
    const handler = async (ctx: Parameters<Parameters<typeof siteWith>[2]>[0]): Promise<void> => {
      if (ctx.path === '/in') sessionOf(ctx).identify('ada')
      ctx.body = { isNew: sessionOf(ctx).isNew }
    }
    const before = await siteWith(test, { store: well }, handler)
    for (let n = 0; n < 12; n++) await before.agent().get('/in')
    const all = await collect(well.keys!())
    const shares = NAMES.map((name) => all.filter((key) => ownerOf(key) === name).length)
    assert.equal(all.length, 12)
    // The first one, so that the others come after the failure.
    at.set('one', { ...at.get('one')!, ...down('connect ETIMEDOUT') })
    const { sessions } = await siteWith(test, { store: sharded(at) }, handler)
    const { error } = await rejection(sessions.revokeAll('ada'))
    assert.match(error.message, /server "one": connect ETIMEDOUT/)
    assert.equal((await collect(well.keys!())).length, shares[0])
  })

  it('wait for an answer a little longer than the slowest of them, whose own words come first', () => {
    const made = (deadline: number): Store => ({ ...memoryStore({ pruneInterval: 0 }), deadline })
    assert.equal(
      sharded(
        new Map([
          ['one', made(500)],
          ['two', made(3000)],
        ]),
      ).deadline,
      3100,
    )
  })
})
