import { recordOf } from './format.ts'
import { isSessionError } from '../errors.ts'
import type { SessionRecord } from './record.ts'
import type { Found, Store } from '../store.ts'
import type { Key } from '../units.ts'

/** What the store has under one key, as far as it can be read. */
export interface Sighting {
  readonly key: Key
  /** Absent if there is no record, or if the store itself cannot tell what is there. */
  readonly found: Found | undefined
  readonly record: SessionRecord | 'unreadable' | undefined
}

/** Records looked at side by side, so that ten thousand are neither one round trip each nor one long standstill. */
const AT_ONCE = 100

/** Looks at one record; rejects only if the store fails. */
export async function lookAt(store: Store, key: Key): Promise<Sighting> {
  let found: Found | undefined
  try {
    found = await store.load(key)
    return { key, found, record: found && recordOf(found) }
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_UNREADABLE')) return { key, found, record: 'unreadable' }
    throw error
  }
}

/**
 * Looks at the records of all these keys, some at a time, and waits for `visit` before it goes on: whatever their
 * number, only so many are in memory. Ends early once the signal is aborted.
 */
export async function visitRecords(
  store: Store,
  keys: AsyncIterable<Key>,
  visit: (sighting: Sighting) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const look = async (key: Key): Promise<void> => visit(await lookAt(store, key))
  // A set, because a store may name a key twice while its records move.
  let batch = new Set<Key>()
  for await (const key of keys) {
    if (signal?.aborted) return
    batch.add(key)
    if (batch.size < AT_ONCE) continue
    await Promise.all([...batch].map(look))
    batch = new Set()
    // Where the store answers at once, others would otherwise not have their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (!signal?.aborted) await Promise.all([...batch].map(look))
}
