import type { EventEmitter } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import type { Milliseconds } from '../../units.ts'
import { isAnswer } from './answers.ts'
import { letProcessEnd } from './background.ts'
import { DEAF, type Wire, type WireListener } from './wire.ts'

const END_WITHIN: Milliseconds = 1000
/** How long after a refusal the database is asked for again. */
const SELECT_AGAIN: Milliseconds = 1000
/** How long after its end a client is told to connect all the same. */
const REVIVE_AFTER: Milliseconds = 1000

/**
 * A client of ioredis or of iovalkey as a wire. The settings in `client.ts` keep it from resending and queueing.
 *
 * A connection that is not on the database that was asked for is no connection: after a refused SELECT it would be on
 * database 0, among the keys of somebody else.
 */
export class IoredisWire<Client extends Redis | Cluster> implements Wire<Client> {
  readonly client: Client
  readonly #deadline: Milliseconds
  /** Absent for a Cluster, which finds its servers, and queues for them, by itself. */
  readonly #single: Redis | undefined
  readonly #events: EventEmitter
  #listener: WireListener = DEAF
  #isClosed = false
  /** The stream that holds back what is written to it, until the end of this turn. */
  #gathering: Redis['stream'] | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(client: Client, deadline: Milliseconds) {
    this.client = client
    this.#deadline = deadline
    this.#single = client.isCluster ? undefined : (client as Redis)
    if (this.#single) letProcessEnd(this.#single)
    // A Cluster and a single client share these events, but not the types of their overloads.
    this.#events = client
    this.#events.on('ready', () => this.#arrive())
    this.#events.on('error', (error: Error) => this.#listener.failed(error))
    this.#events.on('close', () => this.#lose())
    this.#events.on('end', () => this.#revive())
  }

  /** Not on a connection that the server has begun to close. */
  get isOpen(): boolean {
    if (this.client.status !== 'ready') return false
    return this.#single === undefined || this.#single.stream.writable
  }

  get queues(): boolean {
    return this.#single === undefined
  }

  listen(listener: WireListener): void {
    this.#listener = listener
  }

  connect(): void {
    if (this.client.status === 'wait') this.client.connect().catch(() => {})
  }

  cut(): boolean {
    // To interrupt ioredis before it has a connection would end the client for ever.
    if (this.client.status !== 'ready' && this.client.status !== 'connect') return false
    this.client.disconnect(true)
    return true
  }

  /** To send costs more than all else about a command. */
  gather(): void {
    if (this.#gathering || this.#single === undefined) return
    this.#gathering = this.#single.stream
    this.#gathering.cork()
    setImmediate(this.#send)
  }

  lookAgain(): void {
    if (this.client.isCluster) (this.client as Cluster).refreshSlotsCache()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retry)
    if (this.client.status === 'end') return
    const ended = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, END_WITHIN)
      this.#events.once('end', () => {
        clearTimeout(timer)
        resolve()
      })
    })
    this.client.disconnect()
    await ended
  }

  /** The server can be talked to. Before anything is asked of it, it must have put us on the database. */
  #arrive(): void {
    const database = this.#single?.options.db ?? 0
    // A new connection is on database 0 by itself.
    if (database === 0) return this.#open()
    const { stream } = this.#single as Redis
    const isStill = (): boolean => this.#single?.stream === stream && this.#single.status === 'ready'
    ;(this.#single as Redis).select(database).then(
      () => {
        if (isStill()) this.#open()
      },
      (error: unknown) => {
        if (!isStill()) return
        this.#listener.failed(error as Error)
        if (isAnswer(error)) this.#retry = setTimeout(() => isStill() && this.#arrive(), SELECT_AGAIN).unref()
        else this.cut()
      },
    )
  }

  #open(): void {
    // ioredis makes a timer for each command. It is needed while connecting, whose commands have no other deadline.
    if (this.#single) this.#single.options.commandTimeout = undefined
    this.#listener.opened()
  }

  #lose(reason?: Error): void {
    clearTimeout(this.#retry)
    if (this.#single) this.#single.options.commandTimeout = this.#deadline
    this.#listener.lost(reason)
  }

  /** ioredis gives up for good in a few corners, such as an address it cannot even try; this store never does. */
  #revive(): void {
    this.#lose(new Error('the connection has ended'))
    if (this.#isClosed) return
    this.#retry = setTimeout(() => this.client.connect().catch(() => {}), REVIVE_AFTER).unref()
  }

  readonly #send = (): void => {
    this.#gathering?.uncork()
    this.#gathering = undefined
  }
}
