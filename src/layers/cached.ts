import { LRUCache } from 'lru-cache'
import type { Diagnostics } from '../diagnostics.ts'
import type { Found, Saved, Store } from '../store.ts'
import { isPromise, settle, type Awaitable, type Instant, type Key, type Milliseconds, type Version } from '../units.ts'
import type { CachingStore, Standing } from './cached/caching-store.ts'
import { validityOf, type Cached } from './cached/entry.ts'
import { Questions, type Question } from './cached/questions.ts'
import { Subscription } from './cached/subscription.ts'

/** The bounds of the cache in this process. */
export interface CacheOptions {
  /** How many sessions the cache holds at most. Default 10 000. */
  max?: number
  /** How many bytes of memory the cache takes at most; an estimate. Default 32 MiB. */
  maxBytes?: number
  /** How long a cached session is served before it is read again, in milliseconds. Default 60 000. */
  maxAge?: Milliseconds
  /**
   * Whether a cached session may be served if the store cannot say that it is current (memcached, stores of
   * express-session). With `true`, a logout on another node goes unnoticed for up to `maxAge`. Default `false`: with
   * such a store, the cache serves nothing.
   */
  allowStale?: boolean
  /**
   * Which share of what the cache answers is asked of the store as well, to see whether the cache tells the truth: `0.001`
   * for one answer in a thousand. `stats()` says in `audited`, `stale` and `worstAge` what came of it. Default 0.
   */
  audit?: number
}

/** The options of the cache itself: whoever audits it stands outside of it. */
export type CacheBounds = Required<Omit<CacheOptions, 'audit'>>

/** A load that several callers may wait for. */
interface Fill {
  readonly question: Question
  /** As `performance.now()` counts. */
  readonly startedAt: Milliseconds
  readonly answer: Promise<Found | undefined>
}

/** The decoded values take about twice as much again as the text; the rest is the entry itself. */
const BYTES_PER_CHARACTER = 3
const BYTES_PER_ENTRY = 600
/** The answer of a load that is older than this may be outdated, so a later caller asks for itself. */
const MAX_SHARED_FILL: Milliseconds = 1000

/**
 * A store in front of a store: an LRU cache in this process that answers only while the store vouches for what it holds.
 * The one place that knows of coherence (for the bound, see "Many machines" in the README).
 *
 * An entry is served if its link vouches for it and is of the same generation, if `isCurrent` agrees (on stores that
 * have it), and if the entry is neither older than `maxAge` nor past its own end. A load that was under way while its
 * key was written answers its caller and is not kept.
 */
export function cached(store: Store, options: CacheBounds, diagnostics: Diagnostics): CachingStore {
  const { stats } = diagnostics
  const { maxAge } = options
  const fills = new Map<Key, Fill>()
  const questions = new Questions()
  const entries = new LRUCache<Key, Cached>({
    max: options.max,
    maxSize: options.maxBytes,
    sizeCalculation: ({ found }) => BYTES_PER_ENTRY + found.text.length * BYTES_PER_CHARACTER,
  })
  const subscription = new Subscription(
    store,
    {
      saved,
      deleted,
      isOwn: (key, version) =>
        questions.has(key) || (version !== undefined && entries.peek(key)?.found.version === version),
      deaf() {
        questions.overtakeAll()
        entries.clear()
        measure()
      },
    },
    options.allowStale,
    stats,
  )

  function saved(key: Key, version: Version): void {
    const isSaving = questions.hear(key, version)
    const entry = entries.peek(key)
    if (!entry || entry.found.version >= version) return
    // The message may be the echo of this process's own save, and come before the answer. From here on the entry is
    // not served; whether another process wrote is known, and told, once the answer is there.
    if (isSaving) entry.heardOf = Math.max(entry.heardOf, version)
    else invalidate(key)
  }

  function deleted(key: Key): void {
    questions.overtake(key)
    invalidate(key)
  }

  function drop(key: Key): boolean {
    const existed = entries.delete(key)
    if (existed) measure()
    return existed
  }

  /** Drops what another process has changed, and says so. */
  function invalidate(key: Key): void {
    if (drop(key)) diagnostics.report('invalidate')
  }

  function newQuestion(key: Key, isSave = false): Question {
    const link = subscription.linkOf(key)
    return { minVersion: 0, isSave, link, generation: link.generation }
  }

  function measure(): void {
    stats.cacheSize = entries.size
    stats.cacheBytes = entries.calculatedSize
  }

  /** Keeps the answer if the question allows it; `false` if not. */
  function keep(key: Key, found: Found, { minVersion, link, generation }: Question): boolean {
    if (found.version < minVersion || link.generation !== generation) return false
    entries.set(key, {
      found,
      heardOf: found.version,
      monotonic: performance.now(),
      wall: Date.now(),
      link,
      generation,
    })
    measure()
    return true
  }

  function hit(key: Key, now: Instant): Found | undefined {
    const entry = entries.get(key)
    if (!entry) return undefined
    const is = validityOf(key, entry, store, maxAge, now)
    if (is === 'valid') {
      stats.hits++
      return entry.found
    }
    if (is === 'outdated') invalidate(key)
    return undefined
  }

  function peek(key: Key, now: Instant): Standing | undefined {
    const entry = entries.peek(key)
    if (!entry) return undefined
    return {
      entry,
      found: entry.found,
      isServed: validityOf(key, entry, store, maxAge, now) === 'valid',
      bound: entry.link.bound,
    }
  }

  function load(key: Key): Awaitable<Found | undefined> {
    const found = hit(key, Date.now())
    if (found) return found
    if (entries.peek(key)?.link.vouches() === false) stats.bypasses++
    return fill(key)
  }

  /**
   * From here on nobody in this process is shown what is older than this. Two answers may come by different ways, and the
   * message of a change by a third one, so a newer answer can be here before an older one, and before the message.
   */
  function shown(key: Key, found: Found | undefined): void {
    if (found) saved(key, found.version)
    else deleted(key)
  }

  /** A record that has not changed keeps what was already made of its text. */
  function filled(key: Key, found: Found | undefined, question: Question): Found | undefined {
    const known = entries.peek(key)?.found
    if (found && known?.version === found.version && known.text === found.text) found.parsed = known.parsed
    if (found) keep(key, found, question)
    shown(key, found)
    return found
  }

  function fill(key: Key): Awaitable<Found | undefined> {
    const shared = fills.get(key)
    if (shared && isShareable(shared)) return shared.answer
    const question = newQuestion(key)
    const startedAt = performance.now()
    const known = entries.peek(key)?.found
    const answer = questions.ask(
      key,
      question,
      () => store.load(key, known),
      (found) => filled(key, found, question),
    )
    if (!isPromise(answer)) return answer
    const current: Fill = {
      question,
      startedAt,
      answer: answer.finally(() => fills.get(key) === current && fills.delete(key)),
    }
    fills.set(key, current)
    return current.answer
  }

  /** Whether the answer, which may be older than the question, is one that a hit could have given too. */
  function isShareable({ question, startedAt }: Fill): boolean {
    const { minVersion, link, generation } = question
    if (store.isCurrent || !link.vouches() || link.generation !== generation) return false
    return minVersion === 0 && performance.now() - startedAt < MAX_SHARED_FILL
  }

  /** The outcome of a save becomes the entry, unless something newer is known. */
  function written(key: Key, result: Saved, question: Question): Saved {
    if (result.gone) {
      deleted(key)
      return result
    }
    const found = result.saved ?? result.conflict
    questions.hear(key, found.version)
    const entry = entries.peek(key)
    const isByOthers = entry !== undefined && entry.heardOf > entry.found.version && entry.heardOf !== found.version
    // Replaced in place, because a delete and a set cost twice as much, and lru-cache empties all its tables when its
    // only entry goes.
    const isNewest = !entry || entry.found.version <= found.version
    const isKept = isNewest && keep(key, found, question)
    if (entry && !isKept && entry.found.version < Math.max(entry.heardOf, found.version)) drop(key)
    if (entry && (isByOthers || (result.conflict && entry.found.version < found.version)))
      diagnostics.report('invalidate')
    return result
  }

  /** Moves the end of the entry, unless a save that may have set a nearer one was heard of meanwhile. */
  function touched(key: Key, expiresAt: Instant, { minVersion }: Question): void {
    const entry = entries.peek(key)
    if (entry && minVersion === 0 && entry.found.expiresAt < expiresAt) entry.found = { ...entry.found, expiresAt }
  }

  return {
    ...store,
    hit,
    peek,
    load,

    behind: {
      ...store,
      load: (key, known, largest) =>
        settle(
          () => store.load(key, known, largest),
          (found) => {
            shown(key, found)
            return found
          },
        ),
    },

    save(key, text, expiresAt, expected) {
      const question = newQuestion(key, true)
      return questions.ask(
        key,
        question,
        () => store.save(key, text, expiresAt, expected),
        (result) => written(key, result, question),
        () => {
          questions.overtake(key) // it may be stored or not: only the store knows
          drop(key)
        },
      )
    },

    touch(key, expiresAt) {
      const question = newQuestion(key)
      return questions.ask(
        key,
        question,
        () => store.touch(key, expiresAt),
        (isAlive) => {
          if (isAlive) touched(key, expiresAt, question)
          else deleted(key)
          return isAlive
        },
      )
    },

    delete(key, expected) {
      const dropped = (): void => {
        questions.overtake(key)
        drop(key)
      }
      dropped() // before it is sent, so that nobody is served while it travels
      return questions.ask(
        key,
        newQuestion(key),
        () => store.delete(key, expected),
        (outcome) => {
          dropped()
          return outcome
        },
        dropped,
      )
    },

    /** Ends the cache, and not the store behind it. */
    async close() {
      entries.clear()
      fills.clear()
      measure()
      await subscription.close()
    },
  }
}
