import type { Awaitable, Instant, Key, Milliseconds, SubjectName, Version } from './units.ts'

/**
 * The contract between the library and whatever keeps the records: files, Redis, memory, or something of yours.
 *
 * A store keeps one text per key, with a version that only grows and an instant at which the record ends. It knows
 * nothing of cookies, tokens or what the text means. Write the four methods `load`, `save`, `touch` and `delete`, run
 * `storeConformance` from `koa-server-session/conformance` over them, and the library's guarantees hold on your store.
 *
 * Rules that every method keeps:
 * - A record whose `expiresAt` has passed does not exist any more, whether or not it has been removed yet.
 * - Absence is an answer (`undefined`, `false`, `{ gone: true }`), never an error. Throw or reject only if the store
 *   itself has failed. The caller then assumes that a write may or may not have happened, and repeats none but the
 *   save of a marker of the library's own, once, whose `expected` makes that harmless.
 * - If something under the key is not a record of this store, it is neither absent nor yours to replace: throw a
 *   `SessionError` with the code `ERR_SESSION_UNREADABLE`. Only a `delete` without `expected` removes it, because then
 *   its own visitor, or an operator, asks for the end of whatever is there.
 * - A method answers at once or by a promise, as suits the store. An answer at once costs a request the least.
 * - Instants are Unix milliseconds. Durations do not cross this contract, so that only the library computes with time.
 */
export interface Store {
  /**
   * The record under this key; `undefined` if there is none (never was, deleted, or expired).
   *
   * `known` is what the caller holds of this key from an earlier answer, whatever its age. A store that can tell cheaply
   * that the record is still at that version may answer with `known` itself, or with `{ ...known, expiresAt }` if the end
   * has moved, and so need not fetch the text again. The store looks all the same, because no answer may be older than
   * the call. Nothing else follows from `known`; a store may leave it out.
   *
   * The library refuses a record whose text has more than `largest` bytes as `ERR_SESSION_UNREADABLE`. A store that knows
   * the size before it has read the text may throw that itself, and so save the reading. Default: no limit.
   */
  load(key: Key, known?: Found, largest?: number): Awaitable<Found | undefined>

  /**
   * Writes `text` if the record is still the one that the caller knows, in one atomic step.
   *
   * Without `expected`, `save` creates and only creates. With a `Found` (from `load`, or from an earlier `save`), it
   * updates that very version and only updates.
   * - `{ saved }`: written; the record as it now stands, under a higher version.
   * - `{ conflict }`: not written, because the record is at another version; here it is.
   * - `{ gone: true }`: not written, because there is no record to update. It must never be made anew: this is what
   *   keeps a logout final.
   */
  save(key: Key, text: string, expiresAt: Instant, expected: Found | undefined): Awaitable<Saved>

  /**
   * Moves the end of a live record later. An earlier end changes nothing, because its caller has been overtaken. Changes
   * neither text nor version, and never creates. `false`: there is no such record.
   */
  touch(key: Key, expiresAt: Instant): Awaitable<boolean>

  /**
   * Removes the record for good, in one atomic step. With `expected`, only if it is still that very version; its end may
   * have moved. Without `expected`, also what cannot be read.
   */
  delete(key: Key, expected?: Found): Awaitable<Deleted>

  /**
   * Optional. How long this store may take for one operation, and for each step of a list of `subjects`, in milliseconds;
   * the library waits as long. Default 2000. A slower answer counts as a failure.
   */
  readonly deadline?: Milliseconds

  /**
   * Optional. Whether `found` is still the newest state of this key: synchronous, exact and much cheaper than `load`,
   * or not offered. With it, the cache asks before every hit and needs no messages. `now`: when the question is asked, so
   * that a store need not look at the clock. Default: the time of the call.
   */
  isCurrent?(key: Key, found: Found, now?: Instant): boolean

  /**
   * Optional. Begins to tell the listener what other processes write. With it, the cache serves hits without asking,
   * for as long as the link vouches for them.
   */
  watch?(listener: Listener): Watch

  /** Optional. All keys with a live record, in no order. Records made or deleted meanwhile may or may not be there. */
  keys?(): AsyncIterable<Key>

  /** Optional. Removes what has expired, without blocking the event loop for long; resolves to how many. */
  prune?(): Promise<number>

  /** Optional. Which sessions are a subject's (a user's), for `sessions.list` and `sessions.revokeAll`. */
  readonly subjects?: SubjectIndex

  /** Optional. Resolves if the store can be reached. Default: the library loads a key that nothing lies under. */
  ping?(): Promise<void>

  /** Optional. Lets go of connections and timers. No other method is called afterwards. */
  close?(): Promise<void>
}

/** A record as a store returns it. A store may put fields of its own beside these, for `save` and `isCurrent`. */
export interface Found {
  /** What was saved, as it was saved. */
  readonly text: string
  /** Grows with every save of this key. */
  readonly version: Version
  /** When the record ends, unless it is touched or saved before. */
  readonly expiresAt: Instant
  /** Room for the library to keep what it made of `text`. A store neither reads nor writes it. */
  parsed?: unknown
}

/** What became of a `save`. */
export type Saved =
  | { readonly saved: Found; readonly conflict?: never; readonly gone?: never }
  | { readonly conflict: Found; readonly saved?: never; readonly gone?: never }
  | { readonly gone: true; readonly saved?: never; readonly conflict?: never }

/**
 * What became of a `delete`. `true`: this call has removed it. `false`: there was none. A `Found`: not removed, because
 * the record is at another version than the expected one; here it is.
 */
export type Deleted = boolean | Found

/**
 * Which keys belong to a subject. The index holds notes: the library looks at each record before it believes one.
 *
 * The library notes a key before and after the save that makes the record the subject's, and again now and then while the
 * session is used. It takes a note back only if it has ended the session itself, or has given it to another subject. All
 * other notes are the store's to clear away once nothing lies under their keys any more. Rules for that:
 * - A note stays while its key holds a record, whatever its `until` says and whatever any clock says. The store looks
 *   for the record itself, in the same step in which it removes the note. If the two cannot be one step, it removes the
 *   note only if nobody has added it again since the look began.
 * - A note stays for at least an hour after it was last added, because its record may be on the way.
 * - Nothing else removes a note: no expiry of its own, no eviction before its record.
 */
export interface SubjectIndex {
  /**
   * Notes this key. Again is harmless and renews the note. `until`: the instant at which its record can no longer live,
   * as far as is known now; a hint for when to look for what can be cleared away.
   */
  add(subject: SubjectName, key: Key, until: Instant): Awaitable<void>
  /** Takes the note back. Harmless if there is none. */
  remove(subject: SubjectName, key: Key): Awaitable<void>
  /**
   * The keys that are noted, in no order; some may have no record any more. A key that is noted from the beginning of
   * the listing to its end is among them.
   */
  keys(subject: SubjectName): AsyncIterable<Key>
}

/** What a store tells of writes, those of its own process included. Its methods are synchronous, cheap and never throw. */
export interface Listener {
  /** This key was saved as this version. */
  saved(key: Key, version: Version): void
  /** This key was deleted. */
  deleted(key: Key): void
}

/** A running subscription. */
export interface Watch {
  /**
   * The link over which changes of this key are heard at present. A store with one server always gives the same object.
   * With several servers a key may come under another link; the one that it leaves then begins a new generation.
   */
  linkOf(key: Key): Link
  /** Ends the subscription. */
  close(): Promise<void>
}

/** One ordered stream of messages from one server. */
export interface Link {
  /** Grows whenever a message may have been missed. What was read under another generation cannot be trusted. */
  readonly generation: number
  /**
   * Whether everything that was written longer ago than the coherence bound has certainly been heard of. `now`: what
   * `Date.now()` says, given by a caller who has just asked for it.
   */
  vouches(now?: Instant): boolean
  /**
   * Optional. The coherence bound. Default: it is not known, and the option `cache.audit` leaves out what this link
   * vouches for.
   */
  readonly bound?: Milliseconds | undefined
}
