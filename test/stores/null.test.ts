import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nullStore } from '../../src/stores/null.ts'

const KEY = 'a'.repeat(64)

describe('nullStore', () => {
  it('accepts a new record and forgets it', async () => {
    const store = nullStore()
    const expiresAt = Date.now() + 60_000
    const { saved } = await store.save(KEY, '{}', expiresAt, undefined)
    assert.deepEqual(saved, { text: '{}', version: 1, expiresAt })
    assert.equal(await store.load(KEY), undefined)
    assert.deepEqual(await store.save(KEY, '{}', expiresAt, saved), { gone: true })
    assert.equal(await store.touch(KEY, expiresAt), false)
    assert.equal(await store.delete(KEY), false)
  })
})
