import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { inspect } from 'node:util'
import { storeConformance } from '../../src/tools/conformance.ts'
import { Diagnostics } from '../../src/diagnostics.ts'
import { isEncrypted } from '../../src/layers/encrypted.ts'
import { isSessionError } from '../../src/errors.ts'
import { storeStack } from '../../src/layers/stack.ts'
import { Codec } from '../../src/record/codec.ts'
import { format } from '../../src/record/format.ts'
import { endOf, newRecord } from '../../src/record/record.ts'
import { Lifecycle } from '../../src/session/lifecycle.ts'
import { keyOf } from '../../src/session/token.ts'
import { keyringOf } from '../../src/http/keyring.ts'
import type { Store } from '../../src/store.ts'
import { fileStore } from '../../src/stores/file.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const OLD = 'the old secret, sixteen bytes at least'
const NEW = 'the new secret, sixteen bytes at least'
const TEXT = '{"format":1,"data":{"name":"Ada Lovelace"}}'
const KEY = keyOf('one')
const OTHER_KEY = keyOf('another')
const later = Date.now() + 3_600_000

function vaultOver(store: Store, ...secrets: string[]): Store {
  const { vault } = storeStack(store, { encrypt: true, cache: undefined }, new Diagnostics('sid'))
  assert.ok(vault)
  vault.use(keyringOf(secrets).derive('encryption'))
  return vault
}

async function assertUnreadable(load: () => unknown): Promise<void> {
  await assert.rejects(
    async () => load(),
    (error) => {
      assert.ok(isSessionError(error, 'ERR_SESSION_UNREADABLE'))
      assert.doesNotMatch(inspect(error), /Lovelace|secret/)
      return true
    },
  )
}

describe('encrypted', () => {
  it('gives back what was saved, and lets the store see nothing of it', async () => {
    const store = memoryStore()
    const vault = vaultOver(store, NEW)
    const { saved } = await vault.save(KEY, TEXT, later, undefined)
    assert.equal(saved?.text, TEXT)
    assert.equal((await vault.load(KEY))?.text, TEXT)
    assert.doesNotMatch((await store.load(KEY))?.text ?? '', /Lovelace|format/)
  })

  it('encrypts the same text differently every time', async () => {
    const store = memoryStore()
    const vault = vaultOver(store, NEW)
    const { saved } = await vault.save(KEY, TEXT, later, undefined)
    const first = (await store.load(KEY))?.text
    await vault.save(KEY, TEXT, later, saved)
    assert.notEqual((await store.load(KEY))?.text, first)
  })

  it('reads what an older key encrypted, and writes it back under the newest', async () => {
    const store = memoryStore()
    await vaultOver(store, OLD).save(KEY, TEXT, later, undefined)
    const rotated = vaultOver(store, NEW, OLD)
    const found = await rotated.load(KEY)
    assert.equal(found?.text, TEXT)
    await rotated.save(KEY, TEXT, later, found)
    assert.equal((await vaultOver(store, NEW).load(KEY))?.text, TEXT)
  })

  it('is encrypted anew by a touch once the keys have changed, also if the store never sends its text again', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const behind = memoryStore({ pruneInterval: 0 })
    // As a database answers that only says that nothing has changed.
    const load: Store['load'] = async (key, known) => {
      const found = await behind.load(key)
      return known && found?.version === known.version ? known : found
    }
    const { isCurrent: _, ...methods } = behind
    const store = { ...methods, load }
    const diagnostics = new Diagnostics('sid')
    const cache = { max: 100, maxBytes: 1_000_000, maxAge: 60_000, allowStale: false }
    const stack = storeStack(store, { encrypt: true, cache }, diagnostics)
    const codec = new Codec()
    const timeouts = { idleTimeout: 600_000, absoluteTimeout: 6_000_000 }
    const lifecycle = new Lifecycle(
      stack,
      { ...timeouts, persistent: false, maxRecordBytes: 65_536, codec },
      diagnostics,
    )
    const use = (...secrets: string[]): void => stack.vault?.use(keyringOf(secrets).derive('encryption'))
    const encryptedBy = async (): Promise<unknown> =>
      (JSON.parse((await behind.load(KEY))?.text ?? '{}') as { encrypted?: unknown }).encrypted
    use(OLD)
    const record = newRecord(Date.now(), { ...timeouts, persistent: false })
    await stack.front.save(KEY, format(record), endOf(record, Date.now()), undefined)
    const before = await encryptedBy()
    use(NEW, OLD)
    for (let touches = 0; touches < 2; touches++) {
      t.mock.timers.tick(100_000)
      const found = await lifecycle.load(KEY)
      assert.ok(typeof found === 'object')
      lifecycle.touch(KEY, found)
      await lifecycle.settled()
    }
    assert.notEqual(await encryptedBy(), before)
    assert.equal(diagnostics.stats.saves, 2, 'once, and not again by each touch')
  })

  it('answers a conflict with the decrypted record', async () => {
    const store = memoryStore()
    const vault = vaultOver(store, NEW)
    const { saved: first } = await vault.save(KEY, TEXT, later, undefined)
    await vault.save(KEY, '{"second":true}', later, first)
    const { conflict } = await vault.save(KEY, '{"third":true}', later, first)
    assert.equal(conflict?.text, '{"second":true}')
  })

  it('takes no record for another session’s, whoever put it there', async () => {
    const store = memoryStore()
    await vaultOver(store, NEW).save(KEY, TEXT, later, undefined)
    const stolen = (await store.load(KEY))?.text as string
    await store.save(OTHER_KEY, stolen, later, undefined)
    await assertUnreadable(() => vaultOver(store, NEW).load(OTHER_KEY))
  })

  it('takes a record for unreadable that was changed, is plain, or whose key is gone, and leaves it alone', async () => {
    const store = memoryStore()
    await vaultOver(store, OLD).save(KEY, TEXT, later, undefined)
    const sealed = (await store.load(KEY))?.text as string
    await assertUnreadable(() => vaultOver(store, NEW).load(KEY))
    const fields = JSON.parse(sealed) as { data: string }
    const flipped = JSON.stringify({
      ...fields,
      data: (fields.data.startsWith('A') ? 'B' : 'A') + fields.data.slice(1),
    })
    for (const [index, text] of [
      flipped,
      TEXT,
      '',
      '{}',
      '{"encrypted":"", "nonce":"","data":""}',
      sealed.slice(0, -9),
    ].entries()) {
      const key = keyOf(`damaged ${index}`)
      await store.save(key, text, later, undefined)
      await assertUnreadable(() => vaultOver(store, OLD).load(key))
      assert.equal((await store.load(key))?.text, text)
    }
  })
})

// A store over a store keeps the contract of a store.
storeConformance(test, { name: 'encrypted memory', create: () => vaultOver(memoryStore({ pruneInterval: 0 }), NEW) })
storeConformance(test, {
  name: 'encrypted files',
  create: () => vaultOver(fileStore({ directory: temporaryDirectory(), pruneInterval: 0 }), NEW),
})

describe('isEncrypted', () => {
  it('tells an encrypted record from any other', async () => {
    const store = memoryStore()
    await vaultOver(store, NEW).save(KEY, TEXT, later, undefined)
    assert.equal(isEncrypted((await store.load(KEY))?.text ?? ''), true)
    for (const text of [TEXT, '{}', 'not JSON', 'null']) assert.equal(isEncrypted(text), false)
  })
})
