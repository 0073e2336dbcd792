import { isSessionError } from '../../errors.ts'
import type { Link, Listener, Store, SubjectIndex, Watch } from '../../store.ts'
import type { Instant, Key } from '../../units.ts'
import { versionAt } from './located.ts'
import { isStand } from './texts.ts'

/** So many records are looked at at once while the keys are listed. */
const AT_ONCE = 100

/** The notes of both stores as one index. */
export function subjectsOfBoth(from: SubjectIndex, to: SubjectIndex): SubjectIndex {
  return {
    // In both, because a store clears away a note whose record is elsewhere.
    async add(subject, key, until) {
      await Promise.all([from.add(subject, key, until), to.add(subject, key, until)])
    },
    async remove(subject, key) {
      await Promise.all([from.remove(subject, key), to.remove(subject, key)])
    },
    async *keys(subject) {
      yield* each([from.keys(subject), to.keys(subject)])
    },
  }
}

/** The keys of both stores. The old one comes first, because sessions that move meanwhile go to the other one. */
export function keysOfBoth(from: Store, to: Store): AsyncIterable<Key> {
  return each([recordsOf(from), to.keys?.() ?? none()])
}

/**
 * The keys under which there is a record, and not only what a move has left. `isMoving`: whether a move may have left
 * something under this key. Default: under any.
 */
export async function* recordsOf(store: Store, isMoving: (key: Key) => boolean = () => true): AsyncGenerator<Key> {
  let batch: Key[] = []
  for await (const key of store.keys?.() ?? none()) {
    if (isMoving(key)) batch.push(key)
    else yield key
    if (batch.length < AT_ONCE) continue
    yield* await recordsAmong(store, batch)
    batch = []
  }
  yield* await recordsAmong(store, batch)
}

async function recordsAmong(store: Store, keys: readonly Key[]): Promise<Key[]> {
  const areRecords = await Promise.all(keys.map((key) => isRecord(store, key)))
  return keys.filter((_, index) => areRecords[index])
}

async function isRecord(store: Store, key: Key): Promise<boolean> {
  try {
    const found = await store.load(key)
    return found !== undefined && !isStand(found)
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_UNREADABLE')) return true
    throw error
  }
}

async function* each(lists: readonly AsyncIterable<Key>[]): AsyncGenerator<Key> {
  const seen = new Set<Key>()
  for (const list of lists) {
    for await (const key of list) {
      if (seen.has(key)) continue
      seen.add(key)
      yield key
    }
  }
}

async function* none(): AsyncGenerator<Key> {}

/** Hears of the writes of both stores. */
export function watchBoth(from: Store, to: Store, listener: Listener): Watch {
  const here = from.watch?.(listener) as Watch
  const there = to.watch?.({
    saved: (key, version) => listener.saved(key, versionAt('to', version)),
    deleted: (key) => listener.deleted(key),
  }) as Watch
  const pairs = new WeakMap<Link, WeakMap<Link, Link>>()

  /** For two links always the same one, because the cache tells links apart. */
  function linkOf(key: Key): Link {
    const [one, other] = [here.linkOf(key), there.linkOf(key)]
    let beside = pairs.get(one)
    if (!beside) pairs.set(one, (beside = new WeakMap()))
    let both = beside.get(other)
    if (!both) beside.set(other, (both = new BothLinks(one, other)))
    return both
  }

  return {
    linkOf,
    async close() {
      await Promise.all([here.close(), there.close()])
    },
  }
}

/** Vouches for a key of which nobody knows in which of two stores it is: both must. */
class BothLinks implements Link {
  readonly #one: Link
  readonly #other: Link

  constructor(one: Link, other: Link) {
    this.#one = one
    this.#other = other
  }

  get generation(): number {
    return this.#one.generation + this.#other.generation
  }

  vouches(now?: Instant): boolean {
    return this.#one.vouches(now) && this.#other.vouches(now)
  }
}
