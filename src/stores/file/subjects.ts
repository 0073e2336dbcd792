import { lstatSync, utimesSync } from 'node:fs'
import { readdir, rmdir } from 'node:fs/promises'
import type { SubjectIndex } from '../../store.ts'
import { isKey, type Key, type Milliseconds, type SubjectName } from '../../units.ts'
import { codeOf, makeDirectory, removeFile, renameFrom, syncDirectory, writeFile } from './disk.ts'
import { directoryOf, isNonce, newNonce, subjectsOf } from './layout.ts'
import { entriesOf } from './listing.ts'
import { makeRoot } from './root.ts'
import { tooBusy } from './reading.ts'

/*
 * A note is an empty file `subjects/<subject>/<key>`; its time says when it was added last. Two processes that note one
 * key write one name, so there is nothing to race for. Nothing but the name matters for what is listed: a directory that
 * was copied without its times loses no note.
 *
 * A prune that doubts a note renames it to `<key>~<nonce>` before it looks for the session. That is a note as well, so
 * nobody misses it meanwhile, and whoever notes the key from then on makes a file of their own. So what a prune removes
 * is what it had doubted, and no note that was added after its look.
 */
const DOUBTED = '~'
const TRIES = 10

/** The index of the subjects' sessions: see above. */
export function fileSubjects(root: string, durable: boolean): SubjectIndex {
  function directoryFor(subject: SubjectName): string {
    return `${subjectsOf(root)}/${subject}`
  }

  /** `false`: the directory is not there. */
  function note(directory: string, key: Key): boolean {
    const path = `${directory}/${key}`
    if (renewTime(path)) return true
    try {
      writeFile(path, '', durable)
      if (durable) syncDirectory(directory)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false
      if (codeOf(error) !== 'EEXIST') throw error
    }
    return true
  }

  return {
    add(subject, key) {
      const directory = directoryFor(subject)
      // Between the two steps a prune may take the empty directory away.
      for (let tries = 0; !note(directory, key); tries++) {
        if (tries === TRIES) throw tooBusy()
        makeRoot(root, durable)
        makeDirectory(subjectsOf(root))
        makeDirectory(directory)
        if (durable) syncDirectory(subjectsOf(root))
      }
    },
    remove: (subject, key) => removeFile(`${directoryFor(subject)}/${key}`),
    async *keys(subject) {
      for (const name of await namesIn(directoryFor(subject))) {
        const key = keyIn(name)
        if (key !== undefined) yield key
      }
    },
  }
}

/** Removes the notes of sessions that are away, and the subjects that have none left. */
export async function pruneSubjects(
  { root, skip }: { readonly root: string; readonly skip: (error: unknown) => void },
  grace: Milliseconds,
  pauseWhenDue: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for await (const { name: subject } of entriesOf(subjectsOf(root))) {
    if (signal.aborted) return
    if (!isKey(subject)) continue
    await pauseWhenDue()
    try {
      await pruneSubject(`${subjectsOf(root)}/${subject}`)
    } catch (error) {
      skip(error)
    }
  }

  async function pruneSubject(directory: string): Promise<void> {
    if (lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return
    let left = 0
    for await (const { name } of entriesOf(directory)) {
      if (signal.aborted) return
      if (!removeIfOver(root, directory, name, grace)) left++
      await pauseWhenDue()
    }
    if (left === 0) await removeIfEmpty(directory)
  }
}

/** The key that a note of this name stands for; `undefined` if it is no note. */
function keyIn(name: string): Key | undefined {
  const [key, nonce, ...more] = name.split(DOUBTED)
  return isKey(key) && (nonce === undefined || isNonce(nonce)) && more.length === 0 ? key : undefined
}

/** Removes a note whose session is away, if it was not added within the grace; `false`: it stays. */
function removeIfOver(root: string, directory: string, name: string, grace: Milliseconds): boolean {
  const key = keyIn(name)
  const isOver = (path: string): boolean => isOlder(path, grace) && isAway(directoryOf(root, key as Key))
  if (key === undefined || !isOver(`${directory}/${name}`)) return false
  const doubted = `${directory}/${key}${DOUBTED}${newNonce()}`
  if (!renameFrom(`${directory}/${name}`, doubted)) return false // another process was faster
  if (isOver(doubted)) {
    removeFile(doubted)
    return true
  }
  renameFrom(doubted, `${directory}/${key}`)
  return false
}

/** Whether there is certainly nothing: what may not be looked at may be there. */
function isAway(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/**
 * Whether this is a file of that age, in whole milliseconds, as `Date.now()` counts. Symbolic links and directories are
 * nothing that this store has made.
 */
function isOlder(path: string, age: Milliseconds): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isFile() === true && Math.floor(stat.mtimeMs) + age <= Date.now()
}

/** `false`: the note is not there. */
function renewTime(note: string): boolean {
  try {
    const now = Date.now() / 1000
    utimesSync(note, now, now)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw error
  }
}

/** Another process may have been faster, or have made a new note meanwhile. */
async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(codeOf(error) ?? '')) throw error
  }
}
