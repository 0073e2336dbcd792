import { randomBytes } from 'node:crypto'
import { SessionError } from '../../errors.ts'
import { isKey, type Instant, type Key, type Version } from '../../units.ts'
import { keptInstant } from '../envelope.ts'

/*
 * What lies where:
 *
 *   <root>/.gitignore          keeps sessions out of repositories, if the store has made the root
 *   <root>/3f/3fa9…/           one session; 256 shards by the first two digits of the key, made when needed
 *     p.<version>.<end>.<nonce>  the pointer: empty, its NAME is the state; <end> is the instant of expiry
 *     c.<nonce>                  the content that the pointers of that nonce mean; written once, never changed
 *     dead.<nonce>               in the pointer's place: this session was deleted, and is about to be taken away
 *   <root>/tmp/<nonce>/        sessions being made, renamed into place when whole
 *   <root>/trash/<nonce>/      sessions being removed
 *
 * Renaming the pointer is the one step that commits, and the file system lets exactly one of several renames of the
 * same name succeed. There is no lock, so a process that dies leaves none behind. A nonce is never used twice, and an
 * end only grows while the nonce stays, so whoever holds a pointer's name can tell by its existence alone that nothing
 * has changed. A session whose pointer is dead is never brought back: whoever wants its key waits until the directory
 * is away, because a directory can only be taken away as a whole, with everything that is in it by then.
 *
 * Files that bear none of these names are not the store's, and stay where they are.
 */

/** The name of a session's state. */
export interface Pointer {
  readonly name: string
  readonly version: Version
  readonly expiresAt: Instant
  readonly nonce: string
}

const SHARD = /^[0-9a-f]{2}$/
const NONCE = /^[0-9a-f]{18}-[0-9a-z]{1,11}$/
const POINTER = /^p\.([1-9][0-9]{0,15})\.([0-9]{1,13})\.([0-9a-f]{18}-[0-9a-z]{1,11})$/
const CONTENT = 'c.'
const DEAD = 'dead.'

const ownNonces = randomBytes(9).toString('hex')
let nonces = 0

/** A name that no process has used or will use. */
export function newNonce(): string {
  return `${ownNonces}-${(nonces++).toString(36)}`
}

/** Whether `newNonce` may have made this name. */
export function isNonce(name: string): boolean {
  return NONCE.test(name)
}

export function shardOf(root: string, key: Key): string {
  if (!isKey(key)) {
    throw new SessionError('ERR_SESSION_OPTION', 'The key of a file session must be 64 lower-case hexadecimal digits.')
  }
  return `${root}/${key.slice(0, 2)}`
}

export function directoryOf(root: string, key: Key): string {
  return `${shardOf(root, key)}/${key}`
}

/** The key of the session in this directory. */
export function keyOfDirectory(directory: string): Key {
  return directory.slice(-64)
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
  return CONTENT + nonce
}

export function deadName(nonce: string): string {
  return DEAD + nonce
}

export function isContent(name: string): boolean {
  return name.startsWith(CONTENT) && isNonce(name.slice(CONTENT.length))
}

function isDeadName(name: string): boolean {
  return name.startsWith(DEAD) && isNonce(name.slice(DEAD.length))
}

/** Whether these are the files of a session that was deleted. */
export function isDead(names: readonly string[]): boolean {
  return names.some(isDeadName)
}

/** Whether this is a name that the store gives to files in a session's directory. */
export function isOwnFile(name: string): boolean {
  return isContent(name) || isDeadName(name) || parsePointer(name) !== undefined
}

/** The pointer of this state. */
export function pointerOf(version: Version, expiresAt: Instant, nonce: string): Pointer {
  const end = keptInstant(expiresAt)
  return { name: `p.${version}.${end}.${nonce}`, version, expiresAt: end, nonce }
}

/** What the name of a pointer says; `undefined` for any other name. */
export function parsePointer(name: string): Pointer | undefined {
  if (!name.startsWith('p.')) return undefined
  const [, version, end, nonce] = POINTER.exec(name) ?? []
  return nonce === undefined ? undefined : { name, version: Number(version), expiresAt: Number(end), nonce }
}

/** The pointer among the names of one session's files; `undefined` if there is none or more than one. */
export function onlyPointer(names: readonly string[]): Pointer | undefined {
  let only: Pointer | undefined
  for (const name of names) {
    const pointer = parsePointer(name)
    if (pointer === undefined) continue
    if (only !== undefined) return undefined
    only = pointer
  }
  return only
}

export function isOver({ expiresAt }: Pointer): boolean {
  return expiresAt <= Date.now()
}
