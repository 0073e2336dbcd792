import { existsSync, readdirSync } from 'node:fs'
import { isSessionError } from '../../errors.ts'
import type { Deleted } from '../../store.ts'
import type { Key } from '../../units.ts'
import { codeOf, makeDirectory, removeFile, removeSession, renameFrom, syncDirectory } from './disk.ts'
import {
  contentName,
  deadName,
  directoryOf,
  isDead,
  isOver,
  newNonce,
  shardOf,
  trashOf,
  type Pointer,
} from './layout.ts'
import { TRIES, findPointer, isOf, load, tooBusy, type FileFound } from './reading.ts'
import type { Place } from './writing.ts'

/** Removes the record, with `expected` only if it is still that version; see `Store.delete`. */
export function remove(place: Place, key: Key, expected?: FileFound): Deleted {
  const directory = directoryOf(place.root, key)
  let pointer: Pointer | undefined
  try {
    pointer = findPointer(directory)
  } catch (error) {
    if (expected !== undefined || !isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
    return removeUnreadable(place, directory, key)
  }
  if (pointer === undefined || isOver(pointer)) return false
  if (expected !== undefined) return removeVersion(place, directory, key, pointer, expected)
  const outcome = takeAway(place, directory, key)
  return outcome === 'cannot be moved' ? removeVersion(place, directory, key, pointer) : outcome === 'taken'
}

/** The pointer is what all writers race for. Once it is dead, nobody else can have removed this session. */
function removeVersion(place: Place, directory: string, key: Key, known: Pointer, expected?: FileFound): Deleted {
  let pointer: Pointer | undefined = known
  for (let tries = 0; tries < TRIES; tries++) {
    if (pointer === undefined || isOver(pointer)) return false
    if (expected !== undefined && !isOf(expected, pointer)) return load(place.root, key) ?? false
    if (renameFrom(`${directory}/${pointer.name}`, `${directory}/${deadName(pointer.nonce)}`)) {
      if (takeAway(place, directory, key) === 'cannot be moved') {
        // The dead pointer stays until a prune: a writer that was stopped in the middle may still add to the directory.
        removeFile(`${directory}/${contentName(pointer.nonce)}`)
        if (place.durable) syncDirectory(directory)
      }
      return true
    }
    pointer = findPointer(directory)
  }
  throw tooBusy()
}

/**
 * Removes a session, whatever its state, in one step that no writer can slip through. `overtaken`: it was deleted or
 * away already. `cannot be moved`: the directory belongs to a lower layer of an overlay file system, such as a container
 * image, and has to be emptied where it is.
 */
function takeAway({ root, durable }: Place, directory: string, key: Key): 'taken' | 'overtaken' | 'cannot be moved' {
  let away: string | undefined
  try {
    away = moveToTrash(root, directory)
  } catch (error) {
    if (codeOf(error) === 'EXDEV') return 'cannot be moved'
    throw error
  }
  if (away === undefined) return 'overtaken'
  if (durable) syncDirectory(shardOf(root, key))
  const wasDead = isDead(readdirSync(away))
  removeSession(away)
  return wasDead ? 'overtaken' : 'taken'
}

/** Removes what lies in the place of a session and is none of this store's. */
function removeUnreadable({ root, durable }: Place, directory: string, key: Key): boolean {
  let away: string | undefined
  try {
    away = moveToTrash(root, directory)
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error
    removeSession(directory)
    if (existsSync(directory)) throw error
    return true
  }
  if (away === undefined) return false
  if (durable) syncDirectory(shardOf(root, key))
  // A directory or a file; whatever else the directory holds stays in the trash.
  removeSession(away)
  removeFile(away)
  return true
}

/** Where the session's directory lies now; `undefined` if it was away already. */
function moveToTrash(root: string, directory: string): string | undefined {
  const away = `${trashOf(root)}/${newNonce()}`
  if (renameFrom(directory, away)) return away
  if (!existsSync(directory)) return undefined
  makeDirectory(trashOf(root))
  return renameFrom(directory, away) ? away : undefined
}
