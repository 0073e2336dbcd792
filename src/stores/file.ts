import { mkdirSync, renameSync } from 'node:fs'
import { resolve } from 'node:path'
import { SessionError } from '../errors.ts'
import type { Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import {
  codeOf,
  contentName,
  directoryOf,
  findPointer,
  makeDirectory,
  makeRoot,
  moveToTrash,
  newPointer,
  parsePointer,
  readContent,
  readExpiry,
  removeDirectory,
  removeFile,
  shardOf,
  syncDirectory,
  tmpOf,
  tooBusy,
  unreadable,
  writeExpiry,
  writeFile,
  type Pointer,
} from './file/layout.ts'
import { fileSubjects } from './file/subjects.ts'
import { liveKeys, prune } from './file/sweep.ts'
import { pruneRegularly, refuseUnknown } from './timer.ts'

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

/** What this store adds to a Found: under which name of the pointer it was read or written. */
interface FileFound extends Found {
  readonly pointer?: string
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
      if (pointer === undefined) return undefined
      const expiresAt = readExpiry(`${directory}/${pointer.name}`)
      if (expiresAt === undefined) continue
      if (expiresAt <= Date.now()) return undefined
      const text = readContent(`${directory}/${contentName(pointer.nonce)}`)
      if (text !== undefined) return found(pointer, text, expiresAt)
      // A content goes after its pointer. So the pointer has moved on meanwhile, or something else removed the content.
      if (readExpiry(`${directory}/${pointer.name}`) !== undefined) throw unreadable('no content')
    }
    throw tooBusy()
  }

  function save(key: Key, text: string, expiresAt: Instant, expected: FileFound | undefined): Saved {
    return expected === undefined ? create(key, text, expiresAt) : update(key, text, expiresAt, expected)
  }

  function create(key: Key, text: string, expiresAt: Instant): Saved {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const pointer = newPointer(1)
      if (moveIn(directory, build(pointer, text, expiresAt), key)) return { saved: found(pointer, text, expiresAt) }
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
  function build(pointer: Pointer, text: string, expiresAt: Instant): string {
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
      writeExpiry(`${directory}/${pointer.name}`, expiresAt)
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
    const pointer = expected.pointer === undefined ? findPointer(directory) : parsePointer(expected.pointer)
    if (pointer !== undefined && pointer.version === expected.version) {
      const until = readExpiry(`${directory}/${pointer.name}`)
      if (until !== undefined && until <= Date.now()) return { gone: true }
      const saved = until === undefined ? undefined : commit(directory, pointer, text, expiresAt)
      if (saved !== undefined) return { saved }
    }
    const conflict = load(key)
    return conflict === undefined ? { gone: true } : { conflict }
  }

  /** The step that several writers race for. `undefined`: `from` is not the state any more, nothing was written. */
  function commit(directory: string, from: Pointer, text: string, expiresAt: Instant): Found | undefined {
    const to = newPointer(from.version + 1)
    const content = `${directory}/${contentName(to.nonce)}`
    try {
      writeFile(content, text, durable)
      renameSync(`${directory}/${from.name}`, `${directory}/${to.name}`)
    } catch (error) {
      removeFile(content)
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
    // Between these two calls the new state has the old one's expiry. Should a newer state have taken its place
    // already, its writer sees to the expiry; should all be gone, the session has just been deleted.
    if (!writeExpiry(`${directory}/${to.name}`, expiresAt) && findPointer(directory) === undefined) return undefined
    if (durable) syncDirectory(directory)
    removeFile(`${directory}/${contentName(from.nonce)}`)
    return found(to, text, expiresAt)
  }

  function touch(key: Key, expiresAt: Instant): boolean {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const pointer = findPointer(directory)
      if (pointer === undefined) return false
      const until = readExpiry(`${directory}/${pointer.name}`)
      if (until !== undefined && until <= Date.now()) return false
      if (until !== undefined && writeExpiry(`${directory}/${pointer.name}`, expiresAt)) return true
    }
    throw tooBusy()
  }

  function remove(key: Key): boolean {
    const directory = directoryOf(root, key)
    for (let tries = 0; tries < TRIES; tries++) {
      const pointer = findPointer(directory)
      if (pointer === undefined) return false
      const until = readExpiry(`${directory}/${pointer.name}`)
      if (until === undefined) continue
      if (until <= Date.now()) return false
      const away = moveToTrash(root, directory)
      if (away === undefined) return false
      if (durable) syncDirectory(shardOf(root, key))
      removeDirectory(away)
      return true
    }
    throw tooBusy()
  }

  function isCurrent(key: Key, { pointer }: FileFound): boolean {
    if (pointer === undefined) return false
    try {
      const expiresAt = readExpiry(`${directoryOf(root, key)}/${pointer}`)
      return expiresAt !== undefined && expiresAt > Date.now()
    } catch {
      // What is wrong is said by the load that follows.
      return false
    }
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

function found(pointer: Pointer, text: string, expiresAt: Instant): FileFound {
  return { text, version: pointer.version, expiresAt, pointer: pointer.name, parsed: undefined }
}

function warn(error: unknown): void {
  process.emitWarning(`Expired session files could not be removed: ${codeOf(error) ?? "see fileStore's onError"}.`, {
    code: 'KOA_SERVER_SESSION_PRUNE',
  })
}
