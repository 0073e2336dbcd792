import { tooLateFor } from '../errors.ts'
import { Flash } from './flash.ts'
import type { SessionHost } from './host.ts'
import { Phased } from './phase.ts'
import { Slots } from './slots.ts'
import { keyOf, newToken } from './token.ts'
import { agreed, lastSeenAt, merge, termsLeft, type Changes, type SessionRecord, type Terms } from '../record/record.ts'
import type { Found } from '../store.ts'
import type { Timeouts } from '../record/timeouts.ts'
import type { RegenerateOptions } from './member-options.ts'
import type { Session } from './types.ts'
import type { Instant, Key } from '../units.ts'
import type { Codec } from '../record/codec.ts'

/** A record as the store has it, with what names it. */
export interface Stored {
  /** Absent if the visitor's cookie is not at hand. */
  readonly token?: string | undefined
  readonly key: Key
  readonly found: Found | undefined
}

const NONE: ReadonlyMap<string, never> = new Map<string, never>()

/** One request's view of one session: what was loaded, and what was done to it since. */
export class WorkingCopy extends Phased {
  readonly codec: Codec
  readonly host: SessionHost
  /** The object that handlers touch, once there is one: see `sessionOf`. */
  view: Session | undefined
  /** How often handlers have come to read or to change something. To compare all that they hold costs far more. */
  uses = 0
  #found: Found | undefined
  #record: SessionRecord
  #mustRead = false
  #mustBeStored = false
  #writing: Promise<void> | undefined
  #token: string | undefined
  #key: Key | undefined
  /** Made when first needed, like what follows: most requests read a string or two and change nothing. */
  #slots: Slots | undefined
  #flash: Flash | undefined
  #terms: Partial<Terms> | undefined
  #lastSeen: Instant | undefined

  /** `stored` is absent if the session has no record yet. */
  constructor(record: SessionRecord, codec: Codec, host: SessionHost, stored?: Stored) {
    super()
    this.#record = record
    this.codec = codec
    this.host = host
    this.#found = stored?.found
    this.#token = stored?.token
    this.#key = stored?.key
    if (record.flash.size > 0) this.#flash = this.#newFlash(record.flash)
  }

  /** What the store holds, as far as this request knows; `undefined` for a session that was never saved. */
  get found(): Found | undefined {
    return this.#found
  }

  get record(): SessionRecord {
    return this.#record
  }

  /** Whether the outcome of a write is unknown, so that the next one must read first. */
  get mustRead(): boolean {
    return this.#mustRead
  }

  /** The write under way that carries this request's changes or makes the record. Never rejects. */
  get writing(): Promise<void> | undefined {
    return this.#writing
  }

  /** When the session was used last, if this copy carries it on and is no use of it. */
  get lastSeen(): Instant | undefined {
    return this.#lastSeen
  }

  /** Where a change goes. The first one after a request has ended its session begins a new one, under the same object. */
  forWriting(): WorkingCopy {
    const current: WorkingCopy = this.current
    if (current.phase !== 'destroyed') return current
    const next = current.host.startAnew?.(current)
    if (!next) return current // which says why not
    next.view = current.view
    current.succeededBy(next)
    return next
  }

  /** The next commit makes a record, even if there is no data. */
  demandRecord(): void {
    this.#mustBeStored = true
  }

  /** A marker leads here already. The next commit makes the record, as that of a session that nobody holds. */
  promise(): void {
    this.#record = { ...this.#record, unheld: [] }
  }

  /** Whether there is no record so far, and a marker leads here all the same. */
  get isPromised(): boolean {
    return !this.#found && this.#record.unheld !== undefined
  }

  /** A write has failed and may or may not be stored. */
  outcomeUnknown(): void {
    this.#mustRead = true
  }

  /**
   * Runs a write that carries this request's changes. Its other writes wait: a change that two of them carried would be
   * made twice, and the second time undo what came in between.
   */
  alone<Outcome>(write: () => Promise<Outcome>): Promise<Outcome> {
    const written = write()
    const done = (): void => {
      this.#writing = undefined
    }
    this.#writing = written.then(done, done)
    return written
  }

  /** The secret for the cookie: made when it is first needed. */
  get token(): string {
    return (this.#token ??= newToken())
  }

  get key(): Key {
    return (this.#key ??= keyOf(this.token))
  }

  read(name: string): unknown {
    this.uses++
    if (this.phase === 'destroyed') return undefined
    const slot = this.#slots?.get(name)
    if (slot) return slot.value
    const entry = this.#record.entries.get(name)
    if (!entry) return undefined
    const value = entry.read(this.codec, name)
    if (typeof value === 'object' && value !== null) this.#slotsHere().put(name, value, entry)
    return value
  }

  /** `undefined` deletes, as it does in JSON. */
  write(name: string, value: unknown): void {
    this.assertWritable(name)
    const slot = this.#slots?.get(name)
    if (slot) slot.value = value
    else this.#slotsHere().put(name, value, this.#record.entries.get(name))
  }

  #slotsHere(): Slots {
    return (this.#slots ??= new Slots(this.codec))
  }

  has(name: string): boolean {
    if (this.phase === 'destroyed') return false
    const slot = this.#slots?.get(name)
    return slot ? slot.value !== undefined : this.#record.entries.has(name)
  }

  names(): string[] {
    if (this.phase === 'destroyed') return []
    const { entries } = this.#record
    return [...[...entries.keys()].filter((name) => this.has(name)), ...(this.#slots?.addedTo(entries) ?? [])]
  }

  /** The timeouts are checked already, as are the arguments of `identify` and `flash`: see arguments.ts. */
  remember(timeouts: Partial<Timeouts>): void {
    this.assertWritable('remember')
    this.#terms = { ...this.#terms, persistent: true, ...timeouts }
  }

  identify(identity: Pick<Terms, 'subject' | 'label' | 'also'>): void {
    this.assertWritable('identify')
    const { subject, turn } = this.#record
    this.#terms = agreed(this.#terms ?? {}, { ...identity, turn: subject === identity.subject ? turn : undefined })
  }

  /** Leaves a notice. */
  flash(key: string, value: unknown): void {
    this.assertWritable('flash')
    this.#flash ??= this.#newFlash(NONE)
    this.#flash.leave(key, value)
  }

  /** Takes the notices of this key, oldest first. */
  flashes(key: string): unknown[] {
    this.uses++
    return this.phase === 'destroyed' ? [] : (this.#flash?.read(key, this.#record.flash) ?? [])
  }

  #newFlash(received: SessionRecord['flash']): Flash {
    return new Flash(received, this.codec)
  }

  /**
   * What this request did, or `undefined` if nothing. Compares only names that were set, deleted or read as objects.
   * Throws `ERR_SESSION_VALUE` if a value has no text.
   */
  changes(): Changes | undefined {
    const entries = this.#slots?.changes()
    const flash = this.#flash?.changes()
    if (!entries && !flash && !this.#terms && !this.#mustBeStored) return undefined
    return { entries: entries ?? NONE, ...flash, ...(this.#terms && { terms: this.#terms }) }
  }

  /**
   * The store now holds `record`, these changes included. What was changed since they were taken is still to come. Without
   * `found`, there is no record, because there was nothing to store.
   */
  committed(found: Found | undefined, record: SessionRecord, changes?: Changes): void {
    if (!found) return
    this.#found = found
    this.#record = record
    this.#mustRead = false
    this.#mustBeStored = false
    if (!changes) return
    this.#slots?.committed(changes.entries)
    this.#flash?.committed(changes)
    if (changes.terms) this.#terms = termsLeft(this.#terms, changes.terms)
  }

  /** The session ends later than this request knew. */
  extended(found: Found): void {
    this.#found = found
  }

  /**
   * An update is stored, and this is the copy that its function has worked on. Its objects are this request's own from
   * here on, unless others have changed the same names since, or this request itself. `changed`: what it has changed.
   */
  adopt(draft: WorkingCopy, changed: Changes['entries'] = NONE): void {
    if (draft.#slots) this.#slotsHere().adopt(draft.#slots, changed, this.#record.entries)
  }

  /**
   * Others wrote, and this is what they made of it: taken over, but for what this request has changed itself. `keep`:
   * the names that matter, as for `handOver`.
   */
  catchUp(record: SessionRecord, keep: RegenerateOptions['keep'], found: Found | undefined = this.#found): void {
    this.#found = found
    this.#record = record
    const outdated = this.#slots?.outdatedBy(record.entries) ?? []
    this.#slots?.refresh(Array.isArray(keep) ? outdated.filter((name) => keep.includes(name)) : outdated)
  }

  /** Drops what this request did. `stored`: what is in the store now, if anything is. */
  reset(stored?: { readonly found: Found; readonly record: SessionRecord }): void {
    this.#slots = undefined
    this.#flash = undefined
    this.#terms = undefined
    if (stored) this.committed(stored.found, stored.record)
    if (this.#record.flash.size > 0) this.#flash = this.#newFlash(this.#record.flash)
  }

  /** What is agreed about this session now, for one that carries it on. */
  get terms(): Terms {
    const { createdAt: _createdAt, entries: _entries, flash: _flash, unheld: _unheld, ...terms } = this.#record
    return agreed(terms, this.#terms ?? {})
  }

  /** Hands the data on to the session that carries this one on: all of it, or what has these names. */
  handOver(next: WorkingCopy, keep: RegenerateOptions['keep']): void {
    const names = Array.isArray(keep)
      ? (keep as string[]).filter((name) => this.has(name))
      : keep === true
        ? this.names()
        : []
    for (const name of names) next.write(name, this.read(name))
    if (keep !== true) return
    if (this.host.isPassive && this.#found) next.#lastSeen = lastSeenAt(this.#record, this.#found.expiresAt)
    const { flashSeen } = this.#flash?.changes() ?? {}
    const { createdAt, flash } = merge(this.#record, { entries: NONE, ...(flashSeen && { flashSeen }) })
    next.#record = { ...next.#record, createdAt, flash }
    next.#flash = this.#flash?.handedOver()
  }

  /** Throws unless this member may change something here, or begin to. */
  assertWritable(name: string): void {
    this.uses++
    this.assertOpen(name)
    const code = this.host.sealedBy(this)
    if (code) throw tooLateFor(name, code)
  }
}
