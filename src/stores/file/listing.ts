import { opendir } from 'node:fs/promises'
import type { Dirent } from 'node:fs'
import { codeOf } from './disk.ts'

/** So many names are read at once. To make objects of them takes a fraction of a millisecond. */
const NAMES_AT_ONCE = 128

/**
 * What lies in a directory, some at a time, so that no listing keeps others waiting however many there are. Nothing if
 * there is no such directory. What comes or goes meanwhile may or may not be listed.
 */
export async function* entriesOf(directory: string): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(directory, { bufferSize: NAMES_AT_ONCE })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error
  }
}
