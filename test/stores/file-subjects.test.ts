import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileStore } from '../../src/stores/file.ts'
import type { Store, SubjectIndex } from '../../src/store.ts'
import { collect, later, newKey, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const HOUR = 60 * 60_000
const SUBJECT = newKey()

interface Opened {
  readonly directory: string
  readonly store: Store
  readonly index: SubjectIndex
  /** Where the subject's notes are. */
  readonly notes: string
}

function opened(directory = join(temporaryDirectory(), 'sessions')): Opened {
  const store = fileStore({ directory, pruneInterval: 0 })
  return { directory, store, index: store.subjects as SubjectIndex, notes: join(directory, 'subjects', SUBJECT) }
}

/** As if it had been added that long ago. */
function age(note: string, length: number): void {
  const then = (Date.now() - length) / 1000
  utimesSync(note, then, then)
}

async function noted({ index }: Opened): Promise<string[]> {
  return (await collect(index.keys(SUBJECT))).sort()
}

describe('the notes of file sessions', () => {
  it('are found in a directory that was copied without its times, also after a prune', async () => {
    const before = opened()
    const key = newKey()
    savedOf(await before.store.save(key, '1', later(), undefined))
    await before.index.add(SUBJECT, key, later())
    const copy = join(temporaryDirectory(), 'copy')
    cpSync(before.directory, copy, { recursive: true })
    const after = opened(copy)
    await after.store.prune?.()
    assert.deepEqual(await noted(after), [key])
  })

  it('stay with their sessions, however long ago they were made', async () => {
    const made = opened()
    const key = newKey()
    savedOf(await made.store.save(key, '1', later(), undefined))
    await made.index.add(SUBJECT, key, Date.now() - HOUR)
    age(join(made.notes, key), 365 * 24 * HOUR)
    await made.store.prune?.()
    assert.deepEqual(readdirSync(made.notes), [key])
  })

  it('go with a prune, an hour after they were made, once nothing of their sessions is left', async () => {
    const made = opened()
    const [gone, expired, young, live] = [newKey(), newKey(), newKey(), newKey()]
    savedOf(await made.store.save(expired, '1', Date.now() - 1000, undefined))
    savedOf(await made.store.save(live, '1', later(), undefined))
    for (const key of [gone, expired, young, live]) await made.index.add(SUBJECT, key, later())
    for (const key of [gone, expired, live]) age(join(made.notes, key), HOUR + 1000)
    assert.equal(await made.store.prune?.(), 1)
    assert.deepEqual(await noted(made), [young, live].sort())
    await made.store.delete(live)
    for (const key of [young, live]) age(join(made.notes, key), HOUR + 1000)
    await made.store.prune?.()
    assert.equal(existsSync(made.notes), false)
  })

  it('are renewed by being added again', async () => {
    const made = opened()
    const key = newKey()
    await made.index.add(SUBJECT, key, later())
    age(join(made.notes, key), 2 * HOUR)
    await made.index.add(SUBJECT, key, later())
    await made.store.prune?.()
    assert.deepEqual(await noted(made), [key])
  })

  it('count while a prune doubts them, and when it dies in the middle', async () => {
    const made = opened()
    const [live, gone, again] = [newKey(), newKey(), newKey()]
    savedOf(await made.store.save(live, '1', later(), undefined))
    for (const key of [live, gone, again]) {
      await made.index.add(SUBJECT, key, later())
      renameSync(join(made.notes, key), join(made.notes, `${key}~0123456789abcdef01-0`))
    }
    await made.index.add(SUBJECT, again, later()) // beside the doubted one
    assert.deepEqual([...new Set(await noted(made))], [live, gone, again].sort())
    for (const name of readdirSync(made.notes)) age(join(made.notes, name), 2 * HOUR)
    await made.index.add(SUBJECT, again, later())
    await made.store.prune?.()
    assert.deepEqual([...new Set(await noted(made))], [live, again].sort())
  })

  it('are all that a prune removes: no other name, no other directory, nothing behind a symbolic link', async () => {
    const made = opened()
    const key = newKey()
    const elsewhere = temporaryDirectory()
    await made.index.add(SUBJECT, key, later())
    const foreign = [join(made.notes, 'notes.txt'), join(made.notes, `${newKey()}~x`), join(elsewhere, newKey())]
    for (const file of foreign) writeFileSync(file, '')
    for (const file of foreign) age(file, 2 * HOUR)
    mkdirSync(join(made.notes, newKey()))
    symlinkSync(elsewhere, join(made.directory, 'subjects', newKey()))
    symlinkSync(foreign[2]!, join(made.notes, newKey()))
    const before = [readdirSync(made.notes), readdirSync(elsewhere)]
    age(join(made.notes, key), 2 * HOUR)
    await made.store.prune?.()
    assert.deepEqual(
      [readdirSync(made.notes), readdirSync(elsewhere)],
      [before[0]!.filter((name) => name !== key), before[1]],
    )
  })

  it('of other users go though one user’s directory is something else', async () => {
    const made = opened()
    const key = newKey()
    await made.index.add(SUBJECT, key, later())
    age(join(made.notes, key), 2 * HOUR)
    writeFileSync(join(made.directory, 'subjects', '0'.repeat(64)), '')
    await made.store.prune?.()
    assert.equal(existsSync(made.notes), false)
  })
})
