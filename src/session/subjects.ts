import { hash } from 'node:crypto'
import { SessionError } from '../errors.ts'
import { lastSeenAt, type SessionRecord } from '../record/record.ts'
import { lookAt, visitRecords, type Sighting } from '../record/scan.ts'
import type { Store, SubjectIndex } from '../store.ts'
import type { Instant, Key, SubjectName } from '../units.ts'

/** What a user may be told of one of their sessions. */
export interface SessionSummary {
  /** The session's public id, for `revoke`. */
  readonly id: Key
  /** When it began. */
  readonly createdAt: Instant
  /**
   * To within a tenth of the idle timeout. Where the absolute timeout is nearer than the idle timeout, its end less the
   * idle timeout: uses after that cannot extend the session, and so leave no trace.
   */
  readonly lastSeenAt: Instant
  /** When it ends if it is not used again. */
  readonly expiresAt: Instant
  /** What `identify` was given. */
  readonly label: string | undefined
  /** Whether it is the session of the request that asks. */
  readonly isCurrent: boolean
}

/** A session that gets a new id while all are revoked is found by looking again. */
const MAX_ROUNDS = 5

/** The sessions of one subject: noted as they are written, listed, revoked. */
export class Subjects {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Runs the write that makes the session this subject's. Noted before, so that a crash leaves no session that cannot be
   * revoked; and after, because a `list` in between takes back the note of a record that is not there yet.
   */
  async noting<Outcome>(record: SessionRecord, key: Key, write: () => Promise<Outcome>): Promise<Outcome> {
    const { subject, createdAt, absoluteTimeout } = record
    if (subject === undefined) return write()
    const index = this.#index()
    const note = async (): Promise<void> => index.add(nameOf(subject), key, createdAt + absoluteTimeout)
    await note()
    const outcome = await write()
    if (outcome !== undefined) await note()
    return outcome
  }

  /** Takes back the note of a session that has ended. If that fails, the next `list` does it. */
  async forget({ subject }: SessionRecord, key: Key): Promise<void> {
    if (subject === undefined) return
    try {
      await this.#store.subjects?.remove(nameOf(subject), key)
    } catch {}
  }

  /** The live sessions of this subject, the one that was seen last first. */
  async list(subject: string, current: Key | undefined): Promise<SessionSummary[]> {
    const sessions: SessionSummary[] = []
    await this.visit(subject, async ({ key, found, record }) => {
      if (!found || typeof record !== 'object') return
      const { createdAt, label } = record
      const { expiresAt } = found
      const seenAt = lastSeenAt(record, expiresAt)
      sessions.push({ id: key, createdAt, lastSeenAt: seenAt, expiresAt, label, isCurrent: key === current })
    })
    return sessions.sort((one, other) => other.lastSeenAt - one.lastSeenAt)
  }

  /** Ends all of the subject's sessions but the excepted ones; resolves to how many. */
  async revokeAll(subject: string, except: readonly Key[]): Promise<number> {
    let revoked = 0
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let found = 0
      await this.visit(subject, async (sighting) => {
        if (sighting.record === 'unreadable' || except.includes(sighting.key)) return
        found++
        if (await this.end(sighting)) revoked++
      })
      if (found === 0) break
    }
    return revoked
  }

  /** Ends one session, whosever it is; `false`: there was none. */
  async revoke(key: Key): Promise<boolean> {
    return this.end(await lookAt(this.#store, key))
  }

  /** Ends the session that was looked at, and takes back its note; `false`: it had ended meanwhile. */
  async end({ key, record }: Sighting): Promise<boolean> {
    const existed = (await this.#store.delete(key)) === true
    if (typeof record === 'object') await this.forget(record, key)
    return existed
  }

  /**
   * Looks at the subject's records, those that cannot be read included: whether they are the subject's is not known
   * then. Wrong notes are taken back.
   */
  async visit(subject: string, visit: (sighting: Sighting) => Promise<void>): Promise<void> {
    const index = this.#index()
    const name = nameOf(subject)
    await visitRecords(this.#store, index.keys(name), async (sighting) => {
      const { key, record } = sighting
      if (record === 'unreadable' || record?.subject === subject) await visit(sighting)
      else await index.remove(name, key)
    })
  }

  #index(): SubjectIndex {
    if (this.#store.subjects) return this.#store.subjects
    throw new SessionError(
      'ERR_SESSION_OPTION',
      'This session store cannot tell which sessions are a user’s, so identify, list and revokeAll do not work with it. ' +
        'Files, memory and Redis can.',
    )
  }
}

/** Not the subject itself, because it may be an address or a name, and because it becomes the name of a file. */
function nameOf(subject: string): SubjectName {
  return hash('sha256', `subject ${subject}`, 'hex')
}
