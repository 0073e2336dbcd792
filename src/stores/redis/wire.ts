/**
 * The commands that this store sends to one server, or through a Cluster's client to all of them. Nothing else is asked
 * of a client library; those of ioredis have these methods by themselves.
 *
 * Replies have the form that RESP2 gives them, whatever the connection speaks. A refusal of the server's is an error with
 * the name `ReplyError`, whose message is what the server said.
 */
export interface Commands {
  /** Whether the commands go to a Cluster. */
  readonly isCluster: boolean
  get(name: string): Promise<string | null>
  del(name: string): Promise<number>
  exists(name: string): Promise<number>
  eval(lua: string, keys: number, ...keysAndArguments: (string | number)[]): Promise<unknown>
  evalsha(sha: string, keys: number, ...keysAndArguments: (string | number)[]): Promise<unknown>
  scan(cursor: string, match: 'MATCH', pattern: string, count: 'COUNT', atATime: number): Promise<unknown>
  zscan(name: string, cursor: string, count: 'COUNT', atATime: number): Promise<unknown>
  /** Each member is followed by its score. */
  zrange(name: string, first: number, last: string, withScores: 'WITHSCORES'): Promise<string[]>
  ping(): Promise<unknown>
  info(): Promise<unknown>
  /** Names and values in turn. */
  hello(): Promise<unknown>
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  /** Messages of the subscribed channels, in order with the replies. */
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
}

/** Hears what becomes of a wire. */
export interface WireListener {
  /** There is a connection, on its database, and it can be used. */
  opened(): void
  /** An attempt to connect has failed, or the connection breaks. */
  failed(error: Error): void
  /** There is no connection any more, or not yet again. `reason`: why, if nothing better is known. */
  lost(reason?: Error): void
}

/**
 * A connection by way of a client library, which is made anew whenever it is lost. `connection.ts` adds the deadlines.
 *
 * What a wire must hold, because sessions depend on it: a command is sent once at most, to the database that was asked
 * for; what waits for an answer when the connection is lost rejects; nothing is subscribed again by itself; and none of
 * it keeps the process alive, but for a Cluster's client.
 */
export interface Wire<Client extends Commands = Commands> {
  readonly client: Client
  /** Whether a command can be sent now. */
  readonly isOpen: boolean
  /** Whether commands may be given to the client before there is a connection. */
  readonly queues: boolean
  /** The one that hears of it. */
  listen(listener: WireListener): void
  /** Connects, if nothing did so far. */
  connect(): void
  /** Cuts the connection, whatever is under way, and makes another. `false`: there was nothing to cut. */
  cut(): boolean
  /** What is asked in this turn of the event loop is to be sent together. */
  gather(): void
  /** A server does not answer: looks for the one that has taken over, if the servers of this wire can change. */
  lookAgain(): void
  /** Ends the connection and every attempt to get it back. */
  close(): Promise<void>
}

/** For a wire that nobody listens to. */
export const DEAF: WireListener = { opened() {}, failed() {}, lost() {} }
