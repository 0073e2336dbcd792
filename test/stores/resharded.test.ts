import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import type { Found, Store } from '../../src/store.ts'
import { storeConformance } from '../../src/tools/conformance.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { collect, later, savedOf } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { isOn, keyFrom, memory, nodes, SERVERS, servers, type Servers } from '../support/stores/resharding.ts'

/** Where a session may move: away from the one that goes, and to the one that comes. */
const MOVES = [
  ['one', 'two'],
  ['one', 'four'],
  ['two', 'four'],
] as const

const beside = new WeakMap<Store, Servers>()
for (const [name, own, peer] of [
  ['servers whose list changes', 'second', 'second'],
  ['servers whose list changes, beside a node that moves nothing yet', 'second', 'first'],
] as const) {
  storeConformance(test, {
    name,
    create() {
      const at = servers(memory)
      const store = nodes(at)[own]
      beside.set(store, at)
      return store
    },
    peer(store) {
      const { close: _close, ...other } = nodes(beside.get(store)!)[peer]
      return other
    },
  })
}

describe('Several stores as one, while their list changes', () => {
  it('ask the one server of a session that stays, and take no detour', async () => {
    const at = servers<RecordingStore>(() => recordingStore())
    const { first, second } = nodes(at)
    for (const store of [first, second]) {
      const key = keyFrom('three', 'three')
      let found = savedOf(await store.save(key, '1', later(), undefined))
      found = savedOf(await store.save(key, '2', later(), found))
      assert.equal((await store.load(key, found))?.text, '2')
      assert.equal(await store.touch(key, later(900_000)), true)
      assert.equal(await store.delete(key, found), true)
      assert.deepEqual(at['three']!.calls.splice(0), ['save', 'save', 'load', 'touch', 'delete'])
    }
    for (const name of SERVERS) assert.deepEqual(at[name]!.calls, [], name)
  })

  for (const [from, to] of MOVES) {
    it(`move a session from ${from} to ${to} when it is next saved, and find it wherever it is`, async () => {
      const at = servers(memory)
      const { old, first, second, new: last } = nodes(at)
      const key = keyFrom(from, to)
      savedOf(await old.save(key, '1', later(), undefined))
      let known: Found | undefined = await first.load(key)
      known = savedOf(await first.save(key, '2', later(), known))
      assert.deepEqual([await isOn(at, from, key), await isOn(at, to, key)], [true, false])
      const before = await second.load(key)
      assert.equal(before?.text, '2')
      const after = savedOf(await second.save(key, '3', later(), before))
      assert.ok(after.version > before.version)
      assert.deepEqual([await isOn(at, from, key), await isOn(at, to, key)], [false, true])
      assert.equal((await first.save(key, '4', later(), known)).conflict?.text, '3')
      for (const store of [first, second, last]) assert.equal((await store.load(key))?.text, '3')
    })

    it(`end a session that goes from ${from} to ${to} for all of them, before it has moved and after`, async () => {
      for (const ender of ['first', 'second'] as const) {
        for (const hasMoved of [false, true]) {
          const at = servers(memory)
          const all = nodes(at)
          const key = keyFrom(from, to)
          savedOf(await all.old.save(key, '1', later(), undefined))
          const seen = { first: await all.first.load(key), second: await all.second.load(key) }
          if (hasMoved) savedOf(await all.second.save(key, '2', later(), seen.second))
          assert.equal(await all[ender].delete(key), true)
          for (const name of ['first', 'second'] as const) {
            assert.deepEqual(await all[name].save(key, '3', later(), seen[name]), { gone: true })
            assert.equal(await all[name].load(key), undefined)
          }
          assert.deepEqual([await isOn(at, from, key), await isOn(at, to, key)], [false, false])
        }
      }
    })
  }

  it('list all of a user’s sessions, and end them, wherever they are', async (test) => {
    const at = servers(memory)
    const { old, second } = nodes(at)
    const handler = async (ctx: Parameters<Parameters<typeof siteWith>[2]>[0]): Promise<void> => {
      if (ctx.path === '/in') sessionOf(ctx).identify('ada')
      if (ctx.path === '/write') sessionOf(ctx)['written'] = true
      ctx.body = { isNew: sessionOf(ctx).isNew }
    }
    const before = await siteWith(test, { store: old }, handler)
    const browsers = Array.from({ length: 12 }, () => before.agent())
    for (const browser of browsers) await browser.get('/in')
    const now = await siteWith(test, { store: second }, handler)
    for (const browser of browsers.slice(6)) await browser.at(now.port).get('/write')
    for (let n = 0; n < 6; n++) await now.agent().get('/in')
    assert.equal((await now.sessions.list('ada')).length, 18)
    assert.equal(new Set(await collect(second.keys!())).size, 18)
    assert.equal(await now.sessions.revokeAll('ada'), 18)
    for (const browser of browsers) assert.deepEqual((await browser.at(now.port).get('/')).json(), { isNew: true })
    assert.deepEqual(await collect(second.keys!()), [])
  })

  it('list each server once for its own sessions, and once for those that have come', async () => {
    const at = servers<RecordingStore>(() => recordingStore())
    const { second } = nodes(at)
    const subject = keyFrom('three', 'three')
    const keys = [keyFrom('one', 'two'), keyFrom('one', 'four'), keyFrom('two', 'four'), keyFrom('three', 'three')]
    for (const key of keys) {
      savedOf(await second.save(key, '1', later(), undefined))
      await second.subjects!.add(subject, key, later())
    }
    assert.deepEqual((await collect(second.subjects!.keys(subject))).toSorted(), keys.toSorted())
    const lists = SERVERS.map((name) => [name, at[name]!.count('list')])
    assert.deepEqual(Object.fromEntries(lists), { one: 1, two: 2, three: 2, four: 1 })
  })

  it('list where sessions go only after where they come from, so that none is missed that moves meanwhile', async () => {
    const at = servers<RecordingStore>(() => recordingStore())
    const { old, second } = nodes(at)
    const [subject, key] = [keyFrom('three', 'three'), keyFrom('two', 'four')]
    savedOf(await old.save(key, '1', later(), undefined))
    await second.subjects!.add(subject, key, later())
    const held = at['two']!.hold('list')
    const listing = collect(second.subjects!.keys(subject))
    await held.arrived
    await at['one']!.idle()
    assert.equal(at['four']!.count('list'), 0)
    held.release()
    assert.deepEqual(await listing, [key])
  })

  it('list what has moved away from a server that is down, and then say that it is down', async () => {
    const at = servers<RecordingStore>(() => recordingStore())
    const { old, second } = nodes(at)
    const [subject, key] = [keyFrom('three', 'three'), keyFrom('one', 'four')]
    savedOf(await old.save(key, '1', later(), undefined))
    savedOf(await second.save(key, '2', later(), await second.load(key)))
    await second.subjects!.add(subject, key, later())
    at['one']!.failAll('list')
    const listed: string[] = []
    await assert.rejects(async () => {
      for await (const one of second.subjects!.keys(subject)) listed.push(one)
    }, /server "one"/)
    assert.deepEqual(listed, [key])
  })

  it('vouch for a session only if both of its servers do, and hear of it from both', async () => {
    const at = servers(() => recordingStore({ power: 'watch' }))
    const { second } = nodes(at)
    const told: string[] = []
    const watch = second.watch!({
      saved: (key) => void told.push(key),
      deleted: (key) => void told.push(`${key} deleted`),
    })
    const [moving, staying] = [keyFrom('two', 'four'), keyFrom('three', 'three')]
    for (const name of SERVERS) for (const listener of at[name]!.listeners) listener.saved(moving, 1)
    for (const name of SERVERS) for (const listener of at[name]!.listeners) listener.deleted(staying)
    assert.deepEqual(told, [moving, moving, `${staying} deleted`])
    const both = watch.linkOf(moving)
    assert.equal(watch.linkOf(moving), both, 'always the same link, because the cache tells links apart')
    for (const name of ['two', 'four']) {
      at[name]!.link.isVouching = false
      assert.deepEqual([both.vouches(), watch.linkOf(staying).vouches()], [false, true], name)
      at[name]!.link.isVouching = true
      const { generation } = both
      at[name]!.link.generation++
      assert.ok(both.generation > generation, name)
    }
    await watch.close()
    for (const name of SERVERS) assert.equal(at[name]!.listeners.size, 0)
  })
})
