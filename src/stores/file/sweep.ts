import { readdirSync, statSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Key, Milliseconds } from '../../units.ts'
import {
  codeOf,
  contentName,
  deadName,
  isContentName,
  isDead,
  isKey,
  isShard,
  makeDirectory,
  newNonce,
  onlyPointer,
  tmpOf,
  trashOf,
} from './layout.ts'
import { pruneSubjects } from './subjects.ts'

// Requests wait for this long at most; one look at a session takes some 15 µs, its removal some 100.
const LONGEST_STEP: Milliseconds = 1

/**
 * Removes expired sessions, and what processes that died have left, once it is older than `grace`.
 * Resolves to the number of sessions. What it does not understand, it leaves.
 */
export async function prune(root: string, grace: Milliseconds, signal: AbortSignal): Promise<number> {
  let removed = 0
  const rest = steps()
  for await (const directory of sessionDirectories(root, rest)) {
    if (signal.aborted) return removed
    if (await pruneSession(root, directory, grace)) removed++
    await rest()
  }
  for (const leftovers of [tmpOf(root), trashOf(root)]) {
    for (const name of await list(leftovers)) {
      if (signal.aborted) return removed
      if (isOlder(`${leftovers}/${name}`, grace)) await removeAll(`${leftovers}/${name}`)
      await rest()
    }
  }
  await pruneSubjects(root, rest, signal)
  return removed
}

/** The keys of all sessions that have not expired. */
export async function* liveKeys(root: string): AsyncGenerator<Key> {
  const rest = steps()
  for await (const directory of sessionDirectories(root, rest)) {
    const names = namesIn(directory)
    const pointer = isDead(names) ? undefined : onlyPointer(names)
    if (pointer !== undefined && pointer.expiresAt > Date.now()) yield directory.slice(-64)
    await rest()
  }
}

/** Shard by shard, so that the longest listing stays short however many sessions there are. */
async function* sessionDirectories(root: string, rest: () => Promise<void>): AsyncGenerator<string> {
  for (const shard of await list(root)) {
    if (!isShard(shard)) continue
    for (const name of await list(`${root}/${shard}`)) if (isKey(name)) yield `${root}/${shard}/${name}`
    await rest()
  }
}

/*
 * Looking is synchronous, being cheap. Changing is not: where a file system keeps a journal, who changes many files
 * waits for the disk now and then (40 ms were measured), and requests must not wait with them.
 */

/** Whether the session was expired, and by this call removed. */
async function pruneSession(root: string, directory: string, grace: Milliseconds): Promise<boolean> {
  const names = namesIn(directory)
  if (isDead(names)) {
    // Whoever deletes it takes it away in the next instant, unless that process has died.
    if (isOlder(directory, grace)) await throwAway(root, directory)
    return false
  }
  const pointer = onlyPointer(names)
  if (pointer === undefined) return false
  if (pointer.expiresAt <= Date.now()) {
    // By its name, so that it stays if somebody who began while it lived was faster.
    if (!(await renameFrom(`${directory}/${pointer.name}`, `${directory}/${deadName(pointer.nonce)}`))) return false
    await throwAway(root, directory)
    return true
  }
  for (const name of names) {
    if (isContentName(name) && name !== contentName(pointer.nonce) && isOlder(`${directory}/${name}`, grace)) {
      await removeAll(`${directory}/${name}`)
    }
  }
  return false
}

async function throwAway(root: string, directory: string): Promise<void> {
  const away = `${trashOf(root)}/${newNonce()}`
  makeDirectory(trashOf(root))
  if (await renameFrom(directory, away)) await removeAll(away)
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

async function removeAll(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

function isOlder(path: string, age: Milliseconds): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && stat.mtimeMs + age <= Date.now()
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw error
  }
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** What to await between two pieces of work: lets others have their turn once the time of a step is used up. */
function steps(): () => Promise<void> {
  let since = performance.now()
  return async () => {
    if (performance.now() - since < LONGEST_STEP) return
    await nextTurn()
    since = performance.now()
  }
}
