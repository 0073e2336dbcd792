import { setTimeout as after } from 'node:timers/promises'
import { isMarker } from '../../../src/record/marker.ts'
import type { Store } from '../../../src/index.ts'
import type { Milliseconds } from '../../../src/units.ts'

/** A store that works on `inner` and answers this much later: one that is reached over a network. */
export function delayed(inner: Store, delay: Milliseconds): Store {
  const late =
    <Arguments extends unknown[], Answer>(method: (...args: Arguments) => Answer) =>
    async (...args: Arguments): Promise<Awaited<Answer>> => {
      await after(delay)
      return await method(...args)
    }
  return {
    ...inner,
    load: late(inner.load),
    save: late(inner.save),
    touch: late(inner.touch),
    delete: late(inner.delete),
  }
}

/** The keys of all sessions; those that were replaced, and have only a marker left, are none. */
export async function keysOf(store: Store): Promise<string[]> {
  const keys = []
  for await (const key of store.keys?.() ?? []) {
    const found = await store.load(key)
    if (!(found && isMarker(found))) keys.push(key)
  }
  return keys
}
