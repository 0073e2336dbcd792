import { SessionError } from '../../../errors.ts'
import { failed } from '../faults.ts'

/** SQLite's own number of an error, without its extension; `undefined` if the error is not SQLite's. */
function codeOf(error: unknown): string | undefined {
  const { errcode, code } = error as { errcode?: unknown; code?: unknown }
  // node:sqlite gives the number, better-sqlite3 the name.
  if (typeof errcode === 'number') return NAMES[errcode & 255] ?? `SQLITE ${errcode & 255}`
  return typeof code === 'string' ? /^SQLITE_[A-Z]+/.exec(code)?.[0] : undefined
}

/** https://www.sqlite.org/rescode.html */
const NAMES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  3: 'SQLITE_PERM',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  23: 'SQLITE_AUTH',
  26: 'SQLITE_NOTADB',
}

const MEANINGS: Readonly<Record<string, string>> = {
  SQLITE_ERROR:
    'a table of this name is there that is not one of ours, or was changed; give the sessions a table of their own with the option table',
  SQLITE_PERM: 'the file may not be used by this user',
  SQLITE_BUSY: 'another program holds the lock of the file for longer than the deadline',
  SQLITE_LOCKED: 'the connection that was given is in the middle of another statement',
  SQLITE_READONLY: 'the file, or its directory, may only be read by this user',
  SQLITE_IOERR: 'the disk, or the file system, failed',
  SQLITE_CORRUPT: 'the file is damaged; restore it, or remove it with its -wal and -shm',
  SQLITE_FULL: 'the disk is full',
  SQLITE_CANTOPEN: 'the file cannot be opened: its directory must be there, and be writable by this user',
  SQLITE_NOTADB: 'the file is not a database of SQLite',
}

/** Whether another connection has the lock, so that nothing was written. */
export function isBusy(error: unknown): boolean {
  return codeOf(error) === 'SQLITE_BUSY'
}

/** The error in words of our own. A driver's message may quote a statement, but it never holds a value. */
export function failureOf(error: unknown): SessionError {
  if (error instanceof SessionError) return error
  const code = codeOf(error)
  if (code !== undefined)
    return failed(MEANINGS[code] ? `SQLite: ${MEANINGS[code]} (${code})` : `SQLite answered ${code}`)
  return failed(`SQLite: ${error instanceof Error ? error.message : 'unknown failure'}`)
}
