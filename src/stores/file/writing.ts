import { existsSync, mkdirSync, renameSync } from 'node:fs'
import type { Saved } from '../../store.ts'
import type { Instant, Key } from '../../units.ts'
import { codeOf, makeDirectory, removeFile, removeSession, renameFrom, syncDirectory, writeFile } from './disk.ts'
import { contentName, directoryOf, isOver, newNonce, pointerOf, shardOf, tmpOf, type Pointer } from './layout.ts'
import { TRIES, findPointer, foundAt, isOf, load, tooBusy, type FileFound } from './reading.ts'
import { makeRoot } from './root.ts'

/** Where the files are, and whether what is written must survive a loss of power. */
export interface Place {
  readonly root: string
  readonly durable: boolean
}

/** Writes the record if it is still the one that is expected; see `Store.save`. */
export function save(place: Place, key: Key, text: string, expiresAt: Instant, expected?: FileFound): Saved {
  return expected === undefined ? create(place, key, text, expiresAt) : update(place, key, text, expiresAt, expected)
}

/** Moves the end of a live record later; `false` if there is no such record. */
export function touch({ root }: Place, key: Key, expiresAt: Instant): boolean {
  const directory = directoryOf(root, key)
  for (let tries = 0; tries < TRIES; tries++) {
    const from = findPointer(directory)
    if (from === undefined || isOver(from)) return false
    const to = pointerOf(from.version, expiresAt, from.nonce)
    if (to.expiresAt <= from.expiresAt) return true
    if (renameFrom(`${directory}/${from.name}`, `${directory}/${to.name}`)) return true
  }
  throw tooBusy()
}

function create(place: Place, key: Key, text: string, expiresAt: Instant): Saved {
  const directory = directoryOf(place.root, key)
  for (let tries = 0; tries < TRIES; tries++) {
    const pointer = pointerOf(1, expiresAt, newNonce())
    if (moveIn(place, directory, build(place, pointer, text), key)) return { saved: foundAt(pointer, text) }
    const conflict = load(place.root, key)
    if (conflict !== undefined) return { conflict }
    // There is an expired record, or there was. Replacing it by a rename lets only one of several creators win.
    const expired = findPointer(directory)
    const saved = expired && commit(place, directory, expired, text, expiresAt)
    if (saved !== undefined) return { saved }
  }
  throw tooBusy()
}

/** Makes a whole session's directory where nobody looks; returns its path. */
function build({ root, durable }: Place, pointer: Pointer, text: string): string {
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
    removeSession(directory)
    throw error
  }
  return directory
}

/** Puts a directory that was built into its place; `false` if there is something in that place. */
function moveIn({ root, durable }: Place, directory: string, built: string, key: Key): boolean {
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
    removeSession(built)
    if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST' || codeOf(error) === 'ENOTDIR') return false
    throw error
  }
  if (durable) syncDirectory(shard)
  return true
}

function update(place: Place, key: Key, text: string, expiresAt: Instant, expected: FileFound): Saved {
  const directory = directoryOf(place.root, key)
  const { version, nonce } = expected
  let pointer = nonce === undefined ? undefined : pointerOf(version, expected.expiresAt, nonce)
  for (let tries = 0; tries < TRIES; tries++) {
    const saved = pointer && !isOver(pointer) ? commit(place, directory, pointer, text, expiresAt) : undefined
    if (saved !== undefined) return { saved }
    // The record has another version, or the same one with a later end.
    pointer = findPointer(directory)
    if (pointer === undefined || isOver(pointer)) return { gone: true }
    if (isOf(expected, pointer)) continue
    const conflict = load(place.root, key)
    return conflict === undefined ? { gone: true } : { conflict }
  }
  throw tooBusy()
}

/** The step that several writers race for. `undefined`: `from` is not the state any more, and nothing was written. */
function commit(
  { durable }: Place,
  directory: string,
  from: Pointer,
  text: string,
  expiresAt: Instant,
): FileFound | undefined {
  const to = pointerOf(from.version + 1, expiresAt, newNonce())
  const content = `${directory}/${contentName(to.nonce)}`
  try {
    writeFile(content, text, durable)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    renameSync(`${directory}/${from.name}`, `${directory}/${to.name}`)
  } catch (error) {
    // A rename may have happened although it failed, and then the content is that of the session.
    if (!existsSync(`${directory}/${to.name}`)) {
      const isOvertaken = codeOf(error) === 'ENOENT'
      // What nobody can decide stays for the prune.
      if (isOvertaken || existsSync(`${directory}/${from.name}`)) removeFile(content)
      if (isOvertaken) return undefined
      throw error
    }
  }
  if (durable) syncDirectory(directory)
  removeFile(`${directory}/${contentName(from.nonce)}`)
  return foundAt(to, text)
}
