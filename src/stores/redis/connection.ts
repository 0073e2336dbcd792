import { EventEmitter } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import { Deadline } from '../../deadline.ts'
import type { Milliseconds } from '../../units.ts'

const END_WITHIN: Milliseconds = 1000

/**
 * One client that this store owns, with a deadline on every operation, and with the knowledge of whether the server
 * is known to be out of reach.
 *
 * Emits `ready` when a connection can be used and `lost` when it no longer can.
 */
export class Connection<Client extends Redis | Cluster = Redis | Cluster> extends EventEmitter<{
  ready: []
  lost: []
}> {
  readonly client: Client
  readonly #deadline: Deadline
  /** Why the last attempt to connect failed; undefined while connected, and while the first attempt is under way. */
  #failure: Error | undefined
  #isGivenUp = false
  #answers = 0
  #closed = false
  /** The stream that holds back what is written to it, until the end of this turn. */
  #gathering: Redis['stream'] | undefined
  #revival: NodeJS.Timeout | undefined

  constructor(client: Client, deadline: Milliseconds) {
    super()
    this.client = client
    this.#deadline = new Deadline(deadline)
    // A Cluster and a single client share these events, but not the types of their overloads.
    const events = client as unknown as EventEmitter
    // ioredis makes a timer for each command. It is needed while connecting, whose commands pass no `run`.
    const single = client.isCluster ? undefined : (client as Redis).options
    events.on('ready', () => {
      if (single) single.commandTimeout = undefined
      this.#failure = undefined
      this.#isGivenUp = false
      this.emit('ready')
    })
    events.on('error', (error: Error) => {
      // An error on a usable connection precedes its loss, and the first attempt to get it back may well succeed.
      if (!this.isReady) this.#failure = withoutArguments(error)
    })
    events.on('close', () => {
      if (single) single.commandTimeout = deadline
      this.emit('lost')
    })
    events.on('end', () => this.#revive())
  }

  /** Not while a connection that was given up lingers: what it is sent now would wait for the next one. */
  get isReady(): boolean {
    return this.client.status === 'ready' && !this.#isGivenUp
  }

  /**
   * Runs one operation and settles within the deadline, whatever the server does. Waits for the first connection, and
   * for the first attempt to get a lost one back; once an attempt has failed it rejects at once.
   */
  run<T>(operation: (client: Client) => Promise<T>): Promise<T> {
    if (this.#failure !== undefined && !this.isReady) {
      return Promise.reject(new Error('Redis cannot be reached; see the cause', { cause: this.#failure }))
    }
    return new Promise((resolve, reject) => {
      const answersBefore = this.#answers
      const waiting = this.#deadline.begin(() => {
        const error = new Error(`no answer from Redis within ${this.#deadline.length} ms`)
        if (this.client.isCluster) {
          // A master that hangs tells nobody, not even by MOVED, who took over; the others know.
          ;(this.client as Cluster).refreshSlotsCache()
        } else if (this.#answers === answersBefore) {
          // Not a single answer to anything: the server hangs or the way to it is cut, and no event will ever say so.
          this.giveUp(error)
        }
        reject(error)
      })
      this.#gather()
      operation(this.client).then(
        (answer) => {
          this.#deadline.end(waiting)
          this.#answers++
          resolve(answer)
        },
        (error: unknown) => {
          this.#deadline.end(waiting)
          if (isAnswer(error)) this.#answers++
          reject(this.#explained(error))
        },
      )
    })
  }

  /** What is asked in one turn of the event loop is sent together: to send costs more than all else about a command. */
  #gather(): void {
    if (this.#gathering || this.client.isCluster || !this.isReady) return
    this.#gathering = (this.client as Redis).stream
    this.#gathering.cork()
    setImmediate(this.#send)
  }

  readonly #send = (): void => {
    this.#gathering?.uncork()
    this.#gathering = undefined
  }

  /** Connects if nothing did so far. Never rejects: what becomes of it is told by the events. */
  connect(): void {
    if (this.client.status === 'wait') this.client.connect().catch(() => {})
  }

  /** Treats the server as out of reach from now on, and makes the connection anew. */
  giveUp(reason: Error): void {
    this.#failure = reason
    // Only a connection can be given up: to interrupt ioredis before it has one would end the client for ever.
    if (!this.isReady && this.client.status !== 'connect') return
    this.#isGivenUp = true
    this.client.disconnect(true)
  }

  /** Ends the connection and every attempt to get it back. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#revival)
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

  /** ioredis gives up for good in a few corners, such as an address it cannot even try; this store never does. */
  #revive(): void {
    this.emit('lost')
    if (this.#closed) return
    this.#failure ??= new Error('the connection to Redis has ended')
    this.#revival = setTimeout(() => this.client.connect().catch(() => {}), 1000)
  }

  #explained(error: unknown): unknown {
    // ioredis speaks of its option here, which the reader has not set.
    if (error instanceof Error && error.name === 'MaxRetriesPerRequestError') {
      return new Error('the connection to Redis was lost or could not be made', { cause: this.#failure })
    }
    return withoutArguments(error)
  }
}

/** Whether the server itself said no. */
export function isAnswer(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** ioredis attaches the failed command to its errors: a session's text, or the password that was refused. */
function withoutArguments<T>(error: T): T {
  let inner: unknown = error
  for (let depth = 0; depth < 5 && inner instanceof Error; depth++) {
    const carrier: Error & { command?: unknown; lastNodeError?: unknown } = inner
    delete carrier.command
    inner = carrier.cause ?? carrier.lastNodeError
  }
  return error
}
