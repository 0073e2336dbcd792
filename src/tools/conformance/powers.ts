import assert from 'node:assert/strict'
import type { Link } from '../../store.ts'
import type { Instant, Key, Milliseconds } from '../../units.ts'
import { collect, later, MINUTE, newKey, newKeys, passed, saved, SOON, until, type Rule } from './support.ts'

/** How often a link may have lapsed on a busy machine until the store is to blame. */
const ROUNDS = 20

/** The optional methods, each of them only if the store offers it. */
export function powerRules(rule: Rule, granularity: Milliseconds, closesAfterwards: boolean): void {
  rule('isCurrent, if offered, is true for the newest state and false for any other', async (store, peer) => {
    if (!store.isCurrent) return
    const key = newKey()
    const created = saved(await store.save(key, '1', later(), undefined))
    assert.equal(store.isCurrent(key, created), true, 'after a save')
    const loaded = await store.load(key)
    assert.ok(loaded && store.isCurrent(key, loaded), 'after a load')
    const updated = saved(await peer.save(key, '2', later(), await peer.load(key)))
    assert.equal(store.isCurrent(key, created), false, 'after the save of another')
    assert.equal(store.isCurrent(key, updated), true, 'also if another handle has saved it')
    await peer.delete(key)
    assert.equal(store.isCurrent(key, updated), false, 'after the delete of another')
    assert.equal(store.isCurrent(newKey(), updated), false, 'of a key that never was')
  })

  rule('keys, if offered, lists what lives', async (store, peer) => {
    if (!store.keys) return
    assert.deepEqual(await collect(store.keys()), [])
    const keys = newKeys(100)
    for (const key of keys) saved(await peer.save(key, '1', later(), undefined))
    for (const key of keys.slice(0, 10)) await peer.delete(key)
    assert.deepEqual((await collect(store.keys())).sort(), keys.slice(10).sort())
  })

  rule('prune, if offered, removes what has expired, counts it, and nothing else', async (store, peer) => {
    if (!store.prune) return
    assert.equal(await store.prune(), 0)
    const kept = newKeys(6)
    for (const key of kept) saved(await peer.save(key, '1', later(), undefined))
    let expired: readonly Key[]
    let expiresAt: Instant
    for (let time = SOON; ; time *= 2) {
      expired = newKeys(4)
      expiresAt = Date.now() + time
      for (const key of expired) saved(await peer.save(key, '1', expiresAt, undefined))
      if (Date.now() < expiresAt) break
      // Too slow: some may have been expired when they were saved, and were not kept. So once more, with more time.
      await passed(expiresAt, granularity)
      await store.prune()
    }
    await passed(expiresAt, granularity)
    assert.equal(await store.prune(), expired.length)
    assert.equal(await store.prune(), 0)
    for (const key of kept) assert.ok(await peer.load(key))
    for (const key of expired) assert.equal(await peer.load(key), undefined)
  })

  rule('subjects, if offered, keeps notes until they are taken back, for all to see', async (store, peer) => {
    if (!store.subjects || !peer.subjects) return
    const [subject, other, ...keys] = newKeys(40)
    assert.deepEqual(await collect(peer.subjects.keys(subject)), [])
    await Promise.all(keys.map(async (key) => store.subjects?.add(subject, key, later())))
    await store.subjects.add(other, keys[0], later())
    await store.subjects.add(subject, keys[1], later(2))
    assert.deepEqual((await collect(peer.subjects.keys(subject))).sort(), [...keys].sort(), 'each once')
    for (const key of keys.slice(0, 30)) await peer.subjects.remove(subject, key)
    await peer.subjects.remove(subject, newKey())
    assert.deepEqual((await collect(store.subjects.keys(subject))).sort(), keys.slice(30).sort())
    assert.deepEqual(await collect(store.subjects.keys(other)), [keys[0]], 'another subject’s are its own')
  })

  rule(
    'subjects, if offered, keeps the note of what lives or is on its way, whatever its instant says',
    async (store, peer) => {
      if (!store.subjects || !peer.subjects) return
      const [subject, other, living, coming, past] = newKeys(6)
      const over = Date.now() - MINUTE
      await store.subjects.add(subject, coming, over)
      await store.subjects.add(subject, living, over)
      saved(await store.save(living, '1', later(), undefined))
      await peer.subjects.add(other, past, over)
      for (const handle of [store, peer]) await handle.prune?.()
      // Others' notes, because a store may clear away what is over whenever it makes a note.
      for (const key of newKeys(20)) await peer.subjects.add(other, key, over)
      assert.deepEqual((await collect(store.subjects.keys(subject))).sort(), [living, coming].sort())
      saved(await peer.save(coming, '1', later(), undefined))
      await store.prune?.()
      assert.deepEqual((await collect(peer.subjects.keys(subject))).sort(), [living, coming].sort())
    },
  )

  rule('watch, if offered, tells of every save and delete, and its link vouches for that', async (store, peer) => {
    if (!store.watch) return
    const told: string[] = []
    const watch = store.watch({
      saved: (key, version) => void told.push(`${key} saved as ${version}`),
      deleted: (key) => void told.push(`${key} deleted`),
    })
    try {
      // A link may lapse while the machine is busy, and what is changed meanwhile need not be told. So again, but not for
      // ever: a store whose link lapses with every write tells of nothing that could be kept.
      let hasStayed = false
      for (let round = 0; round < ROUNDS && !hasStayed; round++) {
        const key = newKey()
        let link: Link = watch.linkOf(key)
        await until(() => (link = watch.linkOf(key)).vouches(), 'the link of a key vouches')
        const { generation } = link
        const stays = (): boolean => watch.linkOf(key) === link && link.generation === generation
        const created = saved(await peer.save(key, '1', later(), undefined))
        const updated = saved(await peer.save(key, '2', later(), created))
        const own = saved(await store.save(key, '3', later(), updated))
        await peer.delete(key)
        for (const { version } of [created, updated, own]) {
          await until(() => told.includes(`${key} saved as ${version}`) || !stays(), 'a save is told of')
        }
        await until(() => told.includes(`${key} deleted`) || !stays(), 'a delete is told of')
        hasStayed = stays()
      }
      assert.ok(hasStayed, 'a generation lasts while nothing is lost')
    } finally {
      await watch.close()
    }
  })

  rule('ping and close, if offered, resolve', async (store) => {
    saved(await store.save(newKey(), '1', later(), undefined))
    await store.ping?.()
    if (!closesAfterwards) await store.close?.()
  })
}
