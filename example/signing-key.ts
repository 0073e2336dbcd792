import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * The secret in `file`, which only this system user may read; made there if it is not there yet. It outlives the
 * process, so a restart signs nobody out. For one machine: where several serve one site, they share a SESSION_KEY.
 */
export function keptSigningKey(file: string): { key: string; isNew: boolean } {
  const isNew = make(file)
  return { key: readFileSync(file, 'utf8').trim(), isNew }
}

/** `false`: it was there already. */
function make(file: string): boolean {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
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
