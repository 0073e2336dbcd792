import { recordOf } from './format.ts'
import { isMarker } from './marker.ts'
import { isSessionError } from '../errors.ts'
import type { SessionRecord } from './record.ts'
import type { Found, Store } from '../store.ts'
import { takeTurns } from '../deadline.ts'
import type { Key } from '../units.ts'

/** What the store has under one key, as far as it can be read. */
export interface Sighting {
  readonly key: Key
  /** Absent if there is nothing, or if the store itself cannot tell what is there. */
  readonly found: Found | undefined
  /** Absent if there is no session: nothing is there, or only the marker of a session that has another id by now. */
  readonly record: SessionRecord | 'unreadable' | undefined
}

/** Records looked at side by side, so that ten thousand are neither one round trip each nor one long standstill. */
const AT_ONCE = 100

/** Looks at one record; rejects only if the store fails. */
export async function lookAt(store: Pick<Store, 'load'>, key: Key): Promise<Sighting> {
  let found: Found | undefined
  try {
    found = await store.load(key)
    return { key, found, record: found && !isMarker(found) ? recordOf(found) : undefined }
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_UNREADABLE')) return { key, found, record: 'unreadable' }
    throw error
  }
}

/**
 * Looks at the records of all these keys, some at a time, and waits for `visit` before it goes on: whatever their
 * number, only so many are in memory, and others have their turns meanwhile. Ends early once the signal is aborted.
 */
export async function visitRecords(
  store: Pick<Store, 'load'>,
  keys: AsyncIterable<Key>,
  visit: (sighting: Sighting) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  await visitKeys(keys, async (key) => visit(await lookAt(store, key)), signal)
}

/** The same, with `visit` looking for itself. Rejects with the first failure. */
export async function visitKeys(
  keys: AsyncIterable<Key>,
  visit: (key: Key) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const rest = takeTurns()
  // By key, because a store may name a key twice while its records move.
  let batch = new Map<Key, Promise<void>>()
  try {
    for await (const key of keys) {
      if (signal?.aborted) break
      if (batch.has(key)) continue
      const visited = visit(key)
      visited.catch(() => {}) // it rejects below, which may be some turns later
      batch.set(key, visited)
      if (batch.size >= AT_ONCE) {
        await Promise.all(batch.values())
        batch = new Map()
      }
      // A store that answers at once would otherwise do the whole batch in one turn.
      await rest()
    }
    await Promise.all(batch.values())
  } catch (error) {
    // Nothing that was begun is still under way when this rejects.
    await Promise.allSettled(batch.values())
    throw error
  }
}
