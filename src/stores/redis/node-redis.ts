import { EventEmitter } from 'node:events'
import type { Milliseconds } from '../../units.ts'
import { ConnectionLost } from './answers.ts'
import { retryDelay } from './retry.ts'
import { DEAF, type Commands, type Wire, type WireListener } from './wire.ts'

/** What is used of a client of node-redis (the package `redis`, 5 and 6). Its own types are not needed to read ours. */
export interface NodeRedis {
  readonly isReady: boolean
  readonly options?: NodeRedisOptions | undefined
  duplicate(overrides: object): NodeRedis
  connect(): Promise<unknown>
  destroy(): void
  unref(): void
  sendCommand(command: readonly string[]): Promise<unknown>
  subscribe(channels: readonly string[], listener: (message: string, channel: string) => void): Promise<unknown>
  unsubscribe(channels: readonly string[]): Promise<unknown>
  on(event: 'error' | 'ready', listener: (error: Error) => void): unknown
}

interface NodeRedisOptions {
  readonly keyPrefix?: unknown
  readonly database?: unknown
  readonly socket?: { readonly connectTimeout?: number }
}

/**
 * A client of node-redis as a wire. Each connection is a client of its own, which ends with it: so nothing that it had
 * queued, subscribed or waited for comes over to the next one.
 */
export class NodeRedisWire implements Wire<NodeRedisCommands> {
  readonly client: NodeRedisCommands
  readonly queues = false
  readonly #pattern: NodeRedis
  readonly #deadline: Milliseconds
  #listener: WireListener = DEAF
  /** The client of the connection that there is, or that is being made. */
  #present: NodeRedis | undefined
  /** Destroys the socket of that client, however far it is. */
  #scissors = new AbortController()
  /** Until the connection must be there, or until the next attempt. */
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #hasBegun = false
  #isClosed = false

  /** `pattern`: a client to make others like. */
  constructor(pattern: NodeRedis, deadline: Milliseconds) {
    this.#pattern = pattern
    this.#deadline = deadline
    this.client = new NodeRedisCommands(() => this.#present)
  }

  get isOpen(): boolean {
    return this.#present?.isReady === true
  }

  listen(listener: WireListener): void {
    this.#listener = listener
  }

  connect(): void {
    if (this.#hasBegun || this.#isClosed) return
    this.#hasBegun = true
    this.#attempt()
  }

  cut(): boolean {
    if (this.#present === undefined) return false
    this.#drop()
    return true
  }

  /** node-redis sends what is asked in one turn together by itself. */
  gather(): void {}

  lookAgain(): void {}

  async close(): Promise<void> {
    this.#isClosed = true
    this.#drop()
  }

  #attempt(): void {
    const scissors = new AbortController()
    const client = this.#pattern.duplicate(ours(this.#pattern.options, this.#deadline, scissors.signal))
    this.#present = client
    this.#scissors = scissors
    client.unref()
    const fail = (error: Error): void => {
      // A client whose connection has ended has errors to tell that concern nobody.
      if (client !== this.#present) return
      this.#listener.failed(inWordsOfServer(error))
      this.#drop()
    }
    client.on('error', fail)
    client.on('ready', () => {
      if (client !== this.#present) return
      clearTimeout(this.#timer)
      this.#failures = 0
      this.#listener.opened()
    })
    // node-redis waits for the end of its greeting for ever.
    const late = new Error(`no answer from Redis within ${this.#deadline} ms`)
    this.#timer = setTimeout(() => fail(late), this.#deadline).unref()
    client.connect().catch(fail)
  }

  #drop(): void {
    clearTimeout(this.#timer)
    const client = this.#present
    this.#present = undefined
    if (client) {
      try {
        client.destroy()
      } catch {
        // node-redis 5 complains if it has ended by itself.
      }
      this.#scissors.abort()
    }
    this.#listener.lost()
    if (!this.#isClosed) this.#timer = setTimeout(() => this.#attempt(), retryDelay(++this.#failures)).unref()
  }
}

/** The commands of this store, said to node-redis. */
export class NodeRedisCommands
  extends EventEmitter<{ message: [channel: string, message: string] }>
  implements Commands
{
  readonly isCluster = false
  readonly #present: () => NodeRedis | undefined

  constructor(present: () => NodeRedis | undefined) {
    super()
    this.#present = present
  }

  get(name: string): Promise<string | null> {
    return this.#send('GET', name) as Promise<string | null>
  }

  del(name: string): Promise<number> {
    return this.#send('DEL', name) as Promise<number>
  }

  exists(name: string): Promise<number> {
    return this.#send('EXISTS', name) as Promise<number>
  }

  eval(lua: string, keys: number, ...keysAndArguments: (string | number)[]): Promise<unknown> {
    return this.#send('EVAL', lua, keys, ...keysAndArguments)
  }

  evalsha(sha: string, keys: number, ...keysAndArguments: (string | number)[]): Promise<unknown> {
    return this.#send('EVALSHA', sha, keys, ...keysAndArguments)
  }

  scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', atATime: number): Promise<unknown> {
    return this.#send('SCAN', cursor, match, pattern, count, atATime)
  }

  zscan(name: string, cursor: string, count: 'COUNT', atATime: number): Promise<unknown> {
    return this.#send('ZSCAN', name, cursor, count, atATime)
  }

  async zrange(name: string, first: number, last: string, withScores: 'WITHSCORES'): Promise<string[]> {
    const reply = (await this.#send('ZRANGE', name, first, last, withScores)) as unknown[]
    // With RESP3 each member is paired with its score, which is a number.
    return reply.flat().map(String)
  }

  ping(): Promise<unknown> {
    return this.#send('PING')
  }

  info(): Promise<unknown> {
    return this.#send('INFO')
  }

  async hello(): Promise<unknown> {
    const reply = await this.#send('HELLO')
    // With RESP3 it is a map.
    return Array.isArray(reply) ? reply : Object.entries(reply as object).flat()
  }

  subscribe(...channels: string[]): Promise<unknown> {
    return this.#ask((client) => client.subscribe(channels, this.#hear))
  }

  unsubscribe(...channels: string[]): Promise<unknown> {
    return this.#ask((client) => client.unsubscribe(channels))
  }

  /** The same one for every subscription: node-redis tells a message once to each listener that it has been given. */
  readonly #hear = (message: string, channel: string): void => void this.emit('message', channel, message)

  #send(...command: (string | number)[]): Promise<unknown> {
    return this.#ask((client) => client.sendCommand(command.map(String)))
  }

  #ask(question: (client: NodeRedis) => Promise<unknown>): Promise<unknown> {
    const client = this.#present()
    if (!client?.isReady) return Promise.reject(new ConnectionLost('there is no connection to Redis'))
    return question(client).catch((error: Error) => {
      // While there is the connection, only the server refuses a command.
      if (client.isReady && client === this.#present()) throw answer(error)
      throw new ConnectionLost('the connection to Redis was lost', { cause: error })
    })
  }
}

/** The settings of this store, over those of the application’s client. */
function ours(given: NodeRedisOptions | undefined, deadline: Milliseconds, signal: AbortSignal): object {
  return {
    keyPrefix: '',
    // The timer that each command has otherwise, and other forms of replies.
    commandOptions: { timeout: undefined, typeMapping: {} },
    // What waits when the connection is lost rejects, also what has not been sent.
    disableOfflineQueue: true,
    commandsQueueMaxLength: undefined,
    readonly: false,
    pingInterval: 0,
    clientSideCache: undefined,
    emitInvalidate: false,
    // It would take the subscription to another connection, where messages come in another order.
    maintNotifications: 'disabled',
    socket: {
      ...given?.socket,
      signal,
      connectTimeout: Math.min(given?.socket?.connectTimeout ?? deadline, deadline),
      socketTimeout: undefined,
      // It is not asked twice: this client is destroyed when the connection is lost.
      reconnectStrategy: () => 0,
    },
  }
}

/** The server's refusal, under the name that ioredis gives it. */
function answer({ message }: Error): Error {
  const error = new Error(message)
  error.name = 'ReplyError'
  return error
}

/** An error of connecting, which may be a refusal of the server's; these begin with a word in capitals. */
function inWordsOfServer(error: Error): Error {
  return /^[A-Z]+ /.test(error.message) ? answer(error) : error
}
