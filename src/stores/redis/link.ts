import type { Link, Listener } from '../../store.ts'
import { thisMoment, timeSince, type Instant, type Milliseconds, type Moment } from '../../units.ts'
import { isAnswer } from './answers.ts'
import type { Connection } from './connection.ts'
import type { Commands } from './wire.ts'

const BEATS_PER_BOUND = 3
/** So many bounds without an answer, and the connection is made anew: a hung server sends no event. */
const BOUNDS_OF_SILENCE = 4

const MESSAGE = /^(?:s(\d{1,16})|d) ([0-9a-f]{64})$/

/** Shared by all links, so that one that is made after another never repeats what an entry of that one holds. */
let lastGeneration = 0

const NEVER: Moment = { monotonic: -Infinity, wall: -Infinity }

/** What every link needs to know. */
export interface LinkSettings<Client extends Commands = Commands> {
  /** The coherence bound. */
  readonly bound: Milliseconds
  /** The connection that carries reads, writes and heartbeats. */
  readonly data: Connection<Client>
  readonly listener: Listener
}

/**
 * The subscription to what is written elsewhere, and the lease that says for how long it may be trusted. This is what
 * all links have in common; `Answer` is what a server answers to a heartbeat.
 *
 * With RESP3 answers and messages come over one ordered stream: when the answer to a heartbeat is handled, every
 * message that was published before the server ran it has been handled as well. So until `bound` after the heartbeat
 * was *sent*, nothing acknowledged more than `bound` ago can have been missed.
 */
export abstract class RedisLink<Answer, Client extends Commands = Commands> implements Link {
  generation: number = ++lastGeneration
  readonly #settings: LinkSettings<Client>
  /** When the heartbeat was sent that the lease counts from. */
  #lease: Moment = NEVER
  /** What the last heartbeat found. */
  #state: string | undefined
  /** Grows with every connection, so that what belongs to an earlier one is recognised. */
  #round = 0
  #subscribed = false
  /** Ticks since the lease was last renewed, or since there was a connection. */
  #ticks = 0
  /** Heartbeats since the data connection last answered one. */
  #unanswered = 0
  #timer: NodeJS.Timeout | undefined

  constructor(settings: LinkSettings<Client>) {
    this.#settings = settings
  }

  get data(): Connection<Client> {
    return this.#settings.data
  }

  get bound(): Milliseconds {
    return this.#settings.bound
  }

  vouches(now?: Instant): boolean {
    return timeSince(this.#lease, now) <= this.#settings.bound
  }

  start(): void {
    const { data, bound } = this.#settings
    data.on('ready', this.begin)
    data.on('lost', this.lose)
    data.client.on('message', this.onMessage)
    this.#timer = setInterval(this.#tick, bound / BEATS_PER_BOUND).unref()
    if (data.isReady) this.begin()
    else data.connect()
  }

  async stop(): Promise<void> {
    const { data } = this.#settings
    clearInterval(this.#timer)
    this.lose()
    data.off('ready', this.begin)
    data.off('lost', this.lose)
    data.client.off('message', this.onMessage)
    await this.release()
  }

  /** Subscribes on a new connection. `isCurrent`: whether it is still that one. `false`: not yet. */
  protected abstract subscribe(isCurrent: () => boolean): Promise<boolean>

  /** Asks the server for a heartbeat. */
  protected abstract ask(sent: Moment): Promise<Answer>

  /** The server has answered the heartbeat that was sent then: renews the lease, if that answer is what it counts from. */
  protected abstract answered(answer: Answer, sent: Moment): void

  /** The server refuses the subscription. */
  protected abstract deaf(error: Error): void

  /** The server refuses a heartbeat. */
  protected refused(_error: Error): void {}

  /** The link begins anew or has ended. */
  protected lost(): void {}

  /** Lets go of what the link has made. */
  protected abstract release(): Promise<void>

  /** Takes a message of a channel of this link’s. */
  protected hear(_channel: string, message: string): void {
    const { listener } = this.#settings
    // Anyone who may publish on the channel could send anything, so only what has the form of a message counts.
    const [, version, key] = MESSAGE.exec(message) ?? []
    if (key === undefined) return
    if (version === undefined) listener.deleted(key)
    else listener.saved(key, Number(version))
  }

  /** From here on nothing may be served until a new lease, and nothing that was cached before. */
  protected void(): void {
    this.expire()
    this.lapse()
  }

  /** Until the next heartbeat, which then begins a new generation, nothing may be served, whatever the clocks say. */
  lapse(): void {
    this.#lease = NEVER
  }

  /** Nothing that was cached before may be served any more. */
  expire(): void {
    this.generation = ++lastGeneration
  }

  /** `state`: what the heartbeat found. If that has changed, or the lease had lapsed, messages may have been missed. */
  protected renew(sent: Moment, state: string): void {
    this.#ticks = 0
    if (state !== this.#state || !this.vouches()) this.expire()
    this.#state = state
    this.#lease = sent
  }

  /** The server is well, and has nothing to vouch for. */
  protected rest(): void {
    this.#ticks = 0
    this.void()
  }

  /** Sends a heartbeat now, and not with the next tick. */
  protected beat(): void {
    if (this.#subscribed) this.#beat(this.#round)
  }

  /** Messages may have been missed: what was cached is worth nothing, and nothing may be served until a new lease. */
  protected readonly lose = (): void => {
    this.#round++
    this.#subscribed = false
    this.#ticks = 0
    this.#unanswered = 0
    this.lost()
    this.void()
  }

  /** Begins anew, on a connection that is ready. */
  protected readonly begin = (): void => {
    this.lose()
    const round = this.#round
    this.subscribe(() => round === this.#round).then(
      (subscribed) => {
        if (!subscribed || round !== this.#round) return
        this.#subscribed = true
        this.#tick()
      },
      (error: unknown) => {
        if (round === this.#round && isAnswer(error)) this.deaf(error)
      },
    )
  }

  /** Makes the connections anew that are silent. `dataIsSilent`: whether the data connection is one of them. */
  protected giveUp(reason: Error, dataIsSilent: boolean): void {
    this.lose()
    if (dataIsSilent) this.#settings.data.giveUp(reason)
  }

  readonly #tick = (): void => {
    // Counted in ticks and not in time, so that a process that was itself held up does not blame the server.
    if (this.#ticks++ < BEATS_PER_BOUND * BOUNDS_OF_SILENCE) {
      this.beat()
    } else if (this.#subscribed) {
      const reason = new Error(`no heartbeat came back from Redis for ${BOUNDS_OF_SILENCE} times the coherence bound`)
      this.giveUp(reason, this.#unanswered >= BEATS_PER_BOUND * BOUNDS_OF_SILENCE)
    } else if (this.#settings.data.isReady) {
      this.begin()
    }
  }

  #beat(round: number): void {
    const sent = thisMoment()
    this.#unanswered++
    this.ask(sent).then(
      (answer) => {
        if (round !== this.#round) return
        this.#unanswered = 0
        this.answered(answer, sent)
      },
      (error: unknown) => {
        if (round !== this.#round || !isAnswer(error)) return
        // The server is there but does not let us write: it is a replica, or full, or not yet ready.
        this.#unanswered = 0
        this.#ticks = 0
        this.void()
        this.refused(error)
      },
    )
  }

  protected readonly onMessage = (channel: string, message: string): void => this.hear(channel, message)
}

/** Asked of the server, since ioredis falls back to RESP2 by itself, and iovalkey speaks nothing else. */
export async function speaksResp3(data: Connection): Promise<boolean> {
  try {
    const facts = (await data.run((client) => client.hello())) as unknown[]
    return Number(facts[facts.indexOf('proto') + 1]) === 3
  } catch (error) {
    if (isAnswer(error)) return false
    throw error
  }
}
