import assert from 'node:assert/strict'
import { conflict, found, intact, later, newKey, newKeys, same, saved, sleep, type Rule } from './support.ts'

/** What each method does when one call follows another. */
export function recordRules(rule: Rule): void {
  rule('absence is an answer, not an error', async (store) => {
    const [key, another] = newKeys(2)
    assert.equal(await store.load(key), undefined)
    assert.equal(await store.touch(key, later()), false)
    assert.equal(await store.delete(key), false)
    const elsewhere = saved(await store.save(another, '{}', later(), undefined))
    assert.deepEqual(await store.save(key, '{}', later(), elsewhere), { gone: true })
    assert.equal(await store.load(key), undefined)
  })

  rule('what is created is loaded: the same text, version and expiry', async (store, peer) => {
    const key = newKey()
    const expiresAt = later()
    const created = saved(await store.save(key, '{"a":1}', expiresAt, undefined))
    assert.ok(created.version > 0 && Number.isSafeInteger(created.version), 'the version is a positive whole number')
    same(created, found('{"a":1}', created.version, expiresAt))
    same(await store.load(key), created)
    same(await peer.load(key), created)
  })

  rule('what the caller knows already changes no answer to a load', async (store, peer) => {
    const [key, other] = newKeys(2)
    const parsed = { some: 'value' }
    const created = saved(await store.save(key, '1', later(), undefined))
    const elsewhere = saved(await store.save(other, '"other"', later(), undefined))
    const again = await store.load(key, { ...created, parsed })
    same(again, created)
    assert.ok(again?.parsed === undefined || again.parsed === parsed, 'what the library made of the text is its own')
    same(await store.load(key, elsewhere), created)
    const expiresAt = later(5)
    assert.equal(await peer.touch(key, expiresAt), true)
    same(await store.load(key, created), { ...created, expiresAt })
    const updated = saved(await peer.save(key, '2', later(2), created))
    same(await store.load(key, created), updated)
    same(await peer.load(key, updated), updated)
    const answers = await Promise.all([created, updated, undefined].map(async (known) => store.load(key, known)))
    for (const answer of answers) same(answer, updated)
    assert.equal(await peer.delete(key), true)
    assert.equal(await store.load(key, updated), undefined)
    // Another life of the key, whose versions are its own.
    await sleep(2)
    const anew = saved(await peer.save(key, '3', later(), undefined))
    same(await store.load(key, created), anew)
    same(await store.load(key, updated), anew)
  })

  rule('a create finds a live record in its way, and returns it', async (store, peer) => {
    const key = newKey()
    const first = saved(await store.save(key, '"first"', later(), undefined))
    same(conflict(await peer.save(key, '"second"', later(2), undefined)), first)
    same(await store.load(key), first)
  })

  rule('a save of the version that is there writes, under a higher version', async (store, peer) => {
    const key = newKey()
    const created = saved(await store.save(key, '1', later(), undefined))
    const updated = saved(await store.save(key, '2', later(2), created))
    assert.ok(updated.version > created.version, 'the version grows')
    same(await peer.load(key), found('2', updated.version, updated.expiresAt))
    const loaded = await peer.load(key)
    const again = saved(await peer.save(key, '3', later(1), loaded))
    assert.ok(again.version > updated.version, 'the version grows')
    same(await store.load(key), again)
  })

  rule('a save of an older version writes nothing, and returns what is there', async (store, peer) => {
    const key = newKey()
    const stale = saved(await store.save(key, '"old"', later(), undefined))
    const current = saved(await peer.save(key, '"new"', later(2), stale))
    const other = conflict(await store.save(key, '"lost"', later(3), stale))
    same(other, current)
    same(await store.load(key), current)
    const merged = saved(await store.save(key, '"merged"', later(), other))
    same(await peer.load(key), merged)
  })

  rule('a save of a deleted record is gone, and makes nothing', async (store, peer) => {
    const key = newKey()
    const before = saved(await store.save(key, '1', later(), undefined))
    assert.equal(await peer.delete(key), true)
    assert.deepEqual(await store.save(key, '2', later(), before), { gone: true })
    assert.equal(await store.load(key), undefined)
    assert.equal(await peer.load(key), undefined)
  })

  rule('a record is deleted once', async (store, peer) => {
    const key = newKey()
    saved(await store.save(key, '1', later(), undefined))
    const answers = await Promise.all(Array.from({ length: 10 }, async (_, n) => (n % 2 ? store : peer).delete(key)))
    assert.deepEqual(answers.filter(Boolean), [true])
    assert.equal(await store.delete(key), false)
    assert.equal(await store.load(key), undefined)
  })

  rule('a delete of the version that is there removes it, whoever has moved its end', async (store, peer) => {
    const [deleted, touched] = newKeys(2)
    const created = saved(await store.save(deleted, '1', later(), undefined))
    const updated = saved(await store.save(deleted, '2', later(), created))
    assert.equal(await peer.delete(deleted, await peer.load(deleted)), true)
    assert.equal(await store.load(deleted), undefined)
    assert.equal(await store.delete(deleted, updated), false)
    assert.deepEqual(await store.save(deleted, '3', later(), updated), { gone: true })
    const before = saved(await store.save(touched, '1', later(), undefined))
    assert.equal(await peer.touch(touched, later(2)), true)
    assert.equal(await store.delete(touched, before), true)
    assert.equal(await peer.load(touched), undefined)
    same(saved(await store.save(deleted, '4', later(), undefined)), await peer.load(deleted))
  })

  rule('a delete of an older version removes nothing, and returns what is there', async (store, peer) => {
    const key = newKey()
    const stale = saved(await store.save(key, '"old"', later(), undefined))
    const current = saved(await peer.save(key, '"new"', later(2), stale))
    const there = await store.delete(key, stale)
    assert.ok(typeof there === 'object', 'the record that is there')
    same(there, current)
    same(await store.load(key), current)
    assert.equal(await store.delete(key, there), true)
    assert.equal(await peer.load(key), undefined)
  })

  rule('touch moves the expiry, and neither text nor version', async (store, peer) => {
    const key = newKey()
    const created = saved(await store.save(key, '1', later(), undefined))
    const expiresAt = later(5)
    assert.equal(await peer.touch(key, expiresAt), true)
    same(await store.load(key), { ...created, expiresAt })
    const updated = saved(await store.save(key, '2', later(3), created))
    same(await store.load(key), updated)
  })

  rule('touch never brings the end nearer, and a save may', async (store, peer) => {
    const key = newKey()
    const created = saved(await store.save(key, '1', later(2), undefined))
    for (const expiresAt of [later(1), created.expiresAt, Date.now() - 1, 0]) {
      assert.equal(await peer.touch(key, expiresAt), true)
      same(await store.load(key), created)
    }
    const ends = Array.from({ length: 10 }, (_, n) => later(3 + n))
    await Promise.all(ends.toReversed().map(async (expiresAt, n) => (n % 2 ? store : peer).touch(key, expiresAt)))
    same(await peer.load(key), { ...created, expiresAt: ends.at(-1)! })
    const nearer = saved(await store.save(key, '2', later(1), created))
    same(await peer.load(key), nearer)
  })

  rule('touch creates nothing', async (store, peer) => {
    const key = newKey()
    saved(await store.save(key, '1', later(), undefined))
    await store.delete(key)
    assert.equal(await peer.touch(key, later()), false)
    assert.equal(await store.load(key), undefined)
    saved(await store.save(newKey(), '1', later(), undefined))
  })

  rule('keys have nothing to do with each other', async (store, peer) => {
    // Among them, keys that differ in one digit only, at either end.
    const middle = newKey().slice(2)
    const keys = [`a${middle}0`, `b${middle}0`, `a${middle}1`, ...newKeys(20)]
    for (const key of keys) saved(await store.save(key, `"${key}"`, later(), undefined))
    assert.equal(await store.delete(keys[0]!), true)
    saved(await store.save(keys[1]!, '"changed"', later(), await store.load(keys[1]!)))
    for (const key of keys.slice(2)) intact(await peer.load(key), `"${key}"`)
  })
}
