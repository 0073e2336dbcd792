import { digestOf } from './digest.ts'
import type { Entry } from './entry.ts'
import type { SessionRecord } from './record.ts'

/*
 * A session that was made by a sign-in is held once its cookie has come back. Until then its record says for each value
 * that was carried over from the replaced session what it was, as a digest: a second sign-in with the replaced id may
 * carry these on, and nothing that was written since.
 */

/**
 * The record of a session that nobody holds yet. Its entries are those that were carried over from `replaced`. Of an
 * identified session nothing may be carried on by its replaced id: its values are its user's.
 */
export function asUnheld(record: SessionRecord, replaced: SessionRecord): SessionRecord {
  const { subject, unheld: known } = replaced
  const digests = subject === undefined ? Array.from(record.entries, ([name, entry]) => digestOf(name, entry)) : []
  return { ...record, unheld: known ? digests.filter((digest) => known.includes(digest)) : digests }
}

/** The record once its session is held; the very same record if it was. */
export function asHeld(record: SessionRecord): SessionRecord {
  if (!record.unheld) return record
  const { unheld: _unheld, ...held } = record
  return held
}

/** What was carried over into this record and has not been changed since. */
export function carriedOver({ entries, unheld = [] }: SessionRecord): Map<string, Entry> {
  return new Map([...entries].filter(([name, entry]) => unheld.includes(digestOf(name, entry))))
}
