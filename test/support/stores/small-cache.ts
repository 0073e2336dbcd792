import type { Link, Store } from '../../../src/store.ts'
import type { Key, Version } from '../../../src/units.ts'

/** The rules of the library's cache, for one key. */
export class SmallCache {
  readonly #store: Store
  readonly #key: Key
  readonly #link: Link
  #entry: { version: Version; generation: number } | undefined
  #tokens = new Set<{ least: Version }>()

  constructor(store: Store, key: Key) {
    this.#store = store
    this.#key = key
    this.#link = store.watch!({
      saved: (_key, version) => this.#told(version),
      deleted: () => this.#told(Infinity),
    }).linkOf(key)
  }

  hit(): Version | undefined {
    return this.#entry?.generation === this.#link.generation && this.#link.vouches() ? this.#entry.version : undefined
  }

  async fill(): Promise<void> {
    const token = { least: 0 }
    const { generation } = this.#link
    this.#tokens.add(token)
    try {
      const found = await this.#store.load(this.#key)
      if (found && found.version >= token.least && generation === this.#link.generation) {
        this.#entry = { version: found.version, generation }
      }
    } catch {
      // Out of reach for the moment.
    } finally {
      this.#tokens.delete(token)
    }
  }

  #told(version: Version): void {
    if (this.#entry && version > this.#entry.version) this.#entry = undefined
    for (const token of this.#tokens) token.least = Math.max(token.least, version)
  }
}
