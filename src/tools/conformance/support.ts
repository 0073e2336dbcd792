import assert from 'node:assert/strict'
import type { Found, Saved, Store } from '../../store.ts'
import type { Awaitable, Instant, Key, Milliseconds, Version } from '../../units.ts'

/** States one sentence of the contract. `peer` is another handle onto the same data or, without one, the store itself. */
export type Rule = (sentence: string, check: (store: Store, peer: Store) => Awaitable<void>) => void

export const MINUTE: Milliseconds = 60_000
export const DAY: Milliseconds = 24 * 60 * MINUTE
/** Long enough to save a few records before they expire. */
export const SOON: Milliseconds = 300
/** What takes longer does not happen, however busy the machine is. */
export const PATIENCE: Milliseconds = 30_000

export function newKey(): Key {
  let key = ''
  while (key.length < 64)
    key += Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0')
  return key
}

export function newKeys(count: number): [Key, Key, Key, Key, Key, Key, ...Key[]] {
  return Array.from({ length: count }, newKey) as [Key, Key, Key, Key, Key, Key]
}

export function later(minutes = 1): Instant {
  return Date.now() + minutes * MINUTE
}

export function found(text: string, version: Version, expiresAt: Instant): Found {
  return { text, version, expiresAt }
}

export function saved(answer: Saved): Found {
  assert.ok(answer.saved, `saved, not ${answer.gone ? 'gone' : 'conflict'}`)
  return answer.saved
}

export function conflict(answer: Saved): Found {
  assert.ok(answer.conflict, `conflict, not ${answer.gone ? 'gone' : 'saved'}`)
  return answer.conflict
}

/** Compares the members of a Found that the contract knows. A store may add others. */
export function same(actual: Found | undefined, expected: Found | undefined): void {
  const known = (it: Found | undefined): Found | undefined => it && found(it.text, it.version, it.expiresAt)
  assert.deepEqual(known(actual), known(expected))
}

/** Compares without assert.equal, which would first compare two texts of a megabyte line by line, and print both. */
export function intact(actual: Found | undefined, text: string): void {
  assert.ok(actual, 'the record is there')
  assert.ok(actual.text === text, 'the text is the same')
}

export async function collect(keys: AsyncIterable<Key>): Promise<Key[]> {
  const all: Key[] = []
  for await (const key of keys) all.push(key)
  return all
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + PATIENCE; !condition(); await sleep(5)) assert.ok(performance.now() < end, what)
}

export function sleep(length: Milliseconds): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, length))
}

/** Waits until a record with this expiry may not be found any more. */
export async function passed(expiresAt: Instant, granularity: Milliseconds): Promise<void> {
  while (Date.now() <= expiresAt + granularity) await sleep(expiresAt + granularity + 1 - Date.now())
}
