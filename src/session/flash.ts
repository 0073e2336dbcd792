import type { Codec } from '../record/codec.ts'
import { Entry } from '../record/entry.ts'
import type { Changes, SessionRecord } from '../record/record.ts'

type Notices = SessionRecord['flash']

/** What one request reads and leaves by `session.flash`. */
export class Flash {
  readonly #codec: Codec
  /** What an earlier request left. It is shown until this request ends, whatever is committed meanwhile. */
  readonly #received: Notices
  /** What this request has asked for, and what the next commit therefore drops from the record. */
  readonly #toDrop = new Map<string, Entry>()
  /** What this request leaves for the next one. */
  readonly #left: Map<string, unknown>

  constructor(received: Notices, codec: Codec, left?: ReadonlyMap<string, unknown>) {
    this.#codec = codec
    this.#received = received
    this.#left = new Map(left)
  }

  leave(key: string, value: unknown): void {
    this.#left.set(key, value)
  }

  /** `stored`: what the record has now. */
  read(key: string, stored: Notices): unknown {
    const entry = this.#received.get(key)
    // Not once more after a commit has dropped it, because the same notice may have been left anew since.
    if (entry && stored.get(key)?.text === entry.text) this.#toDrop.set(key, entry)
    return entry?.read(this.#codec, `flash.${key}`)
  }

  /** What a commit has to do; `undefined` if nothing. Throws `ERR_SESSION_VALUE` if a value cannot be serialized. */
  changes(): Pick<Changes, 'flash' | 'flashSeen'> | undefined {
    const isSeen = this.#toDrop.size > 0
    if (this.#left.size === 0 && !isSeen) return undefined
    return {
      ...(this.#left.size > 0 && { flash: new Map([...this.#left].map((left) => this.#encoded(...left))) }),
      ...(isSeen && { flashSeen: new Map(this.#toDrop) }),
    }
  }

  /** These changes are stored. What was left or read since they were taken is still to come. */
  committed({ flash, flashSeen }: Changes): void {
    for (const [key, { text }] of flash ?? []) {
      if (this.#left.has(key) && this.#encoded(key, this.#left.get(key))[1].text === text) this.#left.delete(key)
    }
    for (const [key, { text }] of flashSeen ?? []) if (this.#toDrop.get(key)?.text === text) this.#toDrop.delete(key)
  }

  /** The same for the session that carries this one on, whose record is without what was asked for. */
  handedOver(): Flash {
    return new Flash(this.#received, this.#codec, this.#left)
  }

  #encoded(key: string, value: unknown): [string, Entry] {
    return [key, new Entry(this.#codec.encode(value, `flash.${key}`))]
  }
}
