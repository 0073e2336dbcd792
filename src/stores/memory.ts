import { setImmediate as nextTurn } from 'node:timers/promises'
import { Checks } from '../checks.ts'
import type { Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds, SubjectName } from '../units.ts'
import { checkedInterval, pruneRegularly } from './prune-timer.ts'

/** How `memoryStore` behaves. */
export interface MemoryStoreOptions {
  /** How often what has expired is removed; 0 for never. Default: a minute. */
  readonly pruneInterval?: Milliseconds
}

// Looking at this many records takes about a millisecond.
const RECORDS_PER_TURN = 5_000
const MINUTE: Milliseconds = 60_000
/** The record of a note that is younger may be on its way. */
const GRACE: Milliseconds = 60 * MINUTE
const checks = new Checks('memoryStore')

/**
 * Keeps records in this process and loses them when it ends. For one process whose visitors may be logged out by a
 * restart, for development, and as the plainest reading of the contract for who writes a store.
 *
 * Its size has no bound but the sessions that live: a store never ends a live session to make room.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checks.object('its argument', options)
  checks.names(options, ['pruneInterval'])
  const pruneInterval = checkedInterval(checks, options.pruneInterval, MINUTE)

  const records = new Map<Key, Found>()
  // One count for all keys: a version is then never seen twice, not even by a key that is deleted and made anew.
  let lastVersion = 0

  function live(key: Key, now: Instant = Date.now()): Found | undefined {
    const record = records.get(key)
    return record !== undefined && record.expiresAt > now ? record : undefined
  }

  function write(key: Key, text: string, expiresAt: Instant): Saved {
    const record = { text, version: ++lastVersion, expiresAt }
    records.set(key, record)
    return { saved: copy(record) }
  }

  async function prune(): Promise<number> {
    let looked = 0
    let removed = 0
    for (const [key, record] of records) {
      if (record.expiresAt <= Date.now() && records.delete(key)) removed++
      if (++looked % RECORDS_PER_TURN === 0) await nextTurn()
    }
    const forgotten = performance.now() - GRACE
    for (const [subject, keys] of subjects) {
      for (const [key, addedAt] of keys) {
        if (addedAt <= forgotten && !records.has(key)) keys.delete(key)
        if (++looked % RECORDS_PER_TURN === 0) await nextTurn()
      }
      if (keys.size === 0) subjects.delete(subject)
    }
    return removed
  }

  /** Of each subject the keys, and when each was noted last, as `performance.now()` counts. */
  const subjects = new Map<SubjectName, Map<Key, Milliseconds>>()

  const stopPruning = pruneRegularly(pruneInterval, prune, () => {})

  return {
    load(key) {
      const record = live(key)
      return record && copy(record)
    },

    save(key, text, expiresAt, expected) {
      const record = live(key)
      if (expected === undefined) return record ? { conflict: copy(record) } : write(key, text, expiresAt)
      if (record === undefined) return { gone: true }
      return record.version === expected.version ? write(key, text, expiresAt) : { conflict: copy(record) }
    },

    touch(key, expiresAt) {
      const record = live(key)
      if (record === undefined) return false
      if (expiresAt > record.expiresAt) records.set(key, { ...record, expiresAt })
      return true
    },

    delete(key, expected) {
      const record = live(key)
      if (record === undefined) return false
      return expected && expected.version !== record.version ? copy(record) : records.delete(key)
    },

    isCurrent(key, found, now) {
      return live(key, now)?.version === found.version
    },

    async *keys() {
      for (const key of records.keys()) if (live(key) !== undefined) yield key
    },

    subjects: {
      add(subject, key) {
        const keys = subjects.get(subject)
        if (keys) keys.set(key, performance.now())
        else subjects.set(subject, new Map([[key, performance.now()]]))
      },
      remove(subject, key) {
        const keys = subjects.get(subject)
        if (keys?.delete(key) && keys.size === 0) subjects.delete(subject)
      },
      async *keys(subject) {
        yield* Array.from(subjects.get(subject)?.keys() ?? []) // as it is now, whatever is taken back meanwhile
      },
    },

    prune,

    async close() {
      stopPruning()
    },
  }
}

// Each caller its own: what the library hangs on a Found must not stay in the store, where only text is kept.
function copy({ text, version, expiresAt }: Found): Found {
  return { text, version, expiresAt, parsed: undefined }
}
