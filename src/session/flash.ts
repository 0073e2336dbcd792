import type { Codec } from '../record/codec.ts'
import { Entry } from '../record/entry.ts'
import { newNoticeId, type Notice, type NoticeChanges, type Notices } from '../record/notices.ts'

/** A notice that a request leaves. Its text is made when it is stored. */
interface Left {
  readonly id: string
  readonly key: string
  readonly value: unknown
}

/** What one request reads and leaves by `session.flash` and `session.flashes`. */
export class Flash {
  readonly #codec: Codec
  /** What earlier requests left. It is shown until this request ends, whatever is committed meanwhile. */
  readonly #received: Notices
  /** The ids of what this request has asked for, and what the next commit therefore drops from the record. */
  readonly #toDrop = new Set<string>()
  /** What this request leaves for the next one, in this order. */
  #left: Left[]

  constructor(received: Notices, codec: Codec, left: readonly Left[] = []) {
    this.#codec = codec
    this.#received = received
    this.#left = [...left]
  }

  leave(key: string, value: unknown): void {
    this.#left.push({ id: newNoticeId(), key, value })
  }

  /** The notices of this key, oldest first. `stored`: what the record has now. */
  read(key: string, stored: Notices): unknown[] {
    const received = this.#received.get(key) ?? []
    // Not those that a commit has dropped already, because there would be nothing to store.
    for (const { id } of received) if (stored.get(key)?.some((notice) => notice.id === id)) this.#toDrop.add(id)
    return received.map(({ entry }) => entry.read(this.#codec, `flash.${key}`))
  }

  /** What a commit has to do; `undefined` if nothing. Throws `ERR_SESSION_VALUE` if a value cannot be serialized. */
  changes(): NoticeChanges | undefined {
    const isSeen = this.#toDrop.size > 0
    if (this.#left.length === 0 && !isSeen) return undefined
    return {
      ...(this.#left.length > 0 && { flash: this.#encoded() }),
      ...(isSeen && { flashSeen: new Set(this.#toDrop) }),
    }
  }

  #encoded(): Notices {
    const notices = new Map<string, Notice[]>()
    for (const { id, key, value } of this.#left) {
      const notice = { id, entry: new Entry(this.#codec.encode(value, `flash.${key}`)) }
      const list = notices.get(key)
      if (list) list.push(notice)
      else notices.set(key, [notice])
    }
    return notices
  }

  /** These changes are stored. What was left or read since they were taken is still to come. */
  committed({ flash, flashSeen }: NoticeChanges): void {
    if (flash) this.#left = this.#left.filter(({ id, key }) => !flash.get(key)?.some((notice) => notice.id === id))
    for (const id of flashSeen ?? []) this.#toDrop.delete(id)
  }

  /** The same for the session that carries this one on, whose record is without what was asked for. */
  handedOver(): Flash {
    return new Flash(this.#received, this.#codec, this.#left)
  }
}
