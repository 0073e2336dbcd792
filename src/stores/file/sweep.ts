import { lstatSync, readdirSync } from 'node:fs'
import { rename, rmdir, unlink } from 'node:fs/promises'
import { takeTurns } from '../../deadline.ts'
import { isKey, type Key, type Milliseconds } from '../../units.ts'
import { codeOf, makeDirectory } from './disk.ts'
import { entriesOf } from './listing.ts'
import {
  contentName,
  deadName,
  isContent,
  isDead,
  isNonce,
  isOver,
  isOwnFile,
  isShard,
  keyOfDirectory,
  newNonce,
  onlyPointer,
  tmpOf,
  trashOf,
} from './layout.ts'
import { pruneSubjects } from './subjects.ts'

/** One walk through the sessions of a store. */
export interface Walk {
  readonly root: string
  /** Is told why a directory could not be dealt with. The walk goes on with the next one. */
  readonly skip: (error: unknown) => void
}

/**
 * Removes expired sessions, and what processes that died have left, once that is older than `grace`. Resolves to the
 * number of sessions. Touches only what bears a name that the store gives, and is no symbolic link.
 */
export async function prune(walk: Walk, grace: Milliseconds, signal: AbortSignal): Promise<number> {
  const { root } = walk
  const pauseWhenDue = takeTurns()
  let removed = 0
  for await (const directory of sessionDirectories(walk, pauseWhenDue)) {
    if (signal.aborted) return removed
    await orSkip(walk, async () => {
      if (await pruneSession(root, directory, grace)) removed++
    })
    await pauseWhenDue()
  }
  for (const leftovers of [tmpOf(root), trashOf(root)]) {
    for await (const name of directoriesIn(walk, leftovers)) {
      if (signal.aborted) return removed
      const directory = `${leftovers}/${name}`
      if (isNonce(name)) await orSkip(walk, () => pruneLeftover(directory, grace))
      await pauseWhenDue()
    }
  }
  await orSkip(walk, () => pruneSubjects(walk, grace, pauseWhenDue, signal))
  return removed
}

/** The keys of all sessions that have not expired. */
export async function* liveKeys(walk: Walk): AsyncGenerator<Key> {
  const pauseWhenDue = takeTurns()
  for await (const directory of sessionDirectories(walk, pauseWhenDue)) {
    let isLive = false
    await orSkip(walk, async () => {
      const names = filesIn(directory)
      const pointer = isDead(names) ? undefined : onlyPointer(names)
      isLive = pointer !== undefined && !isOver(pointer)
    })
    if (isLive) yield keyOfDirectory(directory)
    await pauseWhenDue()
  }
}

async function* sessionDirectories(walk: Walk, pauseWhenDue: () => Promise<void>): AsyncGenerator<string> {
  const { root } = walk
  for await (const shard of subdirectories(root)) {
    if (!isShard(shard)) continue
    for await (const name of directoriesIn(walk, `${root}/${shard}`)) if (isKey(name)) yield `${root}/${shard}/${name}`
    await pauseWhenDue()
  }
}

/*
 * Looking is synchronous, being cheap. Changing is not: on a file system with a journal, a process that changes many
 * files waits for the disk now and then (40 ms were measured), and requests must not wait with it.
 */

/** Whether the session was expired, and removed by this call. */
async function pruneSession(root: string, directory: string, grace: Milliseconds): Promise<boolean> {
  const names = filesIn(directory)
  if (isDead(names)) {
    // The process that deletes it takes it away in the next instant, unless that process has died.
    if (!isOlder(directory, grace)) return false
    if (!(await throwAway(root, directory))) await empty(directory, names)
    return false
  }
  const pointer = onlyPointer(names)
  if (pointer === undefined) {
    if (names.length === 0 && isOlder(directory, grace)) await ignoringRaces(rmdir(directory))
    return false
  }
  if (isOver(pointer)) {
    // By its name, so that it stays if somebody who began while it lived was faster.
    if (!(await renameFrom(`${directory}/${pointer.name}`, `${directory}/${deadName(pointer.nonce)}`))) return false
    // What cannot be moved is left as dead, for a later prune to remove after the grace.
    if (!(await throwAway(root, directory))) await ignoringRaces(unlink(`${directory}/${contentName(pointer.nonce)}`))
    return true
  }
  for (const name of names) {
    const isLeftover = isContent(name) && name !== contentName(pointer.nonce)
    if (isLeftover && isOlder(`${directory}/${name}`, grace)) await ignoringRaces(unlink(`${directory}/${name}`))
  }
  return false
}

/** What a process left in the middle of making or removing a session. */
async function pruneLeftover(directory: string, grace: Milliseconds): Promise<void> {
  if (isOlder(directory, grace)) await empty(directory, filesIn(directory))
}

/** Moves a session's directory away and removes it; `false` if it cannot be moved (see `removing.ts`). */
async function throwAway(root: string, directory: string): Promise<boolean> {
  const away = `${trashOf(root)}/${newNonce()}`
  try {
    // The trash is made when it is missed: to make it each time would wait for the disk, and requests with it.
    const isMoved =
      (await renameFrom(directory, away)) || (makeDirectory(trashOf(root)) && (await renameFrom(directory, away)))
    if (isMoved) await empty(away, filesIn(away))
    return true
  } catch (error) {
    if (codeOf(error) === 'EXDEV') return false
    throw error
  }
}

/** Removes a directory and those of its files that are the store's. Others stay, and the directory with them. */
async function empty(directory: string, names: readonly string[]): Promise<void> {
  // The dead pointer goes last: while it is there, nothing else in the directory counts.
  const ours = names.filter(isOwnFile).toSorted((one, other) => Number(isDead([one])) - Number(isDead([other])))
  for (const name of ours) await ignoringRaces(unlink(`${directory}/${name}`))
  await ignoringRaces(rmdir(directory))
}

async function renameFrom(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/** In whole milliseconds, as `Date.now()` counts: a file of this very millisecond has an age of 0. */
function isOlder(path: string, age: Milliseconds): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat !== undefined && Math.floor(stat.mtimeMs) + age <= Date.now()
}

/** The names in a session's directory; none if it is not there any more. */
function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw error
  }
}

async function* directoriesIn({ skip }: Walk, directory: string): AsyncGenerator<string> {
  try {
    yield* subdirectories(directory)
  } catch (error) {
    skip(error)
  }
}

/** The directories in a directory, without those that a symbolic link leads to; none if it is not there. */
async function* subdirectories(directory: string): AsyncGenerator<string> {
  for await (const entry of entriesOf(directory)) if (entry.isDirectory()) yield entry.name
}

async function orSkip({ skip }: Walk, step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    skip(error)
  }
}

/** Another process may have been faster, or may have put something new there meanwhile. */
async function ignoringRaces(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(codeOf(error) ?? '')) throw error
  }
}
