import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { announcedIn, epochKeyOf, type Announced } from './announced.ts'
import { answerOf, isForbidden } from './answers.ts'
import { RedisLink, speaksResp3, type LinkSettings } from './link.ts'
import { BEAT_HERE, EPOCH_KEPT, runScript } from './scripts.ts'
import type { Strangers } from './strangers.ts'
import type { Moment } from '../../units.ts'

/** Why a link cannot do its work, which somebody has to mend. */
export type Hindrance = 'forbidden' | 'resp2'

/** What the link to a master of a Cluster needs to know. */
export interface MasterLinkSettings extends LinkSettings<Redis> {
  readonly prefix: string
  /** Where the writing scripts publish: on this, with the server's id behind it. */
  readonly channel: string
  /** Knows servers that cannot be listened to. */
  readonly strangers: Strangers
  /** The master has announced something else than before; called before the link vouches for anything of it. */
  announced(): void
  hindered(hindrance: Hindrance): void
}

/** What a master answers to a heartbeat. Without an epoch it has no slot to vouch for. */
interface Beat {
  readonly self: Announced
  readonly epoch: string | undefined
}

/**
 * The link to one master of a Cluster: a connection that carries the reads and writes of its keys, the messages about
 * them and the heartbeats, so that all of them come from the same server, in order.
 *
 * With each heartbeat the server says which slots it owns. What was cached before it said something else is worth
 * nothing: a slot that was away in between has taken messages with it.
 */
export class MasterLink extends RedisLink<Beat, Redis> {
  readonly #settings: MasterLinkSettings
  /** What the master said of itself last. */
  self: Announced | undefined
  /** Whether there has ever been a connection. */
  hasConnected = false
  /** Whether the server is to be asked what it owns before a heartbeat is sent to a slot of it. */
  #isDoubtful = false

  constructor(settings: MasterLinkSettings) {
    super(settings)
    this.#settings = settings
  }

  /** The server has said of a key that it is elsewhere: what it owns is not what it said. */
  doubt(): void {
    const wasTrusted = this.vouches()
    this.#isDoubtful = true
    this.void()
    // The sooner it is known, the sooner the rest of its keys is served again.
    if (wasTrusted) this.beat()
  }

  protected async subscribe(isCurrent: () => boolean): Promise<boolean> {
    const { data, channel, strangers } = this.#settings
    this.hasConnected = true
    const [isOneStream, isStranger] = await Promise.all([speaksResp3(data), strangers.keepsFrom(data)])
    if (isStranger) return false
    if (!isOneStream) {
      if (isCurrent()) this.#settings.hindered('resp2')
      return false
    }
    const self = await this.#askWho()
    if (!isCurrent()) return false
    this.#learn(self)
    await data.run((client) => client.subscribe(`${channel}:${self.id}`))
    return true
  }

  protected async ask(): Promise<Beat> {
    const { data, prefix } = this.#settings
    const self = this.#isDoubtful ? await this.#askWho() : this.self!
    const epochKey = epochKeyOf(prefix, self)
    if (!self.isMaster || epochKey === undefined) return { self: await this.#askWho(), epoch: undefined }
    const args = [randomBytes(12).toString('hex'), EPOCH_KEPT]
    const [line, epoch] = (await runScript(data.client, BEAT_HERE, [epochKey], args)) as [line: string, epoch: string]
    return { self: announcedIn(line), epoch: `${epochKey} ${epoch}` }
  }

  protected answered({ self, epoch }: Beat, sent: Moment): void {
    // The channel is that of the server which was here when this link subscribed.
    if (self.id !== this.self!.id) return this.begin()
    this.#isDoubtful = false
    this.#learn(self)
    if (epoch === undefined) this.rest()
    else this.renew(sent, `${self.fingerprint} ${epoch}`)
  }

  protected override refused(error: Error): void {
    // The slot of the epoch key may be elsewhere.
    this.#isDoubtful = true
    if (isForbidden(answerOf(error) ?? '')) this.#settings.hindered('forbidden')
  }

  protected deaf(error: Error): void {
    this.refused(error)
  }

  protected async release(): Promise<void> {
    await this.data.close()
  }

  async #askWho(): Promise<Announced> {
    return announcedIn(String(await this.data.run((client) => client.cluster('NODES'))))
  }

  #learn(self: Announced): void {
    const isNew = self.fingerprint !== this.self?.fingerprint
    this.self = self
    if (isNew) this.#settings.announced()
  }
}
