import { constants } from 'node:buffer'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { SessionError, unreadable } from '../../errors.ts'
import type { Found } from '../../store.ts'
import type { Instant, Key } from '../../units.ts'
import { codeOf } from './disk.ts'
import {
  contentName,
  directoryOf,
  isDead,
  isOver,
  onlyPointer,
  parsePointer,
  pointerOf,
  type Pointer,
} from './layout.ts'

/** What this store adds to a Found: with the nonce, the name of the pointer is known. */
export interface FileFound extends Found {
  readonly nonce?: string
  /** The path of the pointer while `expiresAt` is `end`: a cached session is looked at again and again. */
  pointer?: { readonly path: string; readonly end: Instant } | undefined
}

/** How often a step is tried that other writers overtake. A commit takes 50 µs and a look 10, so a handful is enough. */
export const TRIES = 1_000
/** So many equal looks in a row, and no rename can be under way. */
const SAME_LOOKS = 10

/** The record of this key; `undefined` if there is none. `largest`: see `Store.load`. */
export function load(root: string, key: Key, largest?: number): FileFound | undefined {
  const directory = directoryOf(root, key)
  for (let tries = 0; tries < TRIES; tries++) {
    const pointer = findPointer(directory)
    if (pointer === undefined || isOver(pointer)) return undefined
    const text = readContent(`${directory}/${contentName(pointer.nonce)}`, largest)
    if (text !== undefined) return foundAt(pointer, text)
    // A content goes after its pointer. So the pointer has moved on meanwhile, or something else removed the content.
    if (existsSync(`${directory}/${pointer.name}`)) throw damaged('no content')
  }
  throw tooBusy()
}

/** Whether the pointer of `found` is still there. If something is wrong, the load that follows says what. */
export function isCurrent(root: string, key: Key, found: FileFound, now: Instant = Date.now()): boolean {
  const { version, expiresAt, nonce } = found
  if (nonce === undefined || expiresAt <= now) return false
  if (found.pointer?.end !== expiresAt) {
    const path = `${directoryOf(root, key)}/${pointerOf(version, expiresAt, nonce).name}`
    found.pointer = { path, end: expiresAt }
  }
  return existsSync(found.pointer.path)
}

/** The state of the session in `directory`; `undefined` if there is no such session. */
export function findPointer(directory: string): Pointer | undefined {
  let before: string | undefined
  let same = 0
  for (let tries = 0; tries < TRIES; tries++) {
    const names = filesOfSession(directory)
    if (names === undefined || isDead(names)) return undefined
    const pointer = onlyPointer(names)
    if (pointer !== undefined) return pointer
    // While a pointer is being renamed, a listing may hold both of its names or neither. If the listing is the same
    // again and again, then that is how things are.
    const seen = names.toSorted().join('/')
    same = seen === before ? same + 1 : 0
    before = seen
    if (same < SAME_LOOKS) continue
    // What was removed in place leaves an empty directory until somebody removes that too.
    if (names.length === 0) return undefined
    throw damaged(names.filter(parsePointer).length > 1 ? 'more than one state' : 'no state')
  }
  throw tooBusy()
}

export function foundAt({ version, expiresAt, nonce }: Pointer, text: string): FileFound {
  return { text, version, expiresAt, nonce, parsed: undefined, pointer: undefined }
}

/** Whether the pointer means what was found, even if the end is another one by now. */
export function isOf({ version, nonce }: FileFound, pointer: Pointer): boolean {
  return version === pointer.version && (nonce === undefined || nonce === pointer.nonce)
}

export function tooBusy(): SessionError {
  return new SessionError('ERR_SESSION_BUSY', 'The files of a session change faster than they can be read. Try again.')
}

/** The names of a session's files; `undefined` if the session's directory is not there. */
function filesOfSession(directory: string): string[] | undefined {
  try {
    return readdirSync(directory)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return undefined
    // Of a directory above it, the whole store would have this error.
    const isItsOwn = (code === 'ENOTDIR' || code === 'EACCES' || code === 'EPERM') && isThere(directory)
    throw isItsOwn ? damaged(code === 'ENOTDIR' ? 'a file in its place' : `no files for this process (${code})`) : error
  }
}

/** The text of a content; `undefined` if the content is not there (any more). */
function readContent(path: string, limit = Infinity): string | undefined {
  const largest = Math.min(limit, constants.MAX_STRING_LENGTH)
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return undefined
    // A pipe would be read for ever.
    if (!stats.isFile()) throw damaged('something else than a file in the place of its content')
    if (stats.size > largest) throw damaged(`a content of ${stats.size} bytes, and ${largest} are read at most`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return undefined
    if (code === 'EACCES' || code === 'EPERM') throw damaged(`a content that this process may not read (${code})`)
    throw error
  }
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function damaged(found: string): SessionError {
  return unreadable(`its directory holds ${found}`)
}
