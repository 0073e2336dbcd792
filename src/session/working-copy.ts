import type { EndSignal } from '../layers/ends/end-signal.ts'
import { SessionError, type SessionErrorCode } from '../errors.ts'
import { keyOf, newToken } from './token.ts'
import { merge, type Changes, type SessionRecord, type Terms } from '../record/record.ts'
import type { Found } from '../store.ts'
import { MAX_TIMEOUT, isTimeout } from '../timeouts.ts'
import type { RegenerateOptions, RememberOptions, Session } from './types.ts'
import type { Key } from '../units.ts'
import { Entry } from '../record/entry.ts'
import type { Codec } from '../record/codec.ts'

/** What a session asks of whoever opened it. The session itself does no I/O and knows no HTTP. */
export interface SessionHost {
  /** The middleware whose session it is, for its `get()`. */
  readonly owner?: object
  /** Whether a commit leaves flash values that nobody has read here, for whoever does. Default: it drops them all. */
  readonly keepsUnreadFlash?: boolean
  save(copy: WorkingCopy): Promise<void>
  reload(copy: WorkingCopy): Promise<void>
  update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result>
  regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void>
  destroy(copy: WorkingCopy): Promise<void>
  signalOf(copy: WorkingCopy): AbortSignal
  /** Why nothing can be changed any more, or `undefined` while it can. */
  sealedBy(
    copy: WorkingCopy,
  ): Extract<SessionErrorCode, 'ERR_SESSION_COMMITTED' | 'ERR_SESSION_HEADERS_SENT'> | undefined
}

/** `open`: in use. `replaced`: regenerated, and kept for reading. `destroyed`: reads as empty. */
type Phase = 'open' | 'replaced' | 'destroyed'

const NONE: Changes['entries'] = new Map()

/** What this request has of one name: its private value, and the entry that this value is compared with. */
interface Slot {
  value: unknown
  base: Entry | undefined
}

/** One request's view of one session: what was loaded, and what was done to it since. */
export class WorkingCopy {
  /** What the store holds, as far as this request knows; `undefined` for a session that was never saved. */
  found: Found | undefined
  record: SessionRecord
  phase: Phase = 'open'
  /** Whether the outcome of a write is unknown, so that the next one must read first. */
  mustRead = false
  /** The write under way that carries this request's changes or makes the record. Never rejects. */
  writing: Promise<void> | undefined
  /** Whether a record is made even if there is no data. */
  mustCreate = false
  readonly codec: Codec
  readonly host: SessionHost
  /** Its signal, once somebody has asked for it. */
  endSignal: EndSignal | undefined
  /** The object that handlers touch, once there is one: see `sessionOf`. */
  view: Session | undefined
  #token: string | undefined
  #key: Key | undefined
  /** Made when first needed, like the flash values: most requests read a string or two and change nothing. */
  #slots: Map<string, Slot> | undefined
  /** What this request leaves for the next one. */
  #flash: Map<string, unknown> | undefined
  /** What an earlier request left for this one: shown to its end, whatever is committed meanwhile. */
  #received: SessionRecord['flash']
  /** The same, until a commit has dropped it from the record. */
  #undropped: SessionRecord['flash'] | undefined
  #terms: Partial<Terms> | undefined

  constructor(
    record: SessionRecord,
    codec: Codec,
    host: SessionHost,
    stored?: { readonly token?: string | undefined; readonly key: Key; readonly found: Found | undefined },
  ) {
    this.record = record
    this.codec = codec
    this.host = host
    this.found = stored?.found
    this.#token = stored?.token
    this.#key = stored?.key
    this.#received = record.flash
    this.#undropped = host.keepsUnreadFlash ? undefined : record.flash
  }

  /** The secret for the cookie: made when it is first needed. */
  get token(): string {
    return (this.#token ??= newToken())
  }

  get key(): Key {
    return (this.#key ??= keyOf(this.token))
  }

  read(name: string): unknown {
    if (this.phase === 'destroyed') return undefined
    const slot = this.#slots?.get(name)
    if (slot) return slot.value
    const entry = this.record.entries.get(name)
    if (!entry) return undefined
    const value = entry.read(this.codec)
    if (typeof value === 'object' && value !== null) this.#remember(name, { value, base: entry })
    return value
  }

  /** `undefined` deletes, as it does in JSON. */
  write(name: string, value: unknown): void {
    this.#assertOpen(name)
    const slot = this.#slots?.get(name)
    if (slot) slot.value = value
    else this.#remember(name, { value, base: this.record.entries.get(name) })
  }

  #remember(name: string, slot: Slot): void {
    this.#slots ??= new Map()
    this.#slots.set(name, slot)
  }

  has(name: string): boolean {
    if (this.phase === 'destroyed') return false
    const slot = this.#slots?.get(name)
    return slot ? slot.value !== undefined : this.record.entries.has(name)
  }

  names(): string[] {
    if (this.phase === 'destroyed') return []
    const names = [...this.record.entries.keys()].filter((name) => this.has(name))
    for (const [name, slot] of this.#slots ?? []) {
      if (slot.value !== undefined && !this.record.entries.has(name)) names.push(name)
    }
    return names
  }

  remember({ idleTimeout, absoluteTimeout }: RememberOptions): void {
    this.#assertOpen('remember')
    for (const [name, length] of Object.entries({ idleTimeout, absoluteTimeout })) {
      if (length === undefined || isTimeout(length)) continue
      throw new SessionError(
        'ERR_SESSION_OPTION',
        `session.remember: ${name} must be a number of milliseconds above 0, and at most ${MAX_TIMEOUT} (a hundred years).`,
      )
    }
    this.#terms = {
      ...this.#terms,
      persistent: true,
      ...(idleTimeout !== undefined && { idleTimeout }),
      ...(absoluteTimeout !== undefined && { absoluteTimeout }),
    }
  }

  identify(subject: string, label?: string): void {
    this.#assertOpen('identify')
    for (const [name, text] of Object.entries({ subject, label: label ?? 'none' })) {
      if (typeof text === 'string' && text !== '') continue
      throw new SessionError('ERR_SESSION_OPTION', `session.identify: the ${name} must be a string that is not empty.`)
    }
    this.#terms = { ...this.#terms, subject, label }
  }

  flash(key: string, ...values: [] | [value: unknown]): unknown {
    if (typeof key !== 'string') throw new SessionError('ERR_SESSION_VALUE', 'session.flash: the key must be a string.')
    if (values.length === 0) return this.#readFlash(key)
    this.#assertOpen('flash')
    this.#flash ??= new Map()
    this.#flash.set(key, values[0])
    return undefined
  }

  #readFlash(key: string): unknown {
    const entry = this.phase === 'destroyed' ? undefined : this.#received.get(key)
    // Not once more after a commit has dropped it: the same may have been left anew since.
    if (entry && this.host.keepsUnreadFlash && this.record.flash.get(key)?.text === entry.text) {
      this.#undropped = new Map(this.#undropped).set(key, entry)
    }
    return entry?.read(this.codec)
  }

  /**
   * What this request did, or `undefined` if nothing. Compares only names that were set, deleted or read as objects.
   * Throws `ERR_SESSION_VALUE` if a value has no text.
   */
  changes({ andFlashSeen = true }: { andFlashSeen?: boolean } = {}): Changes | undefined {
    const entries = this.#slots && this.#changedEntries(this.#slots)
    const flash = this.#flash && this.#flash.size > 0 ? this.#flash : undefined
    const flashSeen = andFlashSeen && this.#undropped && this.#undropped.size > 0 ? this.#undropped : undefined
    if (!entries && !flash && !flashSeen && !this.#terms && !this.mustCreate) return undefined
    return {
      entries: entries ?? NONE,
      ...(flash && { flash: this.#encoded(flash) }),
      ...(flashSeen && { flashSeen }),
      ...(this.#terms && { terms: this.#terms }),
    }
  }

  #changedEntries(slots: Map<string, Slot>): Changes['entries'] | undefined {
    let entries: Map<string, Entry | undefined> | undefined
    for (const [name, slot] of slots) {
      const change = this.#changeOf(name, slot)
      if (!change) continue
      entries ??= new Map()
      entries.set(name, change.entry)
    }
    return entries
  }

  #changeOf(name: string, { value, base }: Slot): { entry: Entry | undefined } | undefined {
    if (value === undefined) return base && { entry: undefined }
    if (base?.isUntouched(value)) return undefined
    const text = this.codec.encode(value, name)
    return text === base?.text ? undefined : { entry: new Entry(text, typeof value === 'object' ? undefined : value) }
  }

  /** The store now holds `record`, these changes included. What was changed since they were taken is still to come. */
  committed(found: Found, record: SessionRecord, changes?: Changes): void {
    this.found = found
    this.record = record
    this.mustRead = false
    this.mustCreate = false
    if (!changes) return
    for (const [name, entry] of changes.entries) {
      const slot = this.#slots?.get(name)
      if (!slot) continue
      if (!entry && slot.value === undefined) this.#slots?.delete(name)
      else slot.base = entry
    }
    for (const [key, { text }] of changes.flash ?? []) {
      if (this.codec.encode(this.#flash?.get(key), key) === text) this.#flash?.delete(key)
    }
    if (changes.flashSeen === this.#undropped) this.#undropped = undefined
    if (changes.terms === this.#terms) this.#terms = undefined
  }

  /** These names were changed in the record: they are read anew, unless this request has changed them again since. */
  refresh(names: Iterable<string>): void {
    for (const name of names) {
      const slot = this.#slots?.get(name)
      if (slot && !this.#changeOf(name, slot)) this.#slots?.delete(name)
    }
  }

  /**
   * Others wrote, and this is what they made of it: taken over, but for what this request has changed itself. `keep`:
   * the names that matter, as for `handOver`.
   */
  catchUp(found: Found, record: SessionRecord, keep: RegenerateOptions['keep']): void {
    this.found = found
    this.record = record
    for (const [name, slot] of this.#slots ?? []) {
      if (Array.isArray(keep) && !keep.includes(name)) continue
      const isSame = record.entries.get(name)?.text === slot.base?.text
      if (!isSame && !this.#changeOf(name, slot)) this.#slots?.delete(name)
    }
  }

  /** Drops what this request did. `stored`: what is in the store now, if anything is. */
  reset(stored?: { readonly found: Found; readonly record: SessionRecord }): void {
    this.#slots = undefined
    this.#flash = undefined
    this.#terms = undefined
    if (!stored) return
    this.committed(stored.found, stored.record)
    this.#received = stored.record.flash
    this.#undropped = this.host.keepsUnreadFlash ? undefined : stored.record.flash
  }

  /** What is agreed about this session now, for one that carries it on. */
  get terms(): Terms {
    const { createdAt: _createdAt, entries: _entries, flash: _flash, ...terms } = this.record
    return { ...terms, ...this.#terms }
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
    const flashSeen = this.#undropped
    const { createdAt, flash } = merge(this.record, { entries: new Map(), ...(flashSeen && { flashSeen }) })
    next.record = { ...next.record, createdAt, flash }
    next.#received = this.#received
    if (this.#flash) next.#flash = new Map(this.#flash)
  }

  #encoded(flash: Map<string, unknown>): Map<string, Entry> {
    return new Map([...flash].map(([key, value]) => [key, new Entry(this.codec.encode(value, `flash.${key}`))]))
  }

  #assertOpen(name: string): void {
    if (this.phase !== 'open') {
      const how = this.phase === 'destroyed' ? 'destroyed' : 'regenerated'
      throw new SessionError(
        'ERR_SESSION_ENDED',
        `session.${name} cannot be set: this session was ${how}. Take the current one from getSession() or ctx.session.`,
      )
    }
    const code = this.host.sealedBy(this)
    if (code) throw new SessionError(code, `session.${name} cannot be set: ${WHY_SEALED[code]}`)
  }
}

const WHY_SEALED = {
  ERR_SESSION_COMMITTED:
    'the session was already saved for this request. Use `await session.update(…)`, or set it before the response begins.',
  ERR_SESSION_HEADERS_SENT:
    'a new session needs its cookie, and the headers have left. Set it, and `await session.save()`, before the response begins.',
}
