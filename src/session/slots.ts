import { SessionError } from '../errors.ts'
import type { Codec } from '../record/codec.ts'
import { Entry } from '../record/entry.ts'
import type { Changes, SessionRecord } from '../record/record.ts'

type Entries = SessionRecord['entries']

/** Of how many replaced objects a change is noticed: the last ones, because a session on a socket is updated without end. */
const MOST_REPLACED = 8

/** What a request has of one name: its private value, and the entry that this value is compared with. */
interface Slot {
  value: unknown
  base: Entry | undefined
}

/** The names that one request has set, deleted or read as objects. */
export class Slots {
  readonly #codec: Codec
  readonly #slots = new Map<string, Slot>()
  /** The last objects in whose place an update has put others. A handler that holds one may change it, in vain. */
  #replaced: [name: string, slot: Slot][] | undefined

  constructor(codec: Codec) {
    this.#codec = codec
  }

  get(name: string): Slot | undefined {
    return this.#slots.get(name)
  }

  /** `base`: the record's entry of this name. */
  put(name: string, value: unknown, base: Entry | undefined): void {
    this.#slots.set(name, { value, base })
  }

  /** The names that these entries do not have and this request has given a value. */
  addedTo(entries: Entries): string[] {
    const names: string[] = []
    for (const [name, { value }] of this.#slots) if (value !== undefined && !entries.has(name)) names.push(name)
    return names
  }

  /**
   * What differs from the entries; `undefined` if nothing. Throws `ERR_SESSION_VALUE`, and `ERR_SESSION_COMMITTED` if the
   * handler has changed an object that an update had replaced.
   */
  changes(): Changes['entries'] | undefined {
    for (const [name, slot] of this.#replaced ?? []) if (this.#changeOf(name, slot)) throw changedInVain(name)
    let entries: Map<string, Entry | undefined> | undefined
    for (const [name, slot] of this.#slots) {
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
    const text = this.#codec.encode(value, name)
    return text === base?.text ? undefined : { entry: new Entry(text, typeof value === 'object' ? undefined : value) }
  }

  /** These changes are stored. What was changed since they were taken is still to come. */
  committed(entries: Changes['entries']): void {
    for (const [name, entry] of entries) {
      const slot = this.#slots.get(name)
      if (!slot) continue
      if (!entry && slot.value === undefined) this.#slots.delete(name)
      else slot.base = entry
    }
  }

  /**
   * Takes over what the function of an update has set, and the objects that it has read, unless this request has values
   * of its own there. `changed`: what the function has changed; `entries`: what is stored now, which may be the work of
   * others already.
   */
  adopt(draft: Slots, changed: Changes['entries'], entries: Entries): void {
    for (const [name, { value, base }] of draft.#slots) {
      const isChanged = changed.has(name)
      const theirs: Slot = { value, base: isChanged ? changed.get(name) : base }
      const own = this.#slots.get(name)
      if (own && (!isChanged || this.#changeOf(name, own))) {
        this.#watch(name, theirs)
        continue
      }
      if (own) this.#watch(name, own)
      this.#slots.delete(name)
      if (!isObject(value)) continue
      if (entries.get(name)?.text === theirs.base?.text) this.#slots.set(name, theirs)
      else this.#watch(name, theirs)
    }
  }

  /** A handler may hold this object, which is not the session's any more. */
  #watch(name: string, slot: Slot): void {
    if (!isObject(slot.value)) return
    this.#replaced ??= []
    this.#replaced.push([name, slot])
    if (this.#replaced.length > MOST_REPLACED) this.#replaced.shift()
  }

  /** Others have changed these names: they are read anew, unless this request has changed them too. */
  refresh(names: Iterable<string>): void {
    for (const name of names) {
      const slot = this.#slots.get(name)
      if (slot && !this.#changeOf(name, slot)) this.#slots.delete(name)
    }
  }

  /** The names whose entry is another one by now. */
  outdatedBy(entries: Entries): string[] {
    return [...this.#slots].flatMap(([name, { base }]) => (entries.get(name)?.text === base?.text ? [] : [name]))
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function changedInVain(name: string): SessionError {
  return new SessionError(
    'ERR_SESSION_COMMITTED',
    `session.${name}: an object was changed that is not the session's any more, because session.update has put another ` +
      `one in its place. Take session.${name} anew after \`await session.update(…)\`.`,
  )
}
