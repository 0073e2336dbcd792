import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

const LONG_ENOUGH = 60_000

/**
 * What a node shows once it has heard of all that others did: it may serve an older state for as long as the coherence
 * bound. What is lost never comes, and what came back stays.
 */
export async function inTheEnd(read: () => Promise<unknown>, expected: unknown, message?: string): Promise<void> {
  const until = performance.now() + LONG_ENOUGH
  for (;;) {
    const shown = await read()
    if (isDeepStrictEqual(shown, expected) || performance.now() > until)
      return assert.deepEqual(shown, expected, message)
    await pause(10)
  }
}
