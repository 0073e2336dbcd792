import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { warn } from '../../diagnostics.ts'
import type { Link, Listener } from '../../store.ts'
import type { Instant, Milliseconds } from '../../units.ts'
import { isAnswer } from './answers.ts'
import type { Connection } from './connection.ts'
import { BEAT, runScript } from './scripts.ts'

const BEATS_PER_BOUND = 3
/** So many bounds without an answer, and the connection is made anew: a hung server sends no event. */
const BOUNDS_OF_SILENCE = 4
/** Every heartbeat renews it; it only has to outlive the pause between the last process and the next. */
const EPOCH_KEPT: Milliseconds = 24 * 60 * 60 * 1000

const MESSAGE = /^(?:s(\d{1,16})|d) ([0-9a-f]{64})$/

/** Shared by all links, so that one that is made after another never repeats what an entry of that one holds. */
let lastGeneration = 0

/** What a link needs to know. */
export interface LinkSettings {
  /** The coherence bound. */
  readonly bound: Milliseconds
  /** Where the writing scripts publish. */
  readonly channel: string
  /** A key that is lost when the data is. */
  readonly epochKey: string
  /** What the server should allow, for the warning that it does not. */
  readonly rights: string
  /** The connection that carries reads, writes and heartbeats. */
  readonly data: Connection<Redis>
  /** Makes a second connection, needed where the server or the client does not speak RESP3. */
  second(): Connection<Redis>
  readonly listener: Listener
}

/**
 * The subscription to what is written elsewhere, and the lease that says for how long it may be trusted.
 *
 * With RESP3 answers and messages come over one ordered stream: when the answer to a heartbeat is handled, every
 * message that was published before the server ran it has been handled as well. So until `bound` after the heartbeat
 * was *sent*, nothing acknowledged more than `bound` ago can have been missed. With RESP2 the messages come over a
 * second connection, and so does the heartbeat, as a message on a channel of this process.
 */
export class RedisLink implements Link {
  generation: number = ++lastGeneration
  readonly #settings: LinkSettings
  readonly #ownChannel: string
  /** The heartbeat that the lease counts from, by both clocks: the monotonic one stands still in a suspended machine. */
  #leaseMonotonic = -Infinity
  #leaseWall = -Infinity
  #epoch: string | undefined
  /** Grows with every connection, so that what belongs to an earlier one is recognised. */
  #round = 0
  #subscribed = false
  /** Ticks since the lease was last renewed, or since there was a connection. */
  #ticks = 0
  /** Heartbeats since the data connection last answered one. */
  #unanswered = 0
  /** When the heartbeats were sent whose answers come over the second connection, by their names. */
  readonly #sent = new Map<string, Moment>()
  #timer: NodeJS.Timeout | undefined
  #second: Connection<Redis> | undefined
  #warned = false

  constructor(settings: LinkSettings) {
    this.#settings = settings
    this.#ownChannel = `${settings.channel}:${randomBytes(16).toString('hex')}`
  }

  vouches(): boolean {
    const { bound } = this.#settings
    return performance.now() - this.#leaseMonotonic <= bound && Date.now() - this.#leaseWall <= bound
  }

  start(): void {
    const { data, bound } = this.#settings
    data.on('ready', this.#begin)
    data.on('lost', this.#lose)
    data.client.on('message', this.#hear)
    this.#timer = setInterval(this.#tick, bound / BEATS_PER_BOUND)
    if (data.isReady) this.#begin()
    else data.connect()
  }

  async stop(): Promise<void> {
    const { data, channel } = this.#settings
    clearInterval(this.#timer)
    this.#lose()
    data.off('ready', this.#begin)
    data.off('lost', this.#lose)
    data.client.off('message', this.#hear)
    if (this.#second) await this.#second.close()
    else if (data.isReady) await data.run((client) => client.unsubscribe(channel)).catch(() => {})
  }

  readonly #begin = (): void => {
    this.#lose()
    const round = this.#round
    this.#subscribe(round).then(
      (subscribed) => {
        if (!subscribed || round !== this.#round) return
        this.#subscribed = true
        this.#tick()
      },
      (error: unknown) => {
        if (round === this.#round && isAnswer(error)) this.#warn()
      },
    )
  }

  /** `false`: not yet; the second connection begins again when it is ready. */
  async #subscribe(round: number): Promise<boolean> {
    const { data, channel } = this.#settings
    const isOneStream = await speaksResp3(data)
    if (round !== this.#round) return false
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

  #secondConnection(): Connection<Redis> {
    if (!this.#second) {
      this.#second = this.#settings.second()
      this.#second.client.on('message', this.#hear)
      this.#second.on('lost', this.#lose)
      this.#second.on('ready', () => {
        if (this.#settings.data.isReady) this.#begin()
      })
    }
    this.#second.connect()
    return this.#second
  }

  /** Messages may have been missed: what was cached is worth nothing, and nothing may be served until a new lease. */
  readonly #lose = (): void => {
    this.#round++
    this.#subscribed = false
    this.#ticks = 0
    this.#unanswered = 0
    this.#sent.clear()
    this.#void()
  }

  #void(): void {
    this.generation = ++lastGeneration
    this.#leaseMonotonic = -Infinity
    this.#leaseWall = -Infinity
  }

  readonly #tick = (): void => {
    // Counted in ticks and not in time, so that a process that was itself held up does not blame the server.
    if (this.#ticks++ < BEATS_PER_BOUND * BOUNDS_OF_SILENCE) {
      if (this.#subscribed) this.#beat(this.#round)
    } else if (this.#subscribed) {
      this.#giveUp()
    } else if (this.#settings.data.isReady) {
      this.#begin()
    }
  }

  #giveUp(): void {
    const reason = new Error(`no heartbeat came back from Redis for ${BOUNDS_OF_SILENCE} times the coherence bound`)
    const dataIsSilent = this.#unanswered >= BEATS_PER_BOUND * BOUNDS_OF_SILENCE
    this.#lose()
    this.#second?.giveUp(reason)
    if (dataIsSilent) this.#settings.data.giveUp(reason)
  }

  #beat(round: number): void {
    const { data, epochKey } = this.#settings
    const sent = { monotonic: performance.now(), wall: Date.now() }
    // Over a second connection the answer is a message, which others may forge. A name that nobody can guess, and that
    // means something once only, makes it the answer to this very heartbeat.
    const name = randomBytes(12).toString('hex')
    if (this.#second) this.#sent.set(name, sent)
    const channel = this.#second ? this.#ownChannel : ''
    this.#unanswered++
    runScript(data.client, BEAT, [epochKey], [randomBytes(12).toString('hex'), EPOCH_KEPT, channel, name]).then(
      (epoch) => {
        if (round !== this.#round) return
        this.#unanswered = 0
        if (!this.#second) this.#renew(sent, epoch as string)
      },
      (error: unknown) => {
        if (round !== this.#round || !isAnswer(error)) return
        // The server is there but does not let us write: it is a replica, or full, or not yet ready.
        this.#unanswered = 0
        this.#ticks = 0
        this.#void()
      },
    )
  }

  #renew({ monotonic, wall }: Moment, epoch: string): void {
    this.#ticks = 0
    if (epoch !== this.#epoch || !this.vouches()) this.generation = ++lastGeneration
    this.#epoch = epoch
    this.#leaseMonotonic = monotonic
    this.#leaseWall = wall
  }

  /** Takes only what has the form of a message: anyone who may publish on the channel could send anything. */
  readonly #hear = (channel: string, message: string): void => {
    const { listener } = this.#settings
    if (channel === this.#ownChannel) {
      const [name = '', epoch = ''] = message.split(' ')
      const sent = this.#sent.get(name)
      if (!sent) return
      this.#sent.delete(name)
      this.#renew(sent, epoch)
    } else if (channel === this.#settings.channel) {
      const [, version, key] = MESSAGE.exec(message) ?? []
      if (key === undefined) return
      if (version === undefined) listener.deleted(key)
      else listener.saved(key, Number(version))
    }
  }

  #warn(): void {
    if (this.#warned) return
    this.#warned = true
    warn(
      'SESSION_REDIS_NOT_WATCHING',
      'store redis: the server does not let this user subscribe, so this process caches nothing. The user needs the ' +
        `rights ${this.#settings.rights}`,
    )
  }
}

/** One instant, by both clocks: the monotonic one stands still in a suspended machine. */
interface Moment {
  readonly monotonic: Milliseconds
  readonly wall: Instant
}

/** Asked of the server, since ioredis falls back to RESP2 by itself. */
async function speaksResp3(data: Connection<Redis>): Promise<boolean> {
  if (data.client.options.protocol === 2) return false
  try {
    const facts = await data.run<unknown[]>((client) => client.hello())
    return Number(facts[facts.indexOf('proto') + 1]) === 3
  } catch (error) {
    if (isAnswer(error)) return false
    throw error
  }
}
