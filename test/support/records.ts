import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Found, Saved } from '../../src/store.ts'
import type { Instant, Key, Milliseconds } from '../../src/units.ts'

export function newKey(): Key {
  return randomBytes(32).toString('hex')
}

export function later(length: Milliseconds = 600_000): Instant {
  return Date.now() + length
}

export function savedOf(answer: Saved): Found {
  assert.ok(answer.saved, 'the save succeeded')
  return answer.saved
}

/** The error that a promise rejects with, and how long that took. */
export async function rejection(promise: PromiseLike<unknown>): Promise<{ error: Error; after: Milliseconds }> {
  const start = performance.now()
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof Error)
    return { error, after: performance.now() - start }
  }
  throw new assert.AssertionError({ message: 'it resolved, and should have rejected' })
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
