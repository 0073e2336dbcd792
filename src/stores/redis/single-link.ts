import { randomBytes } from 'node:crypto'
import { warn } from '../../diagnostics.ts'
import type { Connection } from './connection.ts'
import { RedisLink, speaksResp3, type LinkSettings } from './link.ts'
import { BEAT, EPOCH_KEPT, runScript } from './scripts.ts'
import type { Strangers } from './strangers.ts'
import type { Moment } from '../../units.ts'

/** What the link to one server needs to know. */
export interface SingleLinkSettings extends LinkSettings {
  /** Where the writing scripts publish. */
  readonly channel: string
  /** A key that is lost when the data is. */
  readonly epochKey: string
  /** What the server should allow, for the warning that it does not. */
  readonly rights: string
  /** Knows servers that cannot be listened to. */
  readonly strangers: Strangers
  /** Makes a second connection, needed if the server or the client does not speak RESP3. */
  second(): Connection
}

/**
 * The link to one server. With RESP2 the messages come over a second connection, and so does the heartbeat, as a message
 * on a channel of this process.
 */
export class SingleLink extends RedisLink<string> {
  readonly #settings: SingleLinkSettings
  readonly #ownChannel: string
  /** When the heartbeats were sent whose answers come over the second connection, by their names. */
  readonly #sent = new Map<string, Moment>()
  #second: Connection | undefined
  #warned = false

  constructor(settings: SingleLinkSettings) {
    super(settings)
    this.#settings = settings
    this.#ownChannel = `${settings.channel}:${randomBytes(16).toString('hex')}`
  }

  /** `false`: not yet; the second connection begins again when it is ready. */
  protected async subscribe(isCurrent: () => boolean): Promise<boolean> {
    const { data, channel, strangers } = this.#settings
    const [isOneStream, isStranger] = await Promise.all([speaksResp3(data), strangers.keepsFrom(data)])
    if (isStranger || !isCurrent()) return false
    if (isOneStream) {
      // Left over from a server that spoke RESP2.
      void this.#second?.close()
      this.#second = undefined
      await data.run((client) => client.subscribe(channel))
      return true
    }
    const second = this.#secondConnection()
    if (!second.isReady) return false
    await second.run((client) => client.subscribe(channel, this.#ownChannel))
    return true
  }

  protected ask(sent: Moment): Promise<string> {
    const { data, epochKey } = this.#settings
    // Over a second connection the answer is a message, which others may forge. A name that nobody can guess, and that
    // means something once only, makes it the answer to this very heartbeat.
    const name = randomBytes(12).toString('hex')
    const channel = this.#second ? this.#ownChannel : ''
    const args = [randomBytes(12).toString('hex'), EPOCH_KEPT, channel, name]
    const answer = runScript(data.client, BEAT, [epochKey], args) as Promise<string>
    if (!this.#second) return answer
    this.#sent.set(name, sent)
    return answer.catch((error: unknown) => {
      this.#sent.delete(name) // no message comes of it, and a server may refuse heartbeats for ever
      throw error
    })
  }

  protected answered(epoch: string, sent: Moment): void {
    if (!this.#second) this.renew(sent, epoch)
  }

  protected deaf(): void {
    if (this.#warned) return
    this.#warned = true
    warn(
      'SESSION_REDIS_NOT_WATCHING',
      'store redis: the server does not let this user subscribe, so this process caches nothing. The user needs the ' +
        `rights ${this.#settings.rights}`,
    )
  }

  protected override hear(channel: string, message: string): void {
    if (channel === this.#settings.channel) return super.hear(channel, message)
    if (channel !== this.#ownChannel) return
    const [name = '', epoch = ''] = message.split(' ')
    const sent = this.#sent.get(name)
    if (!sent) return
    this.#sent.delete(name)
    this.renew(sent, epoch)
  }

  protected override giveUp(reason: Error, dataIsSilent: boolean): void {
    this.#second?.giveUp(reason)
    super.giveUp(reason, dataIsSilent)
  }

  protected override lost(): void {
    this.#sent.clear()
  }

  protected async release(): Promise<void> {
    const { data, channel } = this.#settings
    if (this.#second) await this.#second.close()
    else if (data.isReady) await data.run((client) => client.unsubscribe(channel)).catch(() => {})
  }

  #secondConnection(): Connection {
    if (!this.#second) {
      this.#second = this.#settings.second()
      this.#second.client.on('message', this.onMessage)
      this.#second.on('lost', this.lose)
      this.#second.on('ready', () => {
        if (this.#settings.data.isReady) this.begin()
      })
    }
    this.#second.connect()
    return this.#second
  }
}
