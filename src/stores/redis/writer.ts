import { warn } from '../../diagnostics.ts'
import type { Key, Milliseconds } from '../../units.ts'
import { notOurs } from '../envelope.ts'
import type { Connection } from './connection.ts'
import { runScript, type WritingScript } from './scripts.ts'

/** How long a refusal to publish is believed; the rights may have been mended since. */
const BELIEVED: Milliseconds = 60_000

/** What a writer needs to know. */
export interface WriterSettings {
  readonly connection: Connection
  readonly prefix: string
  /** Where other nodes hear of writes; absent if nobody listens. */
  readonly channel: string | undefined
  readonly epochKey: string
  /** What the server should allow, for the warning that it does not. */
  readonly rights: string
}

/** Runs the scripts that change records, and sees to it that the other nodes learn of every change. */
export class Writer {
  readonly #settings: WriterSettings
  /** Until when the server is known not to let this user publish. */
  #isMuteUntil = -Infinity
  #hasWarned = false

  constructor(settings: WriterSettings) {
    this.#settings = settings
  }

  /** `read` makes the answer of the script's. Chains of promises instead of async functions, here where every write passes. */
  run<Answer>(
    script: WritingScript,
    key: Key,
    args: readonly (string | number)[],
    read: (reply: unknown) => Answer,
  ): Promise<Answer> {
    const { connection, prefix, channel = '', epochKey } = this.#settings
    const isMute = channel !== '' && performance.now() < this.#isMuteUntil
    return connection
      .run((client) =>
        isMute
          ? runScript(client, script.forgetting, [prefix + key, epochKey], [Date.now(), '', key, ...args])
          : runScript(client, script.publishing, [prefix + key], [Date.now(), channel, key, ...args]),
      )
      .then((reply) => {
        const outcome: unknown = Array.isArray(reply) ? reply[0] : undefined
        if (outcome === 'unreadable') throw notOurs()
        if (outcome !== 'unheard') return read(reply)
        // Nothing was written, so it is safe to ask again.
        this.#fallSilent()
        return this.run(script, key, args, read)
      })
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
