import { EventEmitter } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import { Deadline } from '../../deadline.ts'
import { SessionError, reasonOf } from '../../errors.ts'
import type { Milliseconds } from '../../units.ts'
import { explained, isAnswer } from './answers.ts'
import { letProcessEnd } from './background.ts'

const END_WITHIN: Milliseconds = 1000
/** How long after a refusal the database is asked for again. */
const SELECT_AGAIN: Milliseconds = 1000

/** What a connection needs to know. */
export interface ConnectionSettings {
  readonly deadline: Milliseconds
  /** What the server must allow, for the error that says that it does not. */
  readonly rights: string
}

/** An operation that begins once there is a usable connection. */
interface Waiting {
  begin(): void
  fail(error: Error): void
}

/**
 * One client that this store owns, with a deadline on every operation, and with the knowledge of whether the server
 * is known to be out of reach. A connection that is not on the database that was asked for is no connection: after a
 * refused SELECT it would be on database 0, among the keys of somebody else.
 *
 * Emits `ready` when a connection can be used and `lost` when it no longer can.
 */
export class Connection<Client extends Redis | Cluster = Redis | Cluster> extends EventEmitter<{
  ready: []
  lost: []
}> {
  readonly client: Client
  readonly #settings: ConnectionSettings
  readonly #deadline: Deadline
  /** Absent for a Cluster, which finds its servers, and queues for them, by itself. */
  readonly #single: Redis | undefined
  readonly #waiting = new Set<Waiting>()
  /** Why there is no connection, or none that is of use; undefined while there is, and while the first attempt is under way. */
  #failure: Error | undefined
  #isUsable = false
  #isGivenUp = false
  #answers = 0
  #isClosed = false
  /** The stream that holds back what is written to it, until the end of this turn. */
  #gathering: Redis['stream'] | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(client: Client, settings: ConnectionSettings) {
    super()
    this.client = client
    this.#settings = settings
    this.#deadline = new Deadline(settings.deadline)
    this.#single = client.isCluster ? undefined : (client as Redis)
    if (this.#single) letProcessEnd(this.#single)
    // A Cluster and a single client share these events, but not the types of their overloads.
    const events = client as unknown as EventEmitter
    events.on('ready', () => this.#arrive())
    events.on('error', (error: Error) => {
      // An error on a usable connection precedes its loss, and the first attempt to get it back may well succeed.
      if (!this.#isUsable) this.#fail(this.#explained(error))
    })
    events.on('close', () => this.#lose())
    events.on('end', () => this.#revive())
  }

  /** Not while a connection that was given up lingers, nor on one that the server has begun to close. */
  get isReady(): boolean {
    if (!this.#isUsable || this.#isGivenUp || this.client.status !== 'ready') return false
    return this.#single === undefined || this.#single.stream.writable
  }

  /**
   * Runs one operation and settles within the deadline, whatever the server does. Waits for the first connection, and
   * for the first attempt to get a lost one back; once an attempt has failed it rejects at once.
   */
  run<T>(operation: (client: Client) => Promise<T>): Promise<T> {
    const isReady = this.isReady
    if (this.#failure !== undefined && !isReady) return Promise.reject(this.#unreachable(this.#failure))
    return new Promise((resolve, reject) => {
      const answersBefore = this.#answers
      const underWay = this.#deadline.begin(() => {
        this.#waiting.delete(waiting)
        const error = unavailable(`no answer from Redis within ${this.#deadline.length} ms`)
        if (this.client.isCluster) {
          // A master that hangs tells nobody, not even by MOVED, who took over; the others know.
          ;(this.client as Cluster).refreshSlotsCache()
        } else if (this.#answers === answersBefore) {
          // Not a single answer to anything: the server hangs or the way to it is cut, and no event will ever say so.
          this.giveUp(error)
        }
        reject(error)
      })
      const fail = (error: unknown): void => {
        this.#deadline.end(underWay)
        if (isAnswer(error)) this.#answers++
        reject(this.#explained(error))
      }
      const begin = (): void => {
        this.#gather()
        operation(this.client).then((answer) => {
          this.#deadline.end(underWay)
          this.#answers++
          resolve(answer)
        }, fail)
      }
      const waiting: Waiting = { begin, fail }
      if (isReady || this.#single === undefined) return begin()
      this.#waiting.add(waiting)
      this.connect()
    })
  }

  /** Connects if nothing did so far. Never rejects: what becomes of it is told by the events. */
  connect(): void {
    if (this.client.status === 'wait') this.client.connect().catch(() => {})
  }

  /** Treats the server as out of reach from now on, and makes the connection anew. */
  giveUp(reason: Error): void {
    this.#failure = reason
    // Only a connection can be given up: to interrupt ioredis before it has one would end the client for ever.
    if (this.client.status !== 'ready' && this.client.status !== 'connect') return
    this.#isGivenUp = true
    this.client.disconnect(true)
  }

  /** Ends the connection and every attempt to get it back. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#fail(unavailable('the store is closed'))
    if (this.client.status === 'end') return
    const ended = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, END_WITHIN)
      ;(this.client as unknown as EventEmitter).once('end', () => {
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
        if (!isAnswer(error)) return this.giveUp(error as Error)
        this.#fail(this.#explained(error))
        this.#retry = setTimeout(() => isStill() && this.#arrive(), SELECT_AGAIN).unref()
      },
    )
  }

  #open(): void {
    // ioredis makes a timer for each command. It is needed while connecting, whose commands pass no `run`.
    if (this.#single) this.#single.options.commandTimeout = undefined
    this.#failure = undefined
    this.#isUsable = true
    this.#isGivenUp = false
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const operation of waiting) operation.begin()
    this.emit('ready')
  }

  #lose(): void {
    this.#isUsable = false
    this.#isGivenUp = false
    clearTimeout(this.#retry)
    if (this.#single) this.#single.options.commandTimeout = this.#settings.deadline
    if (this.#failure !== undefined) this.#fail(this.#failure)
    this.emit('lost')
  }

  /** From now on, until there is a usable connection, nothing is waited for. */
  #fail(error: Error): void {
    this.#failure = error
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const operation of waiting) operation.fail(this.#unreachable(error))
  }

  /** ioredis gives up for good in a few corners, such as an address it cannot even try; this store never does. */
  #revive(): void {
    this.#lose()
    if (this.#isClosed) return
    this.#failure ??= unavailable('the connection to Redis has ended')
    this.#retry = setTimeout(() => this.client.connect().catch(() => {}), 1000).unref()
  }

  /** What is asked in one turn of the event loop is sent together: to send costs more than all else about a command. */
  #gather(): void {
    if (this.#gathering || this.#single === undefined) return
    this.#gathering = this.#single.stream
    this.#gathering.cork()
    setImmediate(this.#send)
  }

  readonly #send = (): void => {
    this.#gathering?.uncork()
    this.#gathering = undefined
  }

  #unreachable(cause: Error): SessionError {
    if (cause instanceof SessionError) return cause
    return unavailable(`Redis cannot be reached: ${cause.message || reasonOf(cause)}`, cause)
  }

  #explained(error: unknown): Error {
    // ioredis speaks of its option here, which the reader has not set.
    const isLost = error instanceof Error && error.name === 'MaxRetriesPerRequestError'
    if (isLost) return unavailable('the connection to Redis was lost or could not be made', this.#failure)
    return explained(error, this.#settings.rights)
  }
}

function unavailable(message: string, cause?: Error): SessionError {
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', message, cause && { cause })
}
