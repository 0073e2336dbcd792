import { EventEmitter } from 'node:events'
import type { RedisClient } from '../../src/stores/redis.ts'
import { BEAT, DELETE, SAVE } from '../../src/stores/redis/scripts.ts'
import type { Milliseconds } from '../../src/units.ts'
import type { SimulatedClock } from '../support/simulated-clock.ts'

/** How long a packet takes one way. */
export type Delay = () => Milliseconds

type Answer = string | number | null | readonly unknown[]

/**
 * One Redis in simulated time, as far as `redisStore` uses it: its values, its scripts, its channels, and connections over
 * which commands, answers and messages travel in order. A connection has the form of a client of ioredis, so that all of
 * the library's own code runs as it is.
 */
export class SimulatedRedis {
  readonly clock: SimulatedClock
  readonly #values = new Map<string, string>()
  readonly #listeners = new Map<string, Set<SimulatedConnection>>()
  /** Messages that were sent to listeners. */
  delivered = 0
  /** Whether the scripts tell nobody what they write. */
  isMute = false

  constructor(clock: SimulatedClock) {
    this.clock = clock
  }

  /** A client to make a store of; it is copied, and never used itself. */
  client(delay: Delay, protocol: 2 | 3 = 3): { client: RedisClient; connections: readonly SimulatedConnection[] } {
    const connections: SimulatedConnection[] = []
    const make = (): SimulatedConnection => {
      const connection = new SimulatedConnection(this, delay, protocol)
      connection.duplicate = () => {
        const made = make()
        connections.push(made)
        return made
      }
      return connection
    }
    return { client: make(), connections }
  }

  get(name: string): string | null {
    return this.#values.get(name) ?? null
  }

  /** Puts a value there, or takes it away, of which nobody is told. */
  put(name: string, value: string | undefined): void {
    if (value === undefined) this.#values.delete(name)
    else this.#values.set(name, value)
  }

  subscribe(channel: string, connection: SimulatedConnection): void {
    const listeners = this.#listeners.get(channel)
    if (listeners) listeners.add(connection)
    else this.#listeners.set(channel, new Set([connection]))
  }

  unsubscribe(connection: SimulatedConnection): void {
    for (const listeners of this.#listeners.values()) listeners.delete(connection)
  }

  /** Runs a script: what the Lua of the same name does. */
  run(sha: string, keys: readonly string[], args: readonly string[]): Answer {
    const [name = ''] = keys
    switch (sha) {
      case SAVE.publishing.sha:
        return this.#save(name, args)
      case DELETE.publishing.sha:
        return this.#delete(name, args)
      case BEAT.sha:
        return this.#beat(name, args)
      default:
        throw new Error('this script is not simulated')
    }
  }

  #save(name: string, [, channel = '', key = '', expected = '', end = '', , text = '']: readonly string[]): Answer {
    const held = this.#values.get(name)
    const before = held?.split('|', 2)[1]
    if (before === undefined && expected !== '') return ['gone']
    if (before !== undefined && before !== expected) return ['conflict', held]
    // Microseconds, as the server's TIME has them.
    const version = `${Math.max(Math.floor(Date.now() * 1000), Number(before ?? 0) + 1)}`
    this.#tell(channel, `s${version} ${key}`)
    this.#values.set(name, `${end}|${version}|${text}`)
    return version
  }

  #delete(name: string, [, channel = '', key = '', expected = '']: readonly string[]): Answer {
    const held = this.#values.get(name)
    if (held !== undefined && expected !== '' && held.split('|', 2)[1] !== expected) return ['conflict', held]
    this.#tell(channel, `d ${key}`)
    return this.#values.delete(name) ? 1 : 0
  }

  #beat(name: string, [fresh = '', , channel = '', message = '']: readonly string[]): Answer {
    const epoch = this.#values.get(name) ?? fresh
    this.#values.set(name, epoch)
    if (channel !== '') this.#publish(channel, `${message} ${epoch}`)
    return epoch
  }

  #tell(channel: string, message: string): void {
    if (!this.isMute) this.#publish(channel, message)
  }

  #publish(channel: string, message: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      this.delivered++
      listener.push(channel, message)
    }
  }
}

/** A connection to it, as a client of ioredis shows it. What cannot happen in the simulation is not there. */
export class SimulatedConnection extends EventEmitter {
  readonly isCluster = false
  readonly options: { protocol: 2 | 3; db: number; commandTimeout?: number }
  readonly stream: Record<'cork' | 'uncork' | 'unref', () => void> & { readonly writable: boolean } = {
    writable: true,
    cork() {},
    uncork() {},
    unref() {},
  }
  status: 'wait' | 'connecting' | 'ready' | 'reconnecting' | 'end' = 'wait'
  duplicate: () => SimulatedConnection = () => this
  readonly #server: SimulatedRedis
  readonly #delay: Delay
  readonly #underWay = new Set<(error: Error) => void>()
  /** When what was last sent arrives, there and back: nothing overtakes it. */
  #thereAt: Milliseconds = 0
  #backAt: Milliseconds = 0
  #heldUntil: Milliseconds = 0
  /** Grows with each connection, so that what belongs to an earlier one is lost with it. */
  #round = 0

  constructor(server: SimulatedRedis, delay: Delay, protocol: 2 | 3) {
    super()
    this.#server = server
    this.#delay = delay
    this.options = { protocol, db: 0 }
  }

  defineCommand(): void {}

  async connect(): Promise<void> {
    this.status = 'connecting'
    const round = this.#round
    this.#later(this.#server.clock.now + 2 * this.#delay(), () => {
      if (round !== this.#round) return
      this.status = 'ready'
      this.#thereAt = this.#backAt = 0
      this.emit('connect')
      this.emit('ready')
    })
  }

  /** As ioredis does it: what is under way fails, and with `again` there is soon a new connection. */
  disconnect(again = false): void {
    if (this.status === 'end') return
    this.#round++
    this.#server.unsubscribe(this)
    this.status = again ? 'reconnecting' : 'end'
    const lost = new Error('Connection is closed.')
    for (const fail of this.#underWay) fail(lost)
    this.#underWay.clear()
    this.#later(this.#server.clock.now, () => {
      this.emit('close')
      if (again) void this.connect()
      else this.emit('end')
    })
  }

  /** Nothing comes through, either way, for this long; what was sent arrives afterwards. */
  hold(length: Milliseconds): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#server.clock.now + length)
  }

  /** A message for this connection. */
  push(channel: string, message: string): void {
    this.#comeBack(() => this.emit('message', channel, message))
  }

  get(name: string): Promise<string | null> {
    return this.#ask(() => this.#server.get(name))
  }

  evalsha(sha: string, keys: number, ...args: readonly (string | number)[]): Promise<Answer> {
    const texts = args.map(String)
    return this.#ask(() => this.#server.run(sha, texts.slice(0, keys), texts.slice(keys)))
  }

  hello(): Promise<readonly unknown[]> {
    return this.#ask(() => ['proto', this.options.protocol])
  }

  info(): Promise<string> {
    return this.#ask(() => 'redis_version:7.0.15')
  }

  subscribe(...channels: string[]): Promise<number> {
    return this.#ask(() => {
      for (const channel of channels) this.#server.subscribe(channel, this)
      return channels.length
    })
  }

  async unsubscribe(): Promise<void> {
    await this.#ask(() => this.#server.unsubscribe(this))
  }

  #ask<T>(execute: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.status !== 'ready') return reject(new Error('Connection is closed.'))
      this.#underWay.add(reject)
      const round = this.#round
      this.#thereAt = Math.max(this.#thereAt, this.#arrivesAt())
      this.#server.clock.at(this.#thereAt, () => {
        if (round !== this.#round) return
        const answer = execute()
        this.#comeBack(() => {
          this.#underWay.delete(reject)
          this.#server.clock.stir()
          resolve(answer)
        })
      })
    })
  }

  #comeBack(arrive: () => void): void {
    const round = this.#round
    this.#backAt = Math.max(this.#backAt, this.#arrivesAt())
    this.#server.clock.at(this.#backAt, () => {
      if (round === this.#round) arrive()
    })
  }

  #arrivesAt(): Milliseconds {
    return Math.max(this.#server.clock.now, this.#heldUntil) + this.#delay()
  }

  #later(at: Milliseconds, run: () => void): void {
    this.#server.clock.at(at, () => {
      this.#server.clock.stir()
      run()
    })
  }
}
