import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Found, Saved, Store } from '../../../src/store.ts'
import { redisStore } from '../../../src/stores/redis.ts'
import type { Awaitable, Instant, Key, Milliseconds } from '../../../src/units.ts'

/** For `storeConformance`: empty stores on one server, each under a prefix of its own that its peer shares. */
export function handles(url: () => string): { create(): Handle; peer(store: Handle): Handle } {
  const open = (prefix: string): Handle => ({ ...redisStore(url().replace('PREFIX', prefix)), prefix })
  return { create: () => open(`${newKey().slice(0, 12)}:`), peer: ({ prefix }) => open(prefix) }
}

interface Handle extends Store {
  readonly prefix: string
}

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

/** The error that an answer rejects with, and how long that took. */
export async function rejection(answer: Awaitable<unknown>): Promise<{ error: Error; after: Milliseconds }> {
  const start = performance.now()
  try {
    await answer
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
