import assert from 'node:assert/strict'
import fs, { existsSync, readdirSync, rmSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { KEY, filesAt, filesOf, later, open, saved, type Opened } from '../support/stores/file-sessions.ts'

type Step = 'renameSync' | 'openSync' | 'existsSync'

const steps = { renameSync: fs.renameSync, openSync: fs.openSync, existsSync: fs.existsSync }

afterEach(() => {
  Object.assign(fs, steps)
  syncBuiltinESMExports()
})

/**
 * Has the next call of this step on this path, or below it if it ends with a slash, go on differently. Inside of that, all
 * steps are as usual.
 */
function next<Name extends Step>(
  step: Name,
  path: string,
  instead: (...args: Parameters<(typeof steps)[Name]>) => unknown,
): void {
  const usual = steps[step] as (...args: unknown[]) => unknown
  const changed = (...args: unknown[]): unknown => {
    const isMeant = path.endsWith('/') ? String(args[0]).startsWith(path) : args[0] === path
    if (!isMeant) return usual(...args)
    Object.assign(fs, { [step]: usual })
    syncBuiltinESMExports()
    return (instead as (...args: unknown[]) => unknown)(...args)
  }
  Object.assign(fs, { [step]: changed })
  syncBuiltinESMExports()
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: the test says so, rename`), { code, syscall: 'rename' })
}

/** Two handles on one directory, as two processes have them, and a session. */
async function two(durable = false): Promise<{ store: Opened; other: Opened }> {
  const store = open({ durable })
  return { store, other: open({ directory: store.directory, durable }) }
}

describe('fileStore, durable, while another process deletes what it has just saved,', () => {
  it('has saved it', async () => {
    const { store, other } = await two(true)
    const found = await saved(store)
    next('openSync', filesAt(store), (...args) => {
      assert.equal(other.delete(KEY), true)
      return steps.openSync(...args)
    })
    const { saved: second } = await store.save(KEY, '2', later(), found)
    assert.equal(second?.version, found.version + 1)
    assert.equal(await store.load(KEY), undefined)
  })

  it('has created it, even if the whole directory went', async () => {
    const { store } = await two(true)
    next('openSync', join(store.directory, '3f'), (...args) => {
      rmSync(store.directory, { recursive: true })
      return steps.openSync(...args)
    })
    assert.ok((await store.save(KEY, '1', later(), undefined)).saved)
    assert.equal(await store.load(KEY), undefined)
  })
})

describe('fileStore, where a rename fails,', () => {
  for (const code of ['EIO', 'ENOENT']) {
    it(`with ${code} although it happened, takes what is there for what it is, and loses nothing`, async () => {
      const { store, other } = await two()
      const found = await saved(store, '1')
      next('renameSync', `${filesAt(store)}/`, (from, to) => {
        steps.renameSync(from, to)
        throw failure(code)
      })
      const { saved: second } = await store.save(KEY, '2', later(), found)
      assert.equal(second?.text, '2')
      assert.equal((await other.load(KEY))?.text, '2')
      assert.ok(other.isCurrent!(KEY, second))
      assert.equal(filesOf(store).names.length, 2)
    })
  }

  it('although it happened, and another process wrote since, keeps what that one wrote', async () => {
    const { store, other } = await two()
    const found = await saved(store, '1')
    next('renameSync', `${filesAt(store)}/`, (from, to) => {
      steps.renameSync(from, to)
      assert.ok((other.save(KEY, '3', later(), other.load(KEY) as never) as { saved?: unknown }).saved)
      throw failure('EIO')
    })
    assert.throws(() => store.save(KEY, '2', later(), found), { code: 'EIO' })
    assert.equal((await store.load(KEY))?.text, '3')
    assert.equal((await store.load(KEY))?.version, found.version + 2)
  })

  it('and nobody can say whether it happened, leaves both contents, of which the prune removes one', async () => {
    const { store } = await two()
    const found = await saved(store, '1')
    const at = `${filesAt(store)}/`
    next('renameSync', at, (from, to) => {
      steps.renameSync(from, to)
      // Whether the names are there cannot be seen for now.
      next('existsSync', at, () => {
        next('existsSync', at, () => false)
        return false
      })
      throw failure('EIO')
    })
    assert.throws(() => store.save(KEY, '2', later(), found), { code: 'EIO' })
    assert.equal((await store.load(KEY))?.text, '2')
    assert.equal(filesOf(store).names.length, 3)
    assert.equal(await store.prune!(), 0)
    assert.equal(filesOf(store).names.length, 2)
    assert.equal((await store.load(KEY))?.text, '2')
  })

  it('and did not happen, says so and leaves the session as it was', async () => {
    const { store } = await two()
    const found = await saved(store, '1')
    const before = filesOf(store).names
    next('renameSync', `${filesAt(store)}/`, () => {
      throw failure('EIO')
    })
    assert.throws(() => store.save(KEY, '2', later(), found), { code: 'EIO' })
    assert.deepEqual(filesOf(store).names, before)
    assert.ok(store.isCurrent!(KEY, found))
  })

  it('while a session is put in its place, leaves what was put there', async () => {
    const { store, other } = await two()
    await saved(store, '{}', undefined, `3f${'b'.repeat(62)}`)
    next('renameSync', join(store.directory, 'tmp/'), (from, to) => {
      steps.renameSync(from, to)
      throw failure('EIO')
    })
    assert.throws(() => store.save(KEY, '1', later(), undefined), { code: 'EIO' })
    assert.equal((await other.load(KEY))?.text, '1')
    assert.deepEqual(readdirSync(join(store.directory, 'tmp')), [])
  })

  it('while a session is taken away, says so: it may be away or not', async () => {
    const { store, other } = await two()
    await saved(store, '1')
    next('renameSync', filesAt(store), (from, to) => {
      steps.renameSync(from, to)
      throw failure('EIO')
    })
    assert.throws(() => store.delete(KEY), { code: 'EIO' })
    assert.equal(await other.load(KEY), undefined)
    assert.equal(await other.prune!(), 0)
    assert.ok(!existsSync(filesAt(store)))
    assert.deepEqual(readdirSync(join(store.directory, 'trash')), [])
  })
})
