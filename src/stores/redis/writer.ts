import { warn } from '../../diagnostics.ts'
import type { Key, Milliseconds } from '../../units.ts'
import { notOurs } from '../envelope.ts'
import { announcedIn, epochKeyOf } from './announced.ts'
import type { Place } from './place.ts'
import { runScript, WHO_HAS, type WritingScript } from './scripts.ts'

/** How long a refusal to publish is believed; the rights may have been mended since. */
const BELIEVED: Milliseconds = 60_000

/** What a writer needs to know. */
export interface WriterSettings {
  readonly place: Place
  readonly prefix: string
  /** Where other nodes hear of writes. */
  readonly channel: string
  readonly epochKey: string
  /** What the server should allow, for the warning that it does not. */
  readonly rights: string
}

type Arguments = readonly (string | number)[]

/** Runs the scripts that change records, and sees to it that the other nodes learn of every change. */
export class Writer {
  readonly #settings: WriterSettings
  readonly #isCluster: boolean
  /** Until when the server is known not to let this user publish. */
  #isMuteUntil = -Infinity
  #hasWarned = false

  constructor(settings: WriterSettings) {
    this.#settings = settings
    this.#isCluster = settings.place.connection.client.isCluster
  }

  /** `read` makes the answer of the script's. Chains of promises instead of async functions, here where every write passes. */
  run<Answer>(script: WritingScript, key: Key, args: Arguments, read: (reply: unknown) => Answer): Promise<Answer> {
    const isMute = performance.now() < this.#isMuteUntil
    const written = isMute
      ? this.#writeMutely(script, key, args)
      : this.#write(script, key, args, this.#settings.channel)
    return written.then((reply) => {
      const outcome: unknown = Array.isArray(reply) ? reply[0] : undefined
      if (outcome === 'unreadable') throw notOurs()
      if (outcome !== 'unheard') return read(reply)
      // Nothing was written, so it is safe to ask again.
      this.#fallSilent()
      return this.run(script, key, args, read)
    })
  }

  #write(script: WritingScript, key: Key, args: Arguments, channel: string): Promise<unknown> {
    const { place, prefix } = this.#settings
    const publishing = this.#isCluster ? script.publishingHere : script.publishing
    const name = prefix + key
    return place.ask(name, (client) => runScript(client, publishing, [name], [Date.now(), channel, key, ...args]))
  }

  /** Instead of telling the other nodes what it writes, it makes them forget all that they have of this server. */
  async #writeMutely(script: WritingScript, key: Key, args: Arguments): Promise<unknown> {
    const { place, prefix, epochKey } = this.#settings
    const name = prefix + key
    if (!this.#isCluster) {
      return place.ask(name, (client) =>
        runScript(client, script.forgetting, [name, epochKey], [Date.now(), '', key, ...args]),
      )
    }
    // The epoch is in another slot than the record, so the steps are three. If the slots change hands between them, the
    // nodes forget by themselves. Asked first, so that a user without the right to ask has then written nothing.
    const self = await place.connection.run((client) => runScript(client, WHO_HAS, [name], []))
    const reply = await this.#write(script, key, args, '')
    const epochThere = epochKeyOf(prefix, announcedIn(String(self)))
    if (epochThere !== undefined) await place.connection.run((client) => client.del(epochThere))
    return reply
  }

  #fallSilent(): void {
    this.#isMuteUntil = performance.now() + BELIEVED
    if (this.#hasWarned) return
    this.#hasWarned = true
    warn(
      'SESSION_REDIS_NOT_PUBLISHING',
      'store redis: the server does not let this user publish, so every write makes all nodes forget what they have ' +
        `cached. Nothing is lost, but the cache does not pay. The user needs the rights ${this.#settings.rights}`,
    )
  }
}
