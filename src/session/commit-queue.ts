import type { Diagnostics } from '../diagnostics.ts'
import { SessionError } from '../errors.ts'
import { endOf, lastEndOf, lastSeenAt, type SessionRecord } from '../record/record.ts'
import { format, recordOf } from '../record/format.ts'
import { endedBecauseIn, isMarker } from '../record/marker.ts'
import { isFull, newerHalf } from '../record/notices.ts'
import { asHeld } from '../record/unheld.ts'
import type { Found, Saved, Store } from '../store.ts'
import { isLonger, type Awaitable, type Instant, type Key } from '../units.ts'
import { LostRaces } from './lost-races.ts'
import type { SubjectNotes } from './subject-notes.ts'

const NOTICES_DROPPED =
  'A session has a hundred notices of one key, or no room for all of its notices, so the oldest are dropped. Ask for each key ' +
  'that you leave: session.flash(key) takes its notices, and so does session.flashes(key).'

/** One request's wish to change one record. */
export interface Write {
  /** The record as the request knows it; `undefined` if it has not been saved yet. */
  readonly found: Found | undefined
  /** Whether `found` may be wrong, because the outcome of an earlier write is unknown. */
  readonly mustRead: boolean
  /** The record to begin with if there is none yet; `undefined` if there must be one. */
  readonly initial: SessionRecord | undefined
  /**
   * Whether `apply` must have seen the newest record even if it changes nothing, so that no save would tell. If there is no
   * record and it changes nothing, none is made.
   */
  readonly isExact?: boolean
  /**
   * Whether the write is no use of the session, and so leaves its idle timeout as it is. Then `mustRead` is set, unless
   * nobody can have extended the session so far.
   */
  readonly isPassive?: boolean
  /** Of a passive write that carries a session on under a new key: when the session was used last. */
  readonly lastSeen?: Instant | undefined
  /** The record with the change on it. Pure, because it runs again on a newer record if a race was lost. May throw. */
  apply(record: SessionRecord): SessionRecord
}

/** How a write ended: with the record as it now stands, or not at all, because the session was ended or has moved on. */
export type Committed = Stored | 'gone' | 'replaced'

/** `found` is absent if there was no record, and none was needed. */
interface Stored {
  readonly found: Found | undefined
  readonly record: SessionRecord
}

interface PendingWrite {
  readonly write: Write
  readonly resolve: (outcome: Committed) => void
  readonly reject: (error: unknown) => void
}

/** What a group of writes makes of a record, and which of them are in it. */
interface Applied {
  readonly record: SessionRecord
  /** Absent if nothing was changed. */
  readonly text?: string
  readonly members: PendingWrite[]
}

/**
 * Group commit. For each key, one save is under way in this process. The writes that arrive meanwhile become the next
 * save, applied in the order of their arrival. So a burst of writers costs a round trip or two, and only processes race.
 */
export class CommitQueue {
  readonly #store: Store
  readonly #source: Pick<Store, 'load'>
  readonly #notes: SubjectNotes
  readonly #maxRecordBytes: number
  readonly #diagnostics: Diagnostics
  readonly #queues = new Map<Key, PendingWrite[]>()

  /**
   * `source`: where the newest state is read, past all caches, because a hit may be a little old. `notes`: whose session
   * each is.
   */
  constructor(
    store: Store,
    source: Pick<Store, 'load'>,
    notes: SubjectNotes,
    maxRecordBytes: number,
    diagnostics: Diagnostics,
  ) {
    this.#store = store
    this.#source = source
    this.#notes = notes
    this.#maxRecordBytes = maxRecordBytes
    this.#diagnostics = diagnostics
  }

  /** Rejects with what `apply` threw, `ERR_SESSION_TOO_LARGE`, `ERR_SESSION_BUSY` or what the store's failure became. */
  commit(key: Key, write: Write): Promise<Committed> {
    return new Promise((resolve, reject) => {
      const pending: PendingWrite = { write, resolve, reject }
      const queue = this.#queues.get(key)
      if (queue) {
        this.#diagnostics.stats.merges++
        this.#diagnostics.report('merge')
        queue.push(pending)
      } else {
        this.#queues.set(key, [])
        void this.#drain(key, [pending])
      }
    })
  }

  async #drain(key: Key, first: PendingWrite[]): Promise<void> {
    let group = first
    let newest: Found | undefined
    while (group.length > 0) {
      try {
        newest = await this.#commitGroup(key, group, newest)
      } catch (error) {
        for (const { reject } of group) reject(error)
        newest = undefined
      }
      group = this.#queues.get(key) ?? []
      this.#queues.set(key, [])
    }
    this.#queues.delete(key)
  }

  /** Settles every write of the group, or throws what fails all of them. */
  async #commitGroup(key: Key, group: PendingWrite[], known: Found | undefined): Promise<Found | undefined> {
    let base = newestOf(known, group)
    let isNewest = false
    if (group.some(({ write }) => write.mustRead)) {
      base = await this.#source.load(key)
      isNewest = true
    }
    let members = group
    let lost: LostRaces | undefined
    for (;;) {
      if (base && isMarker(base)) return refuse(members, endedBecauseIn(base) === undefined ? 'replaced' : 'gone')
      const before = base ? recordOf(base) : members.find(({ write }) => write.initial)?.write.initial
      // A store may keep a record for longer than the session may live.
      if (!before || lastEndOf(before) <= Date.now()) return refuse(members, 'gone')
      const applied = this.#apply(before, members)
      members = applied.members
      if (members.length === 0) return base
      if (base && applied.record === before) {
        if (!isNewest && members.some(({ write }) => write.isExact)) {
          base = await this.#source.load(key)
          isNewest = true
          continue
        }
        for (const { resolve } of members) resolve({ found: base, record: before })
        return base
      }
      if (!base && applied.record === before && members.every(({ write }) => write.isExact)) {
        for (const { resolve } of members) resolve({ found: undefined, record: before })
        return undefined
      }
      const result: Saved = await this.#save(key, applied, base, lastUse(members, before, base))
      if (result.saved) {
        result.saved.parsed = applied.record
        for (const { resolve } of members) resolve({ found: result.saved, record: applied.record })
        return result.saved
      }
      if (result.gone) return refuse(members, 'gone')
      this.#diagnostics.stats.conflicts++
      this.#diagnostics.report('conflict')
      lost ??= new LostRaces()
      if (lost.add()) {
        throw new SessionError(
          'ERR_SESSION_BUSY',
          'Too many writers of one session at once; the change was not stored. Try again.',
        )
      }
      base = result.conflict
      isNewest = true
    }
  }

  #save(
    key: Key,
    { record, text = format(record) }: Applied,
    base: Found | undefined,
    usedAt: Instant,
  ): Awaitable<Saved> {
    const save = (): Awaitable<Saved> => this.#store.save(key, text, endOf(record, usedAt), base)
    return this.#notes.saving(key, record, base, save)
  }

  /** Applies all writes, one after the other. One that fails takes no other with it. */
  #apply(before: SessionRecord, group: PendingWrite[]): Applied {
    const members: PendingWrite[] = []
    let record = before
    for (const member of group) {
      try {
        record = member.write.apply(record)
        members.push(member)
      } catch (error) {
        member.reject(error)
      }
    }
    // Nothing is stored, so the size of the record does not matter.
    if (record === before) return { record, members }
    const applied = this.#fit(record, members)
    if (applied) return applied
    if (group.length > 1) return this.#applySingly(before, members)
    for (const { reject } of members) reject(this.#tooLarge())
    return { record: before, members: [] }
  }

  /**
   * The record as it is stored; `undefined` if it is too large. Notices that nobody has asked for give way, the oldest
   * first, so that no change of the data is refused because of them.
   */
  #fit(whole: SessionRecord, members: PendingWrite[]): Applied | undefined {
    let record = whole
    for (;;) {
      const text = format(record)
      if (!this.#isTooLarge(text, record)) {
        if (record !== whole || isFull(record.flash)) this.#diagnostics.warn('SESSION_NOTICES_DROPPED', NOTICES_DROPPED)
        return { record, text, members }
      }
      const flash = newerHalf(record.flash)
      if (!flash) return undefined
      record = { ...record, flash }
    }
  }

  /** What the library notes of a session that nobody holds yet does not count: the application cannot keep less of it. */
  #isTooLarge(text: string, record: SessionRecord): boolean {
    if (!isLonger(text, this.#maxRecordBytes)) return false
    return !record.unheld || isLonger(format(asHeld(record)), this.#maxRecordBytes)
  }

  /** Finds out which writes made the record too large: each is tried on the record that the accepted ones have made. */
  #applySingly(before: SessionRecord, group: PendingWrite[]): Applied {
    let accepted: Applied = { record: before, members: [] }
    const members: PendingWrite[] = []
    for (const member of group) {
      const tried = this.#apply(accepted.record, [member])
      if (tried.members.length === 0) continue
      accepted = tried
      members.push(member)
    }
    return { ...accepted, members }
  }

  #tooLarge(): SessionError {
    return new SessionError(
      'ERR_SESSION_TOO_LARGE',
      `The session would exceed ${this.#maxRecordBytes} bytes; nothing was stored. Keep less in it, or raise \`maxRecordBytes\`.`,
    )
  }
}

/** When the session was used last, if these writes go into this record. */
function lastUse(members: PendingWrite[], before: SessionRecord, base: Found | undefined): Instant {
  const passive = members.every(({ write }) => write.isPassive)
  const known = base ? lastSeenAt(before, base.expiresAt) : members[0]?.write.lastSeen
  return (passive ? known : undefined) ?? Date.now()
}

/** The next group begins with what is in the store then. */
function refuse(members: PendingWrite[], outcome: 'gone' | 'replaced'): undefined {
  for (const { resolve } of members) resolve(outcome)
}

function newestOf(known: Found | undefined, group: PendingWrite[]): Found | undefined {
  let newest = known
  for (const { write } of group)
    if (write.found && (!newest || write.found.version > newest.version)) newest = write.found
  return newest
}
