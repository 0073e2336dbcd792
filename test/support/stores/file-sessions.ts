import assert from 'node:assert/strict'
import { chownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Found, Store } from '../../../src/store.ts'
import { fileStore, type FileStoreOptions } from '../../../src/stores/file.ts'
import type { Instant, Key, Milliseconds } from '../../../src/units.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

export const KEY: Key = `3f${'a'.repeat(62)}`
export const HOUR: Milliseconds = 60 * 60_000
/** A name as the store gives it to what it makes, and does not give again. */
export const NONCE: string = `${'0'.repeat(18)}-1`
const NOBODY = 65534

export interface Opened extends Store {
  readonly directory: string
}

/** A store in a directory of its own, which never prunes by itself, and keeps no leftovers when it is told to prune. */
export function open(options: Partial<FileStoreOptions> = {}): Opened {
  const directory = options.directory ?? join(temporaryDirectory(), 'sessions')
  return { ...fileStore({ grace: 0, pruneInterval: 0, ...options, directory }), directory }
}

export function later(): Instant {
  return Date.now() + HOUR
}

export async function saved(store: Store, text = '{}', expected?: Found, key: Key = KEY): Promise<Found> {
  const answer = await store.save(key, text, later(), expected)
  assert.ok(answer.saved)
  return answer.saved
}

export function filesAt(store: Opened): string {
  return join(store.directory, '3f', KEY)
}

/** Where the session lies, and the names of its files. */
export function filesOf(store: Opened): { at: string; names: string[]; pointer: string; content: string } {
  const at = filesAt(store)
  const names = readdirSync(at).sort()
  return {
    at,
    names,
    pointer: join(at, names.find((name) => name.startsWith('p.')) ?? ''),
    content: join(at, names.find((name) => name.startsWith('c.')) ?? ''),
  }
}

export function everythingIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name))
}

export const isRoot: boolean = process.geteuid?.() === 0

/** Root may write everywhere; so, if we are root, for a moment we are the owner of these paths and not root. */
export function asNobody<Answer>(paths: readonly string[], check: () => Answer): Answer {
  if (!isRoot) return check()
  for (const path of paths) chownSync(path, NOBODY, NOBODY)
  process.seteuid!(NOBODY)
  try {
    return check()
  } finally {
    process.seteuid!(0)
  }
}

/** The same for what takes longer than a moment. */
export async function asNobodyUntil<Answer>(paths: readonly string[], check: () => Promise<Answer>): Promise<Answer> {
  if (!isRoot) return check()
  for (const path of paths) chownSync(path, NOBODY, NOBODY)
  process.seteuid!(NOBODY)
  try {
    return await check()
  } finally {
    process.seteuid!(0)
  }
}
