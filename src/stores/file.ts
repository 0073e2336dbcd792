import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { resolve } from 'node:path'
import { SessionError } from '../errors.ts'
import type { Deleted, Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import {
  codeOf,
  contentName,
  deadName,
  directoryOf,
  findPointer,
  isDead,
  makeDirectory,
  makeRoot,
  moveToTrash,
  namesIn,
  newNonce,
  pointerOf,
  readContent,
  removeDirectory,
  removeFile,
  renameFrom,
  shardOf,
  syncDirectory,
  tmpOf,
  tooBusy,
  unreadable,
  writeFile,
  type Pointer,
} from './file/layout.ts'
import { fileSubjects } from './file/subjects.ts'
import { liveKeys, prune } from './file/sweep.ts'
import { pruneRegularly, refuseUnknown } from './prune-timer.ts'

/** How `fileStore` behaves. */
export interface FileStoreOptions {
  /** Where the sessions are; made when the first one is saved. Relative to the working directory at construction. */
  readonly directory: string
  /**
   * Whether a saved record also survives a loss of power. Without it, only the end of any process is survived.
   * A write then takes some ten times longer. Default: `false`.
   */
  readonly durable?: boolean
  /** How often expired sessions and leftovers are removed; 0 for never. Default: 15 minutes. */
  readonly pruneInterval?: Milliseconds
  /**
   * How old the leftovers of a process that died must be before they are removed. It must exceed the longest time for
   * which a process may be stopped in the middle of a save. Default: an hour.
   */
  readonly grace?: Milliseconds
  /** Hears of a regular pruning that failed. Default: a process warning. */
  readonly onError?: (error: unknown) => void
}

/** What this store adds to a Found: with the nonce, the pointer's name is known. */
interface FileFound extends Found {
  readonly nonce?: string
  /** Where the pointer is while `expiresAt` is the end: a cached session is looked at again and again. */
  pointer?: { readonly path: string; readonly end: Instant } | undefined
}

const MINUTE = 60_000
const TRIES = 1_000

/**
 * Keeps sessions as files, for the processes of one host: any number of them may share the directory. There is no
 * lock that a killed process could leave behind, and no half-written record (`file/layout.ts` says why).
 *
 * For local file systems only. NFS and its like may answer a rename that succeeded with "no such file", and keep
 * answers about files in caches of their own; use a server for sessions on several hosts.
 *
 * File calls on a request's way are synchronous: a read is 14 times cheaper than through promises, and takes less time
 * than the wait for a thread. Errors of the file system (EACCES, ENOSPC, …) are thrown as they are.
 */
export function fileStore(options: FileStoreOptions): Store {
  const {
    directory: given,
    durable = false,
    pruneInterval = 15 * MINUTE,
    grace = 60 * MINUTE,
    onError = warn,
    ...unknown
  } = options
  refuseUnknown('fileStore', unknown)
  if (typeof given !== 'string' || given === '') {
    throw new SessionError('ERR_SESSION_OPTION', 'fileStore needs a directory.')
  }
  if (!(grace >= 0))
    throw new SessionError('ERR_SESSION_OPTION', `grace must be 0 or more milliseconds, not ${String(grace)}.`)
  const root = resolve(given)

  const closing = new AbortController()
  const stopPruning = pruneRegularly(pruneInterval, () => prune(root, grace, closing.signal), onError)

  function load(key: Key): Found | undefined {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const pointer = findPointer(directory)
      if (pointer === undefined || isOver(pointer)) return undefined
      const text = readContent(`${directory}/${contentName(pointer.nonce)}`)
      if (text !== undefined) return found(pointer, text)
      // A content goes after its pointer. So the pointer has moved on meanwhile, or something else removed the content.
      if (existsSync(`${directory}/${pointer.name}`)) throw unreadable('no content')
    }
    throw tooBusy()
  }

  function save(key: Key, text: string, expiresAt: Instant, expected: FileFound | undefined): Saved {
    return expected === undefined ? create(key, text, expiresAt) : update(key, text, expiresAt, expected)
  }

  function create(key: Key, text: string, expiresAt: Instant): Saved {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const pointer = pointerOf(1, expiresAt, newNonce())
      if (moveIn(directory, build(pointer, text), key)) return { saved: found(pointer, text) }
      const conflict = load(key)
      if (conflict !== undefined) return { conflict }
      // There is an expired record, or there was. Replacing it by a rename lets only one of several creators win.
      const expired = findPointer(directory)
      const saved = expired && commit(directory, expired, text, expiresAt)
      if (saved !== undefined) return { saved }
    }
    throw tooBusy()
  }

  /** Makes a whole session's directory where nobody looks; returns its path. */
  function build(pointer: Pointer, text: string): string {
    const directory = `${tmpOf(root)}/${pointer.nonce}`
    try {
      mkdirSync(directory, 0o700)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      makeRoot(root, durable)
      mkdirSync(directory, 0o700)
    }
    try {
      writeFile(`${directory}/${contentName(pointer.nonce)}`, text, durable)
      writeFile(`${directory}/${pointer.name}`, '', false)
      if (durable) syncDirectory(directory)
    } catch (error) {
      removeDirectory(directory)
      throw error
    }
    return directory
  }

  /** Puts a directory that was built into its place; `false`: there is something in it. */
  function moveIn(directory: string, built: string, key: Key): boolean {
    const shard = shardOf(root, key)
    try {
      try {
        renameSync(built, directory)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error
        makeDirectory(shard)
        if (durable) syncDirectory(root)
        renameSync(built, directory)
      }
    } catch (error) {
      removeDirectory(built)
      if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST' || codeOf(error) === 'ENOTDIR') return false
      throw error
    }
    if (durable) syncDirectory(shard)
    return true
  }

  function update(key: Key, text: string, expiresAt: Instant, expected: FileFound): Saved {
    const directory = directoryOf(root, key)
    let pointer =
      expected.nonce === undefined ? undefined : pointerOf(expected.version, expected.expiresAt, expected.nonce)
    for (let tries = 0; tries < TRIES; tries++) {
      const saved = pointer && !isOver(pointer) ? commit(directory, pointer, text, expiresAt) : undefined
      if (saved !== undefined) return { saved }
      // Another version, or the same one with a later end.
      pointer = findPointer(directory)
      if (pointer === undefined || isOver(pointer)) return { gone: true }
      if (isOf(expected, pointer)) continue
      const conflict = load(key)
      return conflict === undefined ? { gone: true } : { conflict }
    }
    throw tooBusy()
  }

  /** The step that several writers race for. `undefined`: `from` is not the state any more, nothing was written. */
  function commit(directory: string, from: Pointer, text: string, expiresAt: Instant): Found | undefined {
    const to = pointerOf(from.version + 1, expiresAt, newNonce())
    const content = `${directory}/${contentName(to.nonce)}`
    try {
      writeFile(content, text, durable)
      renameSync(`${directory}/${from.name}`, `${directory}/${to.name}`)
    } catch (error) {
      removeFile(content)
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
    if (durable) syncDirectory(directory)
    removeFile(`${directory}/${contentName(from.nonce)}`)
    return found(to, text)
  }

  function touch(key: Key, expiresAt: Instant): boolean {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const from = findPointer(directory)
      if (from === undefined || isOver(from)) return false
      const to = pointerOf(from.version, expiresAt, from.nonce)
      if (to.expiresAt <= from.expiresAt || renameFrom(`${directory}/${from.name}`, `${directory}/${to.name}`))
        return true
    }
    throw tooBusy()
  }

  function remove(key: Key, expected?: FileFound): Deleted {
    const directory = directoryOf(root, key)
    const pointer = findPointer(directory)
    if (pointer === undefined || isOver(pointer)) return false
    return expected === undefined ? takeAway(directory, key) : removeVersion(directory, key, pointer, expected)
  }

  /** The pointer is what all writers race for; once it is dead, nobody else can have removed this session. */
  function removeVersion(directory: string, key: Key, known: Pointer, expected: FileFound): Deleted {
    let pointer: Pointer | undefined = known
    for (let tries = 0; tries < TRIES; tries++) {
      if (pointer === undefined || isOver(pointer)) return false
      if (!isOf(expected, pointer)) return load(key) ?? false
      if (renameFrom(`${directory}/${pointer.name}`, `${directory}/${deadName(pointer.nonce)}`)) {
        takeAway(directory, key)
        return true
      }
      pointer = findPointer(directory)
    }
    throw tooBusy()
  }

  /** Removes a session whatever its state; `false`: somebody else has. */
  function takeAway(directory: string, key: Key): boolean {
    const away = moveToTrash(root, directory)
    if (away === undefined) return false
    if (durable) syncDirectory(shardOf(root, key))
    const wasDead = isDead(namesIn(away) ?? [])
    removeDirectory(away)
    return !wasDead
  }

  function isCurrent(key: Key, found: FileFound): boolean {
    const { version, expiresAt, nonce } = found
    if (nonce === undefined || expiresAt <= Date.now()) return false
    if (found.pointer?.end !== expiresAt) {
      const path = `${directoryOf(root, key)}/${pointerOf(version, expiresAt, nonce).name}`
      found.pointer = { path, end: expiresAt }
    }
    // What is wrong, if anything, is said by the load that follows.
    return existsSync(found.pointer.path)
  }

  return {
    load,
    save,
    touch,
    delete: remove,
    isCurrent,
    subjects: fileSubjects(root, durable),
    keys: () => liveKeys(root),
    prune: () => prune(root, grace, closing.signal),
    async close() {
      stopPruning()
      closing.abort()
    },
  }
}

function found({ version, expiresAt, nonce }: Pointer, text: string): FileFound {
  return { text, version, expiresAt, nonce, parsed: undefined, pointer: undefined }
}

function isOver({ expiresAt }: Pointer): boolean {
  return expiresAt <= Date.now()
}

/** Whether the pointer means what was found, be its end another one by now. */
function isOf({ version, nonce }: FileFound, pointer: Pointer): boolean {
  return version === pointer.version && (nonce === undefined || nonce === pointer.nonce)
}

function warn(error: unknown): void {
  process.emitWarning(`Expired session files could not be removed: ${codeOf(error) ?? "see fileStore's onError"}.`, {
    code: 'SESSION_PRUNE_FAILED',
  })
}
