import { formatMarker, MARKER_LIFE } from '../record/marker.ts'
import type { Store } from '../store.ts'
import { keyOf, newToken } from './token.ts'

/**
 * Does everything with the store that sessions need of it: creates a record, reads and extends it, notes it under a
 * subject and finds it there, and removes both. The record is a marker, so nobody takes it for a session, and it expires
 * by itself if the process dies on the way. Rejects with whatever the store fails with.
 */
export async function rehearse(store: Store): Promise<void> {
  const [key, subject] = [keyOf(newToken()), keyOf(newToken())]
  const now = Date.now()
  const text = formatMarker({ replacedAt: now, successor: undefined, wasHeld: false })
  await store.save(key, text, now + MARKER_LIFE / 2, undefined)
  await store.load(key)
  await store.touch(key, now + MARKER_LIFE)
  if (store.subjects) {
    await store.subjects.add(subject, key, now + MARKER_LIFE)
    for await (const _ of store.subjects.keys(subject));
    await store.subjects.remove(subject, key)
  }
  await store.delete(key)
}
