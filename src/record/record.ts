import { LONGEST_COOKIE } from './timeouts.ts'
import type { Instant, Milliseconds } from '../units.ts'
import type { Entry } from './entry.ts'
import { mergeNotices, type NoticeChanges, type Notices } from './notices.ts'
import type { Turn } from './turn.ts'
import type { Proofs } from './proofs.ts'
import { areSame, type Whose } from './whose.ts'

/** What is stored of one session. Immutable; its version and its end are the store's to keep. */
export interface SessionRecord extends Terms {
  readonly createdAt: Instant
  readonly entries: ReadonlyMap<string, Entry>
  /** What `flash` left for the request that asks for it. */
  readonly flash: Notices
  /** Absent once the cookie of this session has come back. Until then: see `unheld.ts`. */
  readonly unheld?: readonly string[] | undefined
}

/** What was agreed about one session, apart from its data. */
export interface Terms {
  readonly idleTimeout: Milliseconds
  readonly absoluteTimeout: Milliseconds
  /** Whether the cookie outlives the browser. */
  readonly persistent: boolean
  /** Whose session it is, and what its user may know it by: see `identify`. */
  readonly subject?: string | undefined
  readonly label?: string | undefined
  /** By which other names the session can be found; never empty. */
  readonly also?: Whose | undefined
  /** Its place among the sign-ins of its user; absent unless it was identified with a limit. */
  readonly turn?: Turn | undefined
  /** What its visitor has proved, as the subject above: see `prove`. Only a regenerate adds to it. */
  readonly proofs?: Proofs | undefined
}

/** What one request did to a record. */
export interface Changes extends NoticeChanges {
  /** By name: the new entry, or `undefined` where the name was deleted. */
  readonly entries: ReadonlyMap<string, Entry | undefined>
  readonly terms?: Partial<Terms>
}

// Records are immutable, so all empty ones share it: a Map of one's own costs each visitor without a session 0.2 µs.
const NOTHING: ReadonlyMap<string, never> = new Map<string, never>()

/** A record with nothing in it yet. */
export function newRecord(
  createdAt: Instant,
  { idleTimeout, absoluteTimeout, persistent, subject, label, also, turn, proofs }: Terms,
): SessionRecord {
  const record = { idleTimeout, absoluteTimeout, persistent, createdAt, entries: NOTHING, flash: NOTHING }
  if (subject === undefined && !proofs) return record
  return { ...record, ...(subject !== undefined && { subject, label, also, turn }), ...(proofs && { proofs }) }
}

/**
 * The terms with a change on top. What a visitor has proved as one user says nothing about another. What was proved before
 * the session was anybody's counts for its first user, because a sign-in proves before it names.
 */
export function agreed<Agreed extends Partial<Terms>>(terms: Agreed, change: Partial<Terms>): Agreed & Partial<Terms> {
  const isAnothers = terms.subject !== undefined && change.subject !== undefined && terms.subject !== change.subject
  return isAnothers ? { ...terms, ...change, proofs: undefined } : { ...terms, ...change }
}

/** How long the session may rest. A visitor who does not come for longer has lost even a persistent cookie. */
export function longestPauseOf({ idleTimeout, persistent }: SessionRecord): Milliseconds {
  return persistent ? Math.min(idleTimeout, LONGEST_COOKIE) : idleTimeout
}

/** When the record ends, if its session was used just now. */
export function endOf(record: SessionRecord, now: Instant): Instant {
  return Math.min(Math.floor(now + longestPauseOf(record)), lastEndOf(record))
}

/** When the record ends, however often its session is used. */
export function lastEndOf({ createdAt, absoluteTimeout }: SessionRecord): Instant {
  // Whole milliseconds, because stores and cookies take nothing else.
  return Math.floor(createdAt + absoluteTimeout)
}

/** A session is extended once this part of its idle timeout has passed, and not at every request. */
export const TOUCH_AFTER: number = 1 / 10

/** From when on an extension is worth a touch; `Infinity` if none can bring a later end. */
export function extensionDueAt(record: SessionRecord, expiresAt: Instant): Instant {
  const pause = longestPauseOf(record)
  return expiresAt < lastEndOf(record) ? expiresAt - pause + pause * TOUCH_AFTER : Infinity
}

/** The end of a session that is used now, if an extension is due. */
export function extendedEnd(record: SessionRecord, expiresAt: Instant, now: Instant): Instant | undefined {
  return now < extensionDueAt(record, expiresAt) ? undefined : endOf(record, now)
}

/** When a session that ends then was used last, to within a tenth of its idle timeout. */
export function lastSeenAt(record: SessionRecord, expiresAt: Instant): Instant {
  return Math.max(record.createdAt, expiresAt - longestPauseOf(record))
}

/** The record with the changes on top; the very same record if they change nothing. */
export function merge(record: SessionRecord, changes: Changes): SessionRecord {
  const entries = mergeEntries(record.entries, changes.entries)
  const flash = mergeNotices(record.flash, changes)
  const terms = changes.terms
  const isSame = entries === record.entries && flash === record.flash && !(terms && differs(record, terms))
  return isSame ? record : { ...(terms ? agreed(record, terms) : record), entries, flash }
}

function mergeEntries(entries: SessionRecord['entries'], changes: Changes['entries']): SessionRecord['entries'] {
  let merged: Map<string, Entry> | undefined
  for (const [name, entry] of changes) {
    if (entries.get(name)?.text === entry?.text) continue
    merged ??= new Map(entries)
    if (entry) merged.set(name, entry)
    else merged.delete(name)
  }
  return merged ?? entries
}

function differs(record: Terms, terms: Partial<Terms>): boolean {
  return (Object.keys(terms) as (keyof Terms)[]).some((name) =>
    name === 'also' ? !areSame(record.also, terms.also) : record[name] !== terms[name],
  )
}

/** What is left of the terms when the others have been stored; `undefined` if nothing. */
export function termsLeft(terms: Partial<Terms> | undefined, stored: Partial<Terms>): Partial<Terms> | undefined {
  const left = Object.entries(terms ?? {}).filter(
    ([name, value]) => !(name in stored) || stored[name as keyof Terms] !== value,
  )
  return left.length > 0 ? (Object.fromEntries(left) as Partial<Terms>) : undefined
}
