import assert from 'node:assert/strict'
import type { Milliseconds } from '../../units.ts'
import { collect, DAY, later, MINUTE, newKey, newKeys, passed, same, saved, SOON, type Rule } from './support.ts'

/** When a record expires. */
export function expiryRules(rule: Rule, granularity: Milliseconds): void {
  rule('a record whose expiry has passed does not exist', async (store, peer) => {
    const [kept, read, written, touched, deleted, shortened] = newKeys(6)
    const expiresAt = Date.now() + SOON
    const other = saved(await store.save(kept, '1', later(), undefined))
    for (const key of [read, touched, deleted]) saved(await store.save(key, '1', expiresAt, undefined))
    const before = saved(await store.save(written, '1', expiresAt, undefined))
    const longer = saved(await store.save(shortened, '1', later(), undefined))
    saved(await store.save(shortened, '2', expiresAt, longer))
    await passed(expiresAt, granularity)
    assert.equal(await store.load(read), undefined)
    assert.equal(await store.load(written, before), undefined)
    assert.equal(await store.load(shortened, longer), undefined)
    assert.deepEqual(await store.save(written, '2', later(), before), { gone: true })
    assert.equal(await peer.load(written), undefined)
    assert.equal(await store.touch(touched, later()), false)
    assert.equal(await store.delete(deleted), false)
    same(await peer.load(kept), other)
    assert.notEqual(store.isCurrent?.(written, before), true)
    if (store.keys) assert.deepEqual(await collect(store.keys()), [kept])
  })

  rule('an expired record does not stop a save that creates', async (store) => {
    const key = newKey()
    const expiresAt = Date.now() + SOON
    saved(await store.save(key, '1', expiresAt, undefined))
    await passed(expiresAt, granularity)
    same(saved(await store.save(key, '2', later(), undefined)), await store.load(key))
  })

  rule('a save with an expiry in the past leaves no record', async (store) => {
    const [created, updated] = newKeys(2)
    const past = Date.now() - granularity - 1000
    await store.save(created, '1', past, undefined)
    assert.equal(await store.load(created), undefined)
    const before = saved(await store.save(updated, '1', later(), undefined))
    await store.save(updated, '2', past, before)
    assert.equal(await store.load(updated), undefined)
    assert.equal(await store.touch(updated, later()), false)
  })

  rule('an expiry may be far away, and is kept to the millisecond', async (store, peer) => {
    const now = Date.now()
    const instants = [now + 30 * DAY - 1, now + 30 * DAY + 1, now + 400 * DAY + 123, Date.UTC(2100, 0, 1, 0, 0, 0, 7)]
    for (let n = 0; n < 20; n++) instants.push(now + MINUTE + Math.floor(Math.random() * 1000 * DAY))
    for (const expiresAt of instants) {
      const key = newKey()
      same(saved(await store.save(key, '1', later(), undefined)), await store.load(key))
      assert.equal(await store.touch(key, expiresAt), true)
      assert.equal((await peer.load(key))?.expiresAt, expiresAt)
      const direct = newKey()
      saved(await store.save(direct, '1', expiresAt, undefined))
      assert.equal((await peer.load(direct))?.expiresAt, expiresAt)
    }
  })
}
