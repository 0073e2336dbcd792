import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Collects garbage until the condition holds: what is told of collected objects comes a turn of the loop later. */
export async function collectedUntil(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Collects garbage so often that nothing that nobody holds is left. */
export async function collectedAll(): Promise<void> {
  let rounds = 0
  await collectedUntil(() => rounds++ > 5)
}
