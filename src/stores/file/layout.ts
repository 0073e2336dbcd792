import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { SessionError } from '../../errors.ts'
import type { Instant, Key, Version } from '../../units.ts'

/*
 * What lies where:
 *
 *   <root>/.gitignore          keeps sessions out of repositories
 *   <root>/3f/3fa9…/           one session; 256 shards by the first two digits of the key, made when needed
 *     p.<version>.<end>.<nonce>  the pointer: empty, its NAME is the state; <end> is the instant of expiry
 *     c.<nonce>                  the content that the pointers of that nonce mean; written once, never changed
 *     dead.<nonce>               in the pointer's place: this session was deleted, and is about to be taken away
 *   <root>/tmp/<nonce>/        sessions being made, renamed into place when whole
 *   <root>/trash/<nonce>/      sessions being removed
 *
 * Renaming the pointer is the one step that commits, and the file system lets exactly one of several renames of the
 * same name succeed. There is no lock, hence none to be left behind by a process that dies. A nonce is never used
 * twice, and an end only grows while the nonce stays, so whoever holds a pointer's name can tell by its existence alone
 * that nothing has changed. A session whose pointer is dead is never brought back: who wants its key waits until it is
 * away, because a directory can only be taken away as a whole, whatever is in it by then.
 */

/** The name of a session's state. */
export interface Pointer {
  readonly name: string
  readonly version: Version
  readonly expiresAt: Instant
  readonly nonce: string
}

const KEY = /^[0-9a-f]{64}$/
const SHARD = /^[0-9a-f]{2}$/
const POINTER = /^p\.([1-9][0-9]{0,15})\.([0-9]{1,13})\.([0-9a-z-]+)$/
const DEAD = 'dead.'
const LATEST: Instant = 9_999_999_999_999
const DIRECTORY_MODE = 0o700
const FILE_MODE = 0o600
// A commit takes 50 µs and a look 10, so even against many writers a handful of looks is enough.
const LOOKS = 1_000
const SAME_LOOKS = 10

const ownNonces = randomBytes(9).toString('hex')
let nonces = 0

/** A name that no process has used or will use. */
export function newNonce(): string {
  return `${ownNonces}-${(nonces++).toString(36)}`
}

export function shardOf(root: string, key: Key): string {
  if (!KEY.test(key)) {
    throw new SessionError('ERR_SESSION_OPTION', 'The key of a file session must be 64 lower-case hexadecimal digits.')
  }
  return `${root}/${key.slice(0, 2)}`
}

export function directoryOf(root: string, key: Key): string {
  return `${shardOf(root, key)}/${key}`
}

export function isKey(name: string): boolean {
  return KEY.test(name)
}

export function isShard(name: string): boolean {
  return SHARD.test(name)
}

export function tmpOf(root: string): string {
  return `${root}/tmp`
}

export function trashOf(root: string): string {
  return `${root}/trash`
}

export function subjectsOf(root: string): string {
  return `${root}/subjects`
}

export function contentName(nonce: string): string {
  return `c.${nonce}`
}

export function isContentName(name: string): boolean {
  return name.startsWith('c.')
}

/** The pointer of this state. What ends beyond the year 2286 ends then. */
export function pointerOf(version: Version, expiresAt: Instant, nonce: string): Pointer {
  const end = Math.trunc(Math.min(Math.max(expiresAt, 0), LATEST))
  return { name: `p.${version}.${end}.${nonce}`, version, expiresAt: end, nonce }
}

function parsePointer(name: string): Pointer | undefined {
  const match = POINTER.exec(name)
  return match === null
    ? undefined
    : { name, version: Number(match[1]), expiresAt: Number(match[2]), nonce: match[3] as string }
}

/** Whether these are the files of a session that was deleted. */
export function isDead(names: readonly string[]): boolean {
  return names.some((name) => name.startsWith(DEAD))
}

export function deadName(nonce: string): string {
  return DEAD + nonce
}

/** The pointer among the names of one session's files; `undefined` if there is none or more than one. */
export function onlyPointer(names: readonly string[]): Pointer | undefined {
  let only: Pointer | undefined
  for (const name of names) {
    const pointer = name.startsWith('p.') ? parsePointer(name) : undefined
    if (pointer === undefined) continue
    if (only !== undefined) return undefined
    only = pointer
  }
  return only
}

/** The state of the session in `directory`; `undefined` if there is no such session. */
export function findPointer(directory: string): Pointer | undefined {
  let before: string | undefined
  let same = 0
  for (let looks = 0; looks < LOOKS; looks++) {
    const names = namesIn(directory)
    if (names === undefined || isDead(names)) return undefined
    const pointer = onlyPointer(names)
    if (pointer !== undefined) return pointer
    // While a pointer is being renamed, a listing may hold both of its names or neither. If it is the same again and
    // again, then that is how things are, and nothing this store has made.
    const seen = names.toSorted().join('/')
    same = seen === before ? same + 1 : 0
    if (same === SAME_LOOKS)
      throw unreadable(names.filter(parsePointer).length > 1 ? 'more than one state' : 'no state')
    before = seen
  }
  throw tooBusy()
}

/** The names of a session's files; `undefined` if it is not there. */
export function namesIn(directory: string): string[] | undefined {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'ENOTDIR' && existsSync(directory))
      throw unreadable('a file in the place of its directory', error)
    throw error
  }
}

/** The text of a content; `undefined` if it is not there (any more). */
export function readContent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'EISDIR') throw unreadable('a directory in the place of its content', error)
    throw error
  }
}

/** Writes a file that must not exist yet; of a write that failed, nothing is left. */
export function writeFile(path: string, text: string, durable: boolean): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: FILE_MODE, flush: durable })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') removeFile(path)
    throw error
  }
}

/** Removes a file as far as possible: what stays is found and removed by the next prune. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {}
}

/** Removes a directory of files as far as possible, like `removeFile`. */
export function removeDirectory(directory: string): void {
  try {
    for (const name of readdirSync(directory)) removeFile(`${directory}/${name}`)
    rmdirSync(directory)
  } catch {}
}

/**
 * Takes a session away whole, in one step that no writer can slip through. Returns where it lies now, to be removed
 * from there; `undefined`: it was away already.
 */
export function moveToTrash(root: string, directory: string): string | undefined {
  const away = `${trashOf(root)}/${newNonce()}`
  if (renameFrom(directory, away)) return away
  if (!existsSync(directory)) return undefined
  makeDirectory(trashOf(root))
  return renameFrom(directory, away) ? away : undefined
}

/** Gives a file or directory another name; `false`: it does not bear the first one any more. */
export function renameFrom(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/** Makes the root and what is always in it. */
export function makeRoot(root: string, durable: boolean): void {
  mkdirSync(root, { recursive: true, mode: DIRECTORY_MODE })
  makeDirectory(tmpOf(root))
  makeDirectory(trashOf(root))
  try {
    writeFile(join(root, '.gitignore'), '*\n', false)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  if (durable) {
    syncDirectory(root)
    syncDirectory(dirname(root))
  }
}

/** Whether a store has been made here: whatever else a directory may hold, it does not hold these two by chance. */
export function isRoot(directory: string): boolean {
  return existsSync(tmpOf(directory)) && existsSync(trashOf(directory))
}

/** Makes a directory, unless it is there. */
export function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, DIRECTORY_MODE)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/** Makes what happened in a directory (names coming and going) survive a loss of power. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

export function unreadable(found: string, cause?: unknown): SessionError {
  return new SessionError(
    'ERR_SESSION_UNREADABLE',
    `The directory of a session holds ${found}. It is left as it is; look at it, then remove the session's directory.`,
    { cause },
  )
}

export function tooBusy(): SessionError {
  return new SessionError('ERR_SESSION_BUSY', 'The files of a session change faster than they can be read. Try again.')
}
