import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { isOwnFile } from './layout.ts'

/*
 * Single steps on the file system. A step that finds nothing to do, because another process was faster, says so by its
 * answer; everything else that goes wrong is thrown as Node says it.
 */

const DIRECTORY_MODE = 0o700
const FILE_MODE = 0o600

/** Writes a file that must not exist yet. Nothing is left of a write that failed. */
export function writeFile(path: string, text: string, durable: boolean): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: FILE_MODE, flush: durable })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') removeFile(path)
    throw error
  }
}

/** Removes a file if that is possible. The next prune removes what stays. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {}
}

/** Removes a session's directory, as far as it holds files of this store, and if that is possible. */
export function removeSession(directory: string): void {
  try {
    for (const name of readdirSync(directory)) if (isOwnFile(name)) unlinkSync(`${directory}/${name}`)
    rmdirSync(directory)
  } catch {}
}

/** Gives a file or directory another name; `false` if nothing has the first name any more. */
export function renameFrom(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/** Makes a directory that nobody else can enter; `false` if something has that name already. */
export function makeDirectory(directory: string): boolean {
  try {
    mkdirSync(directory, DIRECTORY_MODE)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/**
 * Makes a directory and those that are missing above it; `false` if something has that name already. Node's own
 * `recursive` never returns if a directory above takes no new ones (/proc), and calls a read-only file system ENOENT.
 */
export function makePath(directory: string): boolean {
  try {
    return makeDirectory(directory)
  } catch (error) {
    const above = dirname(directory)
    if (codeOf(error) !== 'ENOENT' || existsSync(above)) throw error
    makePath(above)
    return makeDirectory(directory)
  }
}

/**
 * Makes names that came to a directory, or went, survive a loss of power. A directory that is gone needs none of it:
 * another process has taken away what was to survive.
 */
export function syncDirectory(directory: string): void {
  let descriptor: number
  try {
    descriptor = openSync(directory, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
