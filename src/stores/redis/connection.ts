import { EventEmitter } from 'node:events'
import { Deadline } from '../../deadline.ts'
import { SessionError, reasonOf } from '../../errors.ts'
import type { Milliseconds } from '../../units.ts'
import { explained, isAnswer, isLoss } from './answers.ts'
import type { Commands, Wire } from './wire.ts'

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
 * One wire that this store owns, with a deadline on every operation, and with the knowledge of whether the server is
 * known to be out of reach.
 *
 * Emits `ready` when a connection can be used and `lost` when it no longer can.
 */
export class Connection<Client extends Commands = Commands> extends EventEmitter<{ ready: []; lost: [] }> {
  readonly client: Client
  readonly #wire: Wire<Client>
  readonly #settings: ConnectionSettings
  readonly #deadline: Deadline
  readonly #waiting = new Set<Waiting>()
  /** Why there is no connection, or none that is of use; undefined while there is, and while the first attempt is under way. */
  #failure: Error | undefined
  #isUsable = false
  #isGivenUp = false
  #answers = 0
  #isClosed = false

  constructor(wire: Wire<Client>, settings: ConnectionSettings) {
    super()
    this.client = wire.client
    this.#wire = wire
    this.#settings = settings
    this.#deadline = new Deadline(settings.deadline)
    wire.listen({
      opened: () => this.#open(),
      failed: (error) => {
        // An error on a usable connection precedes its loss, and the first attempt to get it back may well succeed.
        if (!this.#isUsable) this.#fail(this.#explained(error))
      },
      lost: (reason) => this.#lose(reason),
    })
  }

  /** Not while a connection that was given up lingers. */
  get isReady(): boolean {
    return this.#isUsable && !this.#isGivenUp && this.#wire.isOpen
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
        // A master of a Cluster that hangs tells nobody, not even by MOVED, who took over; the others know.
        if (this.#wire.queues) this.#wire.lookAgain()
        // Not a single answer to anything: the server hangs or the way to it is cut, and no event will ever say so.
        else if (this.#answers === answersBefore) this.giveUp(error)
        reject(error)
      })
      const fail = (error: unknown): void => {
        this.#deadline.end(underWay)
        if (isAnswer(error)) this.#answers++
        reject(this.#explained(error))
      }
      const begin = (): void => {
        this.#wire.gather()
        operation(this.client).then((answer) => {
          this.#deadline.end(underWay)
          this.#answers++
          resolve(answer)
        }, fail)
      }
      const waiting: Waiting = { begin, fail }
      if (isReady || this.#wire.queues) return begin()
      this.#waiting.add(waiting)
      this.connect()
    })
  }

  /** Connects if nothing did so far. What becomes of it is told by the events. */
  connect(): void {
    this.#wire.connect()
  }

  /** Treats the server as out of reach from now on, and makes the connection anew. */
  giveUp(reason: Error): void {
    this.#failure = reason
    // Once: many operations may find out in one turn, and what was cut needs a while to end.
    this.#isGivenUp ||= this.#wire.cut()
  }

  /** Ends the connection and every attempt to get it back. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#fail(unavailable('the store is closed'))
    await this.#wire.close()
  }

  #open(): void {
    this.#failure = undefined
    this.#isUsable = true
    this.#isGivenUp = false
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const operation of waiting) operation.begin()
    this.emit('ready')
  }

  #lose(reason: Error | undefined): void {
    this.#isUsable = false
    this.#isGivenUp = false
    this.#failure ??= reason && this.#unreachable(reason)
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

  #unreachable(cause: Error): SessionError {
    if (cause instanceof SessionError) return cause
    return unavailable(`Redis cannot be reached: ${cause.message || reasonOf(cause)}`, cause)
  }

  #explained(error: unknown): Error {
    // The libraries speak of their options here, which the reader has not set.
    if (isLoss(error)) return unavailable('the connection to Redis was lost or could not be made', this.#failure)
    return explained(error, this.#settings.rights)
  }
}

function unavailable(message: string, cause?: Error): SessionError {
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', message, cause && { cause })
}
