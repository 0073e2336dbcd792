import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Where this site keeps its own keys. */
export const KEY_FILE = '.sessions/signing-key'
const MOST_KEYS = 10

/**
 * The secrets in `file`, newest first, which only this system user may read; the first one is made there if there is none
 * yet. They outlive the process, so a restart signs nobody out. For one machine: where several serve one site, they share
 * a SESSION_KEY.
 */
export function keptSigningKeys(file: string): { keys: string[]; isNew: boolean } {
  const isNew = make(file)
  return { keys: read(file), isNew }
}

/**
 * Makes a new secret in `file`, before those that are there. The result is all of them, newest first. When there are ten,
 * the oldest one has its turn again: none is dropped, because there may be cookies that it has signed.
 */
export function addSigningKey(file: string): string[] {
  const before = read(file)
  const keys = before.length < MOST_KEYS ? [newKey(), ...before] : [...before.splice(-1), ...before]
  const draft = write(file, keys)
  renameSync(draft, file) // whole or not at all, also for a process that starts at this moment
  return keys
}

/** `false`: it was there already. */
function make(file: string): boolean {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const draft = write(file, [newKey()])
  try {
    // A link appears at once and whole, and only the first one succeeds: processes that start together agree on a key.
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft)
  }
}

function newKey(): string {
  return randomBytes(32).toString('base64url')
}

function read(file: string): string[] {
  return readFileSync(file, 'utf8').trim().split('\n')
}

/** Returns where the keys lie until they are put in their place. */
function write(file: string, keys: readonly string[]): string {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `${keys.join('\n')}\n`, { mode: 0o600 })
  return draft
}
