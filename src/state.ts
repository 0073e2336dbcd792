import { SessionError, type SessionErrorCode } from './errors.ts'
import { keyOf, newId } from './id.ts'
import type { Changes, SessionRecord, Terms } from './record.ts'
import type { Found } from './store.ts'
import type { RegenerateOptions, RememberOptions, Session } from './types.ts'
import type { Key } from './units.ts'
import { Entry, type Codec } from './value.ts'

/** What a session asks of whoever opened it. The session itself does no I/O and knows no HTTP. */
export interface SessionActions {
  save(state: SessionState): Promise<void>
  reload(state: SessionState): Promise<void>
  update<Result>(state: SessionState, change: (session: Session) => Result): Promise<Result>
  regenerate(state: SessionState, options: RegenerateOptions): Promise<void>
  destroy(state: SessionState): Promise<void>
  /** Why nothing can be changed any more, or `undefined` while it can. */
  sealedBy(state: SessionState): Extract<SessionErrorCode, 'ERR_SESSION_COMMITTED' | 'ERR_SESSION_HEADERS_SENT'> | undefined
}

/** `open`: in use. `replaced`: regenerated, and kept for reading. `destroyed`: reads as empty. */
type Phase = 'open' | 'replaced' | 'destroyed'

/** What this request has of one name: its private value, and the entry that this value is compared with. */
interface Slot {
  value: unknown
  base: Entry | undefined
}

/** One request's view of one session: what was loaded, and what was done to it since. */
export class SessionState {
  /** What the store holds, as far as this request knows; `undefined` for a session that was never saved. */
  found: Found | undefined
  record: SessionRecord
  phase: Phase = 'open'
  /** Whether the outcome of a write is unknown, so that the next one must read first. */
  mustRead = false
  /** Whether a record is made even if there is no data. */
  mustCreate = false
  readonly codec: Codec
  readonly actions: SessionActions
  /** The object that handlers touch, once there is one: see `sessionOf`. */
  view: Session | undefined
  #id: string | undefined
  #key: Key | undefined
  #slots = new Map<string, Slot>()
  #flash: Map<string, unknown> | undefined
  #terms: Partial<Terms> | undefined

  constructor(record: SessionRecord, codec: Codec, actions: SessionActions, stored?: { id?: string | undefined; key: Key; found: Found }) {
    this.record = record
    this.codec = codec
    this.actions = actions
    this.found = stored?.found
    this.#id = stored?.id
    this.#key = stored?.key
  }

  /** The secret for the cookie: made when it is first needed. */
  get id(): string {
    return (this.#id ??= newId())
  }

  get key(): Key {
    return (this.#key ??= keyOf(this.id))
  }

  read(name: string): unknown {
    if (this.phase === 'destroyed') return undefined
    const slot = this.#slots.get(name)
    if (slot) return slot.value
    const entry = this.record.entries.get(name)
    if (!entry) return undefined
    const value = entry.read(this.codec)
    if (typeof value === 'object' && value !== null) this.#slots.set(name, { value, base: entry })
    return value
  }

  /** `undefined` deletes, as it does in JSON. */
  write(name: string, value: unknown): void {
    this.#assertOpen(name)
    const slot = this.#slots.get(name)
    if (slot) slot.value = value
    else this.#slots.set(name, { value, base: this.record.entries.get(name) })
  }

  has(name: string): boolean {
    if (this.phase === 'destroyed') return false
    const slot = this.#slots.get(name)
    return slot ? slot.value !== undefined : this.record.entries.has(name)
  }

  names(): string[] {
    if (this.phase === 'destroyed') return []
    const names = [...this.record.entries.keys()].filter((name) => this.has(name))
    for (const [name, slot] of this.#slots) {
      if (slot.value !== undefined && !this.record.entries.has(name)) names.push(name)
    }
    return names
  }

  remember({ idleTimeout, absoluteTimeout }: RememberOptions): void {
    this.#assertOpen('remember')
    for (const [name, length] of Object.entries({ idleTimeout, absoluteTimeout })) {
      if (length === undefined || (Number.isFinite(length) && length > 0)) continue
      throw new SessionError('ERR_SESSION_OPTION', `remember: ${name} must be a number of milliseconds above 0.`)
    }
    this.#terms = {
      ...this.#terms,
      persistent: true,
      ...(idleTimeout !== undefined && { idleTimeout }),
      ...(absoluteTimeout !== undefined && { absoluteTimeout }),
    }
  }

  flash(key: string, ...values: [] | [value: unknown]): unknown {
    if (values.length === 0) return this.phase === 'destroyed' ? undefined : this.record.flash.get(key)?.read(this.codec)
    this.#assertOpen('flash')
    this.#flash ??= new Map()
    this.#flash.set(key, values[0])
    return undefined
  }

  /**
   * What this request did, or `undefined` if nothing. Compares only names that were set, deleted or read as objects.
   * Throws `ERR_SESSION_VALUE` if a value has no text.
   */
  changes({ andFlashSeen = true }: { andFlashSeen?: boolean } = {}): Changes | undefined {
    const entries = new Map<string, Entry | undefined>()
    for (const [name, { value, base }] of this.#slots) {
      if (value === undefined) {
        if (base) entries.set(name, undefined)
      } else if (!base?.isUntouched(value)) {
        const text = this.codec.encode(value, name)
        if (text !== base?.text) entries.set(name, new Entry(text, typeof value === 'object' ? undefined : value))
      }
    }
    const flashSeen = andFlashSeen && this.record.flash.size > 0 ? this.record.flash : undefined
    if (entries.size === 0 && !this.#flash && !flashSeen && !this.#terms && !this.mustCreate) return undefined
    return {
      entries,
      ...(this.#flash && { flash: this.#encodeFlash(this.#flash) }),
      ...(flashSeen && { flashSeen }),
      ...(this.#terms && { terms: this.#terms }),
    }
  }

  /** The store now holds `record`, these changes included. */
  committed(found: Found, record: SessionRecord, changes?: Changes): void {
    this.found = found
    this.record = record
    this.mustRead = false
    this.mustCreate = false
    if (!changes) return
    for (const [name, entry] of changes.entries) {
      const slot = this.#slots.get(name)
      if (!slot) continue
      if (!entry && slot.value === undefined) this.#slots.delete(name)
      else slot.base = entry
    }
    if (changes.flash) this.#flash = undefined
    if (changes.terms) this.#terms = undefined
  }

  /** Forgets what this request did: to everything, or to these names. */
  forget(names?: Iterable<string>): void {
    if (names) for (const name of names) this.#slots.delete(name)
    else {
      this.#slots.clear()
      this.#flash = undefined
      this.#terms = undefined
    }
  }

  /** The data as it stands, for a session that carries it on. */
  carriedOver(keep: RegenerateOptions['keep']): { data: Map<string, unknown>; terms: Partial<Terms>; flash: SessionRecord['flash'] } {
    const names = keep === true ? this.names() : Array.isArray(keep) ? (keep as string[]).filter((name) => this.has(name)) : []
    const data = new Map(names.map((name) => [name, this.read(name)]))
    const { idleTimeout, absoluteTimeout, persistent, flash } = this.record
    const isWhole = keep === true
    return {
      data,
      terms: isWhole ? { idleTimeout, absoluteTimeout, persistent, ...this.#terms } : {},
      flash: isWhole ? flash : new Map(),
    }
  }

  #encodeFlash(values: Map<string, unknown>): Map<string, Entry> {
    return new Map([...values].map(([key, value]) => [key, new Entry(this.codec.encode(value, `flash.${key}`))]))
  }

  #assertOpen(name: string): void {
    if (this.phase !== 'open') {
      const how = this.phase === 'destroyed' ? 'destroyed' : 'regenerated'
      throw new SessionError(
        'ERR_SESSION_ENDED',
        `session.${name} cannot be set: this session was ${how}. Take the current one from getSession() or ctx.session.`,
      )
    }
    const code = this.actions.sealedBy(this)
    if (code) throw new SessionError(code, `session.${name} cannot be set: ${WHY_SEALED[code]}`)
  }
}

const WHY_SEALED = {
  ERR_SESSION_COMMITTED:
    'the session was already saved for this request. Use `await session.update(…)`, or set it before the response begins.',
  ERR_SESSION_HEADERS_SENT:
    'a new session needs its cookie, and the headers have left. Set it, and `await session.save()`, before the response begins.',
}
