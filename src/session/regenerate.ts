import { MAX_CONFLICT_TIME } from './commit-queue.ts'
import { recordOf } from '../record/format.ts'
import { SessionError } from '../errors.ts'
import type { WorkingCopy } from './working-copy.ts'
import type { Deleted, Found, Store } from '../store.ts'
import type { RegenerateOptions } from './types.ts'
import type { Key, Milliseconds } from '../units.ts'

/** A store that let us wait for so long before it failed is not asked again. */
const PATIENCE: Milliseconds = 1000

/** What a regeneration needs of the life around it. */
export interface Steps {
  readonly store: Store
  /** An empty session with a new id, or with the id and the record of `previous`. */
  readonly create: (previous: WorkingCopy | undefined) => WorkingCopy
  /** Stores the session as it is; `false`: its record was ended meanwhile. */
  readonly put: (copy: WorkingCopy) => Promise<boolean>
}

/**
 * Carries a session on under a new id: the new record first, then the old one is deleted, if it is still at the version
 * that was carried on. What others wrote meanwhile is brought over, and it is tried again. So each of their writes is in
 * the new session, or was told that the session is gone. `undefined`: the old one was gone already (a logout or another
 * regenerate came first), and so is the new one.
 *
 * A delete that failed is tried once more, because to repeat it does no harm. If the old record is gone by then, nobody
 * knows by whom: a logout may have come first, and nothing may outlive that. So the new one goes too, and the failure
 * is passed on.
 */
export async function moveToNewToken(
  copy: WorkingCopy,
  keep: RegenerateOptions['keep'],
  { store, create, put }: Steps,
): Promise<WorkingCopy | undefined> {
  function successor(previous?: WorkingCopy): WorkingCopy {
    const next = create(previous)
    next.demandRecord()
    copy.handOver(next, keep)
    return next
  }

  let next = successor()
  if (!copy.found) return next
  const keepsData = Array.isArray(keep) ? keep.length > 0 : keep === true
  const startedAt = Date.now()
  try {
    for (;;) {
      if (!(await put(next))) return undefined
      const deleted = await deleteVersion(store, copy.key, keepsData ? copy.found : undefined)
      if (deleted === true) return next
      if (deleted === false) {
        await discard(store, next)
        return undefined
      }
      if (Date.now() - startedAt > MAX_CONFLICT_TIME) throw tooBusy()
      copy.catchUp(deleted, recordOf(deleted), keep)
      next = successor(next)
    }
  } catch (error) {
    if (next.found) await discard(store, next)
    throw error
  }
}

async function deleteVersion(store: Store, key: Key, expected: Found | undefined): Promise<Deleted> {
  const startedAt = performance.now()
  try {
    return await store.delete(key, expected)
  } catch (error) {
    if (performance.now() - startedAt > PATIENCE) throw error
    const again = await store.delete(key, expected)
    if (again === false) throw error
    return again
  }
}

async function discard(store: Store, copy: WorkingCopy): Promise<void> {
  copy.end()
  try {
    await store.delete(copy.key)
  } catch {} // reported by the guard; nobody has its id, and it ends by itself
}

function tooBusy(): SessionError {
  return new SessionError(
    'ERR_SESSION_BUSY',
    'Too many writers of one session at once; the session has kept its id. Try again.',
  )
}
