import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { isSessionError } from '../../../src/errors.ts'
import type { Found, Saved, Store } from '../../../src/store.ts'
import { redisStore } from '../../../src/stores/redis.ts'
import type { Awaitable, Instant, Key, Milliseconds } from '../../../src/units.ts'

/**
 * The deadline of stores whose tests are not about deadlines. Longer than a machine can be busy, so that no test fails
 * because it was. A store that says nothing for so long is caught by the runner.
 */
export const PATIENCE: Milliseconds = 60_000

/** For `storeConformance`: empty stores on one server, each under a prefix of its own that its peer shares. */
export function handles(url: () => string): { create(): Handle; peer(store: Handle): Handle } {
  const open = (prefix: string): Handle => ({
    ...redisStore(url().replace('PREFIX', prefix), { deadline: PATIENCE }),
    prefix,
  })
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

/**
 * What the work resolves to, which is done again for as long as the store cannot be reached: of stores that give up soon,
 * and do so now and then on a busy machine too. Every other error is a failure.
 */
export async function onceInReach<Answer>(work: () => Awaitable<Answer>): Promise<Answer> {
  for (const end = Date.now() + PATIENCE; ; await pause(10)) {
    try {
      return await work()
    } catch (error) {
      if (!isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE') || Date.now() > end) throw error
    }
  }
}

/** The error that an answer rejects with. */
export async function rejection(answer: Awaitable<unknown>): Promise<{ error: Error }> {
  try {
    await answer
  } catch (error) {
    assert.ok(error instanceof Error)
    return { error }
  }
  throw new assert.AssertionError({ message: 'it resolved, and should have rejected' })
}

/**
 * What settles within this length of time, or a failure. A timer of this process tells, which is set now, and not a
 * clock: a busy machine runs timers late, but never in another order. What has begun when the timer runs, such as an
 * answer that an earlier timer has sent over a socket, has some turns of the event loop to arrive.
 */
export async function settledBy<Answer>(length: Milliseconds, answer: Awaitable<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new assert.AssertionError({ message: `it has not settled within ${length} ms` })
    timer = setTimeout(async () => {
      for (let turn = 0; turn < 100; turn++) await nextTurn()
      reject(error)
    }, length)
  })
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

/** The error of an answer that must reject by a deadline. Nothing that waits for two deadlines is in time. */
export function rejectionBy(deadline: Milliseconds, answer: Awaitable<unknown>): Promise<{ error: Error }> {
  return settledBy(deadline * 1.5, rejection(answer))
}

/** The error of an answer that must reject without waiting for anybody: within a few turns of the event loop. */
export async function rejectionAtOnce(answer: Awaitable<unknown>): Promise<{ error: Error }> {
  let isSettled = false
  const outcome = rejection(answer).finally(() => void (isSettled = true))
  for (let turn = 0; turn < 10 && !isSettled; turn++) await nextTurn()
  assert.ok(isSettled, 'it waits for something, and should have rejected at once')
  return outcome
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
