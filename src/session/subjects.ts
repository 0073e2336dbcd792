import { SessionError, isSessionError } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import { isFresh, isMarker, markerOf } from '../record/marker.ts'
import type { Turn } from '../record/turn.ts'
import { lastSeenAt, type SessionRecord } from '../record/record.ts'
import { lookAt, visitKeys, visitRecords, type Sighting } from '../record/scan.ts'
import { isOf, type Whose } from '../record/whose.ts'
import type { Found, Store } from '../store.ts'
import type { Instant, Key } from '../units.ts'
import { SubjectNotes } from './subject-notes.ts'
import { Successors } from './successors.ts'

/** What a user may be told of one of their sessions. */
export interface SessionSummary {
  /** The session's public id, for `revoke`. */
  readonly id: Key
  /** When the session began, in Unix milliseconds. */
  readonly createdAt: Instant
  /**
   * When the session was used last, to within a tenth of the idle timeout. If the absolute timeout is nearer than the
   * idle timeout: its end less the idle timeout, because later uses cannot extend the session and leave no trace.
   */
  readonly lastSeenAt: Instant
  /** When the session ends if it is not used again. */
  readonly expiresAt: Instant
  /** Whose session it is, as `identify` was told. */
  readonly subject: string
  /** The label that `identify` was given. */
  readonly label: string | undefined
  /** The other names that `identify` was given; an empty object if there are none. */
  readonly also: Readonly<Record<string, string>>
  /** Whether it is the session of the request that asks. */
  readonly isCurrent: boolean
}

/** What came of `revokeAll`. */
export interface Revocation {
  /** How many sessions it ended. */
  readonly revoked: number
  /** Why some of what is noted for the subject could not be judged: whether it is theirs is not known. */
  readonly failures: readonly unknown[]
}

/** A session that moves on in each of so many rounds is moved on by somebody who does nothing else. */
const MAX_ROUNDS = 100
/** So often a session is ended only as it was last seen; then whatever is there by now. */
const MAX_TRIES = 5

const NONE: ReadonlySet<Key> = new Set()

/** One sign-in that lives. */
export interface Life {
  readonly turn: Turn
  readonly record: SessionRecord
  /** Under which its record was met: two if it is moving to a new id at this moment. */
  readonly keys: readonly Key[]
}

/** What is meant by a look at a record, and what is done with it. */
interface Aim {
  readonly isMeant: (record: SessionRecord) => boolean
  /** Ids whose sessions stay. */
  readonly excepted: ReadonlySet<Key>
  /** What the visitor is told; `undefined`: nothing. */
  readonly because: string | undefined
  /** Whether the marker of a session that stays leads nowhere from then on. */
  readonly closes: boolean
}

/** The sessions of one subject, or of one other name: listed, revoked. A text is a subject. */
export class Subjects {
  readonly notes: SubjectNotes
  readonly #front: Store
  readonly #source: Store
  readonly #successors: Successors

  /** `source`: past the cache, for what has to be known; `front`: what must hear of each end. */
  constructor(front: Store, source: Store) {
    this.#front = front
    this.#source = source
    this.#successors = new Successors(front, source)
    this.notes = new SubjectNotes(source)
  }

  /** The live sessions of this subject, the one that was seen last first. */
  async list(whose: string | Whose, current: Key | undefined): Promise<SessionSummary[]> {
    const sessions: SessionSummary[] = []
    await this.visit(whose, async ({ key, found, record }) => {
      if (!found || typeof record !== 'object') return
      const { createdAt, subject = '', label, also = {} } = record
      const { expiresAt } = found
      const seenAt = lastSeenAt(record, expiresAt)
      const isCurrent = key === current
      sessions.push({ id: key, createdAt, lastSeenAt: seenAt, expiresAt, subject, label, also, isCurrent })
    })
    return sessions.sort((one, other) => other.lastSeenAt - one.lastSeenAt)
  }

  /**
   * Looks at the subject's records, and at those noted for the subject that cannot be read: whose they are is not known
   * then.
   */
  async visit(whose: string | Whose, visit: (sighting: Sighting) => Promise<void>): Promise<void> {
    const names = asWhose(whose)
    await visitRecords(this.#source, this.notes.keys(names), async (sighting) => {
      const { record } = sighting
      if (record === 'unreadable' || (record && isOf(record, names))) await visit(sighting)
    })
  }

  /** Ends one session; `false`: there was none, or none of this subject's. */
  async revoke(key: Key, subject?: string, because?: string): Promise<boolean> {
    if (subject === undefined) return this.end(await lookAt(this.#source, key), because)
    const whose = { subject }
    for await (const noted of this.notes.keys(whose)) {
      if (noted === key) return (await this.#endIf(key, aimAt(whose, NONE, because))) === 'ended'
    }
    return false
  }

  /**
   * Ends the session that was looked at, whosever it is; `false`: it had ended meanwhile, or has another id by now, and
   * nobody can follow it any more.
   */
  async end({ key, found, record }: Sighting, because?: string): Promise<boolean> {
    let seen = found
    // An end that says why is one of a version; whoever writes all the time is ended without a word.
    for (let tries = 1; because !== undefined && seen && typeof record === 'object' && tries < MAX_TRIES; tries++) {
      if (isMarker(seen)) break
      const left = await this.#successors.leaveReason(key, seen, because)
      if (left === true) await this.notes.takeBack(key, record)
      if (typeof left === 'boolean') return left
      seen = left
    }
    if (seen && isMarker(seen)) {
      await this.#successors.close(key, seen)
      return false
    }
    const existed = (await this.#front.delete(key)) === true
    if (typeof record === 'object') await this.notes.takeBack(key, record)
    return existed
  }

  /** Ends this sign-in, wherever it has moved, unless the session has become another one's meanwhile. */
  async endLife({ keys, record: { turn, createdAt } }: Life, whose: Whose, because: string): Promise<void> {
    // Both stay the same for as long as the sign-in lasts.
    const isMeant = (record: SessionRecord): boolean =>
      isOf(record, whose) && record.turn === turn && record.createdAt === createdAt
    for (const key of keys) await this.#endIf(key, { isMeant, excepted: NONE, because, closes: false })
  }

  /**
   * Ends all of the subject's sessions but the excepted ones. A session that moves on to another id meanwhile is noted
   * under that one before it leaves its old one. So it is over when a whole round has met no live session, and no key
   * whose session had just gone or moved. One that has moved is followed, and ended where it is. If it is left alone
   * there, because it is excepted, its marker leads nowhere from then on, so that no request under way can carry on the
   * old one. What cannot be judged does not hold up the rest.
   */
  async revokeAll(whose: string | Whose, except: readonly Key[], because?: string): Promise<Revocation> {
    const names = asWhose(whose)
    const excepted = new Set(except)
    const aim = aimAt(names, excepted, because)
    const knownAsGone = new Set<Key>()
    let revoked = 0
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let isOver = true
      const failures: unknown[] = []
      const judge = async (key: Key): Promise<void> => {
        const outcome = await this.#endIf(key, aim)
        if (outcome === 'other') return
        // By this node's clock it may only have expired. The store has the last word, and the note says whose it is.
        if (outcome === 'ended' || (outcome === 'gone' && (await this.#front.delete(key)) === true)) revoked++
        isOver = false
        knownAsGone.add(key)
      }
      await visitKeys(this.notes.keys(names), async (key) => {
        // No key comes back, so what is known as gone costs no further look, and each round is as long as what is new.
        if (excepted.has(key) || knownAsGone.has(key)) return
        try {
          await judge(key)
        } catch (error) {
          failures.push(error)
        }
      })
      if (isOver) return { revoked, failures }
    }
    throw new SessionError(
      'ERR_SESSION_BUSY',
      `sessions.revokeAll: ended ${revoked} sessions, and found more each time it looked again. Somebody keeps signing in or ` +
        'renewing ids: stop that first, then try again.',
    )
  }

  /**
   * Ends the session of this key if it is meant, as it was last seen; or the one that it has become since. `moved`:
   * it had become one that stays, or that had ended. Throws `ERR_SESSION_UNREADABLE`.
   */
  async #endIf(key: Key, { isMeant, excepted, because, closes }: Aim): Promise<'ended' | 'gone' | 'moved' | 'other'> {
    let at = key
    let found: Found | undefined = await this.#source.load(key)
    const first = found
    const close = async (): Promise<'moved' | 'other'> =>
      closes && first && isMarker(first) && (await this.#successors.close(key, first)) ? 'moved' : 'other'
    for (let tries = 1; found; tries++) {
      const marker = markerOf(found)
      if (marker) {
        const next = isFresh(marker) ? marker.successor : undefined
        if (next === undefined || excepted.has(next)) return close()
        // Somebody may move it on all the time: whoever follows at once is faster than a round for each move.
        at = next
        found = await this.#source.load(at)
        // It has ended, or is still to be made: nobody is to carry the old one on in its place.
        if (!found) await close()
        tries = 0
        continue
      }
      const record: SessionRecord = recordOf(found)
      if (!isMeant(record)) return close()
      const deleted =
        because !== undefined && tries < MAX_TRIES
          ? await this.#successors.leaveReason(at, found, because)
          : await this.#front.delete(at, tries < MAX_TRIES ? found : undefined)
      if (deleted === true) {
        await this.notes.takeBack(at, record)
        return 'ended'
      }
      found = deleted === false ? undefined : deleted
    }
    return at === key ? 'gone' : 'moved'
  }
}

function aimAt(whose: Whose, excepted: ReadonlySet<Key>, because: string | undefined): Aim {
  return { isMeant: (record) => isOf(record, whose), excepted, because, closes: true }
}

function asWhose(whose: string | Whose): Whose {
  return typeof whose === 'string' ? { subject: whose } : whose
}

/** How many sessions were ended; throws if some could not be judged. */
export function revokedOf({ revoked, failures }: Revocation): number {
  if (failures.length === 0) return revoked
  const failure = failures.find((error) => !isSessionError(error, 'ERR_SESSION_UNREADABLE'))
  if (failure !== undefined) throw failure
  const those = failures.length === 1 ? 'One session that is' : `${failures.length} sessions that are`
  throw new SessionError(
    'ERR_SESSION_UNREADABLE',
    `sessions.revokeAll: ${those} noted for this user cannot be read, and may live on; ${revoked} others were ended. ` +
      'If records are encrypted, pass the keys that encrypted them. Else end them by their ids, which the command ' +
      '`koa-server-session list --subject … --cookie …` shows.',
    { cause: failures[0] },
  )
}
