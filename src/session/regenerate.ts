import { recordOf } from '../record/format.ts'
import { isFresh, markerOf, type Marker } from '../record/marker.ts'
import { asUnheld, carriedOver } from '../record/unheld.ts'
import type { SessionRecord } from '../record/record.ts'
import type { WorkingCopy } from './working-copy.ts'
import type { Store } from '../store.ts'
import { LostRaces } from './lost-races.ts'
import { tooBusy, type Successors } from './successors.ts'
import type { RegenerateOptions } from './member-options.ts'
import type { Key } from '../units.ts'

const NOTHING: SessionRecord['entries'] = new Map<string, never>()

/** What a regeneration needs of the life around it. */
export interface Steps {
  readonly store: Store
  readonly successors: Successors
  /** An empty session with a new id, or with the id and the record of `previous`. */
  readonly create: (previous: WorkingCopy | undefined) => WorkingCopy
  /** Stores the session as it is, with its record made into another one; `false`: its record was ended meanwhile. */
  readonly put: (copy: WorkingCopy, finish: (record: SessionRecord) => SessionRecord) => Promise<boolean>
}

/**
 * Carries a session on under a new id: the new record first, then a marker takes the place of the old one, if that is
 * still at the version that was carried on. What others wrote meanwhile is brought over, and it is tried again. So each
 * of their writes is in the new session, or was told that the session is gone. `gone`: the old one was ended already (a
 * logout came first), and so is the new one.
 *
 * If nothing is carried over, nothing can be lost between the two steps, so the marker comes first and only promises the
 * new session. The next commit makes its record, with all that the request has put into it.
 *
 * If another regenerate came first, as after a double click on "Sign in", its session may be one that nobody holds yet.
 * Then the new one takes its place. If its visitor holds it, it is left alone, and the new one stands beside it. But
 * `keep: true` carries on a session, and that one is carried on already: `replaced`.
 *
 * `replaced`: the id that the visitor came with, if that is known as replaced. Then there is no old session, and the new
 * one keeps what was carried over from it and has not been changed since.
 */
export async function moveToNewToken(
  copy: WorkingCopy,
  keep: RegenerateOptions['keep'],
  { store, successors, create, put }: Steps,
  replaced: Key | undefined,
): Promise<WorkingCopy | 'gone' | 'replaced'> {
  function carryOn(previous?: WorkingCopy): WorkingCopy {
    const made = create(previous)
    made.demandRecord()
    copy.handOver(made, keep)
    return made
  }

  let next = carryOn()
  const storeNext = (): Promise<boolean> => put(next, (record) => asUnheld(record, copy.record))

  const carriesData = (): boolean =>
    keep === true || (keep as string[] | undefined)?.some((name) => copy.has(name)) === true

  /** Takes the place of what the marker leads to. If that is not to be had, the new session has nothing of it. */
  async function takePlace(marker: Marker): ReturnType<Successors['takePlace']> {
    const own = copy.record
    const carryOver = (entries: SessionRecord['entries']): void => {
      copy.catchUp({ ...own, entries: new Map([...own.entries, ...entries]) }, keep)
      next = carryOn(next)
    }
    const outcome = await successors.takePlace(marker, next.key, async ({ record }) => {
      if (record || next.found) carryOver(record ? carriedOver(record) : NOTHING)
      // It may have ended by a sign-out, after which nothing is carried on.
      if (!record && carriesData()) return false
      return storeNext()
    })
    if (outcome === 'taken' || !next.found) return outcome
    carryOver(NOTHING)
    return (await storeNext()) ? outcome : 'missing'
  }

  async function discard(): Promise<void> {
    next.end()
    try {
      await store.delete(next.key)
    } catch {} // reported by the guard; nobody has its id, and it ends by itself
  }

  /** Takes the place of the old session. */
  async function replace(): Promise<WorkingCopy | 'gone' | 'replaced'> {
    const lost = new LostRaces()
    while (copy.found) {
      const isPromise = !next.found && !carriesData()
      if (!isPromise && !(await storeNext())) return 'gone'
      const wasHeld = copy.record.unheld === undefined
      const there = await successors.leave(copy.key, copy.found, { successor: next.key, wasHeld, isPromise })
      if (there === true) {
        if (isPromise) next.promise()
        return next
      }
      const marker = there && markerOf(there)
      if (!there || (marker && !isFresh(marker))) return 'gone'
      if (marker) {
        const outcome = await takePlace(marker)
        if (outcome === 'taken' || (outcome === 'held' && keep !== true)) return next
        return outcome === 'held' ? 'replaced' : 'gone'
      }
      if (lost.add()) throw tooBusy()
      copy.catchUp(recordOf(there), keep, there)
      next = carryOn(next)
    }
    return next
  }

  /** Takes the place of the session that has replaced the one that the visitor came for. */
  async function replaceSuccessor(key: Key): Promise<WorkingCopy | 'gone'> {
    const marker = await successors.markerAt(key)
    if (marker) await takePlace(marker)
    return next.isOpen ? next : 'gone'
  }

  if (!copy.found && replaced === undefined) return next
  try {
    const outcome = copy.found ? await replace() : await replaceSuccessor(replaced as Key)
    if (typeof outcome === 'string' && next.found) await discard()
    return outcome
  } catch (error) {
    if (next.found) await discard()
    throw error
  }
}
