import { LRUCache } from 'lru-cache'
import type { Diagnostics } from '../diagnostics.ts'
import type { Found, Link, Store } from '../store.ts'
import { isPromise, type Awaitable, type Instant, type Key, type Milliseconds, type Version } from '../units.ts'
import { Subscription } from './cached/subscription.ts'

/** The bounds of the cache in this process. */
export interface CacheOptions {
  /** Sessions. Default 10 000. */
  max?: number
  /** Estimated bytes of memory. Default 32 MiB. */
  maxBytes?: number
  /** How long an entry may be served before it is read again, whatever the store says. Default 60 s. */
  maxAge?: Milliseconds
  /**
   * Whether a hit may be as old as `maxAge` where the store has no way to say that it is current (memcached,
   * express-session's stores): a logout on another node is then served for that long. Default `false`: no hits there.
   */
  allowStale?: boolean
}

/** One record as it was last seen, and under which word of its link. */
interface Cached {
  found: Found
  readonly readAt: Instant
  readonly link: Link
  readonly generation: number
}

/** A question to the store under way, and what was heard of its key meanwhile: an older answer is not kept. */
interface Token {
  minVersion: Version
  readonly link: Link
  readonly generation: number
}

/** A load that others may wait for too. */
interface Fill {
  readonly token: Token
  readonly startedAt: Instant
  readonly answer: Promise<Found | undefined>
}

/** The decoded values beside the text take about twice as much again; the rest is the entry itself. */
const BYTES_PER_CHARACTER = 3
const BYTES_PER_ENTRY = 600
/** A load that is older than this may hand out what is no longer so; whoever comes later asks for itself. */
const MAX_SHARED_FILL: Milliseconds = 1000

/** No version reaches it: the answer is not kept at all. */
const NEVER: Version = Infinity

/**
 * A store in front of a store: an LRU in this process that answers only while the store vouches for what it holds. The
 * one place that knows of coherence (see "Many machines" in the README for the bound).
 *
 * An entry is believed if its link vouches for it and is of the same generation, if `isCurrent` agrees where the store
 * has it, and if it is neither past `maxAge` nor past its own end. A load that was under way while its key was written
 * answers its caller and is not kept.
 */
export function cached(store: Store, options: Required<CacheOptions>, diagnostics: Diagnostics): Store {
  const { stats } = diagnostics
  const { maxAge } = options
  const fills = new Map<Key, Fill>()
  const tokens = new Map<Key, Set<Token>>()
  const entries = new LRUCache<Key, Cached>({
    max: options.max,
    maxSize: options.maxBytes,
    sizeCalculation: ({ found }) => BYTES_PER_ENTRY + found.text.length * BYTES_PER_CHARACTER,
  })
  const watching = new Subscription(
    store,
    {
      saved(key, version) {
        heard(key, version)
        const entry = entries.peek(key)
        if (entry && entry.found.version < version) drop(key)
      },
      deleted: forget,
      isOwn: (key, version) =>
        tokens.has(key) || (version !== undefined && entries.peek(key)?.found.version === version),
      deaf() {
        for (const key of tokens.keys()) heard(key, NEVER)
        entries.clear()
        measure()
      },
    },
    options.allowStale,
    stats,
  )

  function drop(key: Key): void {
    if (!entries.delete(key)) return
    diagnostics.report('invalidate')
    measure()
  }

  /** Nothing that was asked before now may be kept. */
  function forget(key: Key): void {
    heard(key, NEVER)
    drop(key)
  }

  function heard(key: Key, version: Version): void {
    for (const token of tokens.get(key) ?? []) if (token.minVersion < version) token.minVersion = version
  }

  function newToken(key: Key): Token {
    const link = watching.linkOf(key)
    return { minVersion: 0, link, generation: link.generation }
  }

  /** Asks the store, while the token hears what happens to the key. */
  function ask<Answer>(
    key: Key,
    token: Token,
    question: () => Awaitable<Answer>,
    answered: (answer: Answer) => Answer,
    failed: () => void = () => {},
  ): Awaitable<Answer> {
    let answer: Awaitable<Answer>
    try {
      answer = question()
    } catch (error) {
      failed()
      throw error
    }
    if (!isPromise(answer)) return answered(answer)
    const listening = tokens.get(key)
    if (listening) listening.add(token)
    else tokens.set(key, new Set([token]))
    return answer.then(
      (value) => {
        release(key, token)
        return answered(value)
      },
      (error: unknown) => {
        release(key, token)
        failed()
        throw error
      },
    )
  }

  function release(key: Key, token: Token): void {
    const listening = tokens.get(key)
    listening?.delete(token)
    if (listening?.size === 0) tokens.delete(key)
  }

  function measure(): void {
    stats.cacheSize = entries.size
    stats.cacheBytes = entries.calculatedSize
  }

  /** Whether it may be kept. */
  function keep(key: Key, found: Found, { minVersion, link, generation }: Token): boolean {
    if (found.version < minVersion || link.generation !== generation) return false
    entries.set(key, { found, readAt: Date.now(), link, generation })
    measure()
    return true
  }

  function hit(key: Key): Found | undefined {
    const entry = entries.get(key)
    if (!entry) return undefined
    const { found, link, generation, readAt } = entry
    const now = Date.now()
    if (link.generation !== generation) {
      drop(key)
      return undefined
    }
    if (!link.vouches()) {
      stats.bypasses++
      return undefined
    }
    // Expired here may have been touched elsewhere; and a clock that was set back must not make an entry immortal.
    if (found.expiresAt <= now || now - readAt > maxAge || now < readAt) return undefined
    if (store.isCurrent && !store.isCurrent(key, found)) {
      drop(key)
      return undefined
    }
    stats.hits++
    return found
  }

  /** An unchanged record keeps what was already made of its text. */
  function filled(key: Key, found: Found | undefined, token: Token): Found | undefined {
    if (!found) drop(key)
    else {
      const known = entries.peek(key)?.found
      if (known?.version === found.version && known.text === found.text) found.parsed = known.parsed
      keep(key, found, token)
    }
    return found
  }

  function fill(key: Key): Awaitable<Found | undefined> {
    const shared = fills.get(key)
    if (shared && isShareable(shared)) return shared.answer
    const token = newToken(key)
    const startedAt = Date.now()
    const answer = ask(
      key,
      token,
      () => store.load(key),
      (found) => filled(key, found, token),
    )
    if (!isPromise(answer)) return answer
    const current: Fill = {
      token,
      startedAt,
      answer: answer.finally(() => fills.get(key) === current && fills.delete(key)),
    }
    fills.set(key, current)
    return current.answer
  }

  /** Whether the answer, which may be older than the question, is one that a hit could have given too. */
  function isShareable({ token, startedAt }: Fill): boolean {
    const { minVersion, link, generation } = token
    if (store.isCurrent || !link.vouches() || link.generation !== generation) return false
    return minVersion === 0 && Date.now() - startedAt < MAX_SHARED_FILL
  }

  return {
    ...store,
    load: (key) => hit(key) ?? fill(key),

    save(key, text, expiresAt, expected) {
      const token = newToken(key)
      return ask(
        key,
        token,
        () => store.save(key, text, expiresAt, expected),
        (result) => {
          if (result.gone) forget(key)
          else {
            const found = result.saved ?? result.conflict
            heard(key, found.version)
            const known = entries.peek(key)?.found
            if (!known || known.version <= found.version) {
              // What is older goes in any case. Replaced in place where that may be, because a delete and a set cost
              // twice as much, and lru-cache empties all its tables when its only entry goes.
              if (!keep(key, found, token) && known && known.version < found.version) drop(key)
            }
          }
          return result
        },
        () => forget(key), // it may be stored or not: only the store knows
      )
    },

    touch: (key, expiresAt) =>
      ask(
        key,
        newToken(key),
        () => store.touch(key, expiresAt),
        (isAlive) => {
          const entry = entries.peek(key)
          if (!isAlive) forget(key)
          else if (entry && entry.found.expiresAt < expiresAt) entry.found = { ...entry.found, expiresAt }
          return isAlive
        },
      ),

    delete(key, expected) {
      forget(key) // before it is sent, so that nobody is served while it travels
      return ask(
        key,
        newToken(key),
        () => store.delete(key, expected),
        (deleted) => {
          forget(key)
          return deleted
        },
        () => forget(key),
      )
    },

    /** Ends the cache, and not the store behind it. */
    async close() {
      entries.clear()
      fills.clear()
      measure()
      await watching.close()
    },
  }
}
