import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const MINUTE = 60_000_000_000n

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/**
 * Collects garbage until the condition holds, or in vain for a minute. What is told of collected objects comes a turn of
 * the loop later; and Node itself may hold on to a request, such as by the timer of its `Date` header, for a second.
 */
export async function collectedUntil(condition: () => boolean): Promise<void> {
  // Not by a clock that the test moves.
  const began = process.hrtime.bigint()
  while (!condition() && process.hrtime.bigint() - began < MINUTE) {
    collect()
    await nextTurn()
  }
}

/** Collects garbage so often that nothing that nobody holds is left. */
export async function collectedAll(): Promise<void> {
  let rounds = 0
  await collectedUntil(() => rounds++ > 5)
}
