import { LONGEST_TIMER } from '../deadline.ts'
import type { Deleted, Found, Listener, Saved, Store, Watch } from '../store.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import { keptInstant, notOurs, parseValue, thirteenDigits } from './envelope.ts'
import { checks, parseAddress } from './redis/address.ts'
import { answerOf } from './redis/answers.ts'
import { makerFromAddress, makerFromClient, type Maker } from './redis/client.ts'
import { keysUnder } from './redis/keys.ts'
import { placeOf } from './redis/place.ts'
import { rightsFor } from './redis/rights.ts'
import { DELETE, SAVE, TOUCH } from './redis/scripts.ts'
import { redisSubjects } from './redis/subjects.ts'
import { Writer } from './redis/writer.ts'
import { checkedDeadline, numberIn } from './store-options.ts'

/**
 * A client of the application's, of one of these packages:
 * - `ioredis` 6 or 5, or `iovalkey`: a `Redis`, also one for Sentinel, or a `Cluster`
 * - `redis` (node-redis) 6 or 5: what `createClient()` makes. Its Sentinel, Cluster and pool are refused.
 *
 * Only its method `duplicate` is called, which makes the clients that the store uses.
 */
export type RedisClient = IoredisClient | NodeRedisClient

/** A `Redis` or a `Cluster` of ioredis or iovalkey. */
export interface IoredisClient {
  /** Where its connection stands. */
  readonly status: string
  /** Whether it is a `Cluster`. */
  readonly isCluster: boolean
  /** Makes a client like it: the one that the store uses. */
  duplicate(...args: never[]): unknown
  /** Adds a command. Not called on the application’s client. */
  defineCommand(...args: never[]): unknown
}

/** A client of node-redis. */
export interface NodeRedisClient {
  /** Whether it is connected. */
  readonly isReady: boolean
  /** Makes a client like it: the one that the store uses. */
  duplicate(...args: never[]): unknown
  /** Sends a command. Not called on the application’s client. */
  sendCommand(...args: never[]): unknown
  /** Makes a pool of such clients. Not called. */
  createPool(...args: never[]): unknown
}

/** How `redisStore` behaves. The same options may stand in the URL. */
export interface RedisStoreOptions {
  /** What the names of the store's keys and of its channel begin with. Default `session:`. */
  readonly prefix?: string
  /** How stale a cached session may be. */
  readonly coherence?: {
    /**
     * The longest time, in milliseconds, for which this process may serve a cached record that another process has
     * changed or deleted. Default 1000. With `0` nothing is cached, and every load asks the server.
     */
    readonly bound?: Milliseconds
  }
  /** Time limit for every operation, in milliseconds, whatever the server does. Default 2000. */
  readonly deadline?: Milliseconds
}

const DEFAULT_PREFIX = 'session:'
const DEFAULT_BOUND: Milliseconds = 1000
const LEAST_BOUND: Milliseconds = 30

/**
 * Sessions in Redis (tested with 7.0) or what speaks its protocol and Lua: one server, Sentinel or a Cluster.
 *
 * The address is a URL, for which ioredis 6 is needed (`npm i ioredis`), or a client of the application's, which is copied
 * and never used itself (see `RedisClient`):
 * - `redis://[[user]:password@]host[:6379][/db]`, `rediss://` with TLS
 * - `redis+unix://[[user]:password@]/path/of/the.sock[?db=…]`
 * - `redis+sentinel://host:26379,host:26379/master[/db]`
 * - `redis+cluster://host:6379,host:6379`
 *
 * The options may also stand in the URL (`?prefix=…&db=…&bound=…&deadline=…`). An argument takes precedence over the URL.
 * A wrong address or option, and a missing ioredis, throw `ERR_SESSION_OPTION` here. Nothing connects before the first
 * use. Operations reject with `ERR_SESSION_STORE_UNAVAILABLE` and the words of the server, and with
 * `ERR_SESSION_UNREADABLE` if the key holds something else than a session. A server that refuses the database that was
 * asked for counts as out of reach. The rights that the server's user needs are listed in docs/many-machines.md.
 *
 * A record is the value `<expiresAt>|<version>|<text>` at the key `<prefix><key>`, with the server's own expiry.
 */
export function redisStore(urlOrClient: string | RedisClient, options: RedisStoreOptions = {}): Store {
  const { maker, prefix, bound, deadline } = checked(urlOrClient, options)
  const rights = rightsFor(prefix, maker.kind)
  const channel = `${prefix}changes`
  const epochKey = `${prefix}epoch`
  const listeners = new Set<Listener>()
  const listener: Listener = {
    saved: (key, version) => listeners.forEach((one) => one.saved(key, version)),
    deleted: (key) => listeners.forEach((one) => one.deleted(key)),
  }
  const place = placeOf(maker, { deadline, bound, prefix, channel, epochKey, rights, listener })
  const { connection } = place
  const writer = new Writer({ place, prefix, channel, epochKey, rights })

  const store: Store = {
    deadline,

    async load(key: Key): Promise<Found | undefined> {
      let value: string | null
      try {
        value = await place.ask(prefix + key, (client) => client.get(prefix + key))
      } catch (error) {
        throw answerOf(error)?.startsWith('WRONGTYPE') ? notOurs(error) : error
      }
      if (value === null) return undefined
      const found = parseValue(value)
      return found.expiresAt > Date.now() ? found : undefined
    },

    save(key: Key, text: string, expiresAt: Instant, expected: Found | undefined): Promise<Saved> {
      const end = thirteenDigits(keptInstant(expiresAt))
      return writer.run(SAVE, key, [expected?.version ?? '', end, lengthUntil(end), text], (reply): Saved => {
        if (typeof reply === 'string') return { saved: { text, version: Number(reply), expiresAt: Number(end) } }
        const [outcome, value] = reply as [outcome: string, value: string]
        return outcome === 'conflict' ? { conflict: parseValue(value) } : { gone: true }
      })
    },

    touch(key: Key, expiresAt: Instant): Promise<boolean> {
      const end = thirteenDigits(keptInstant(expiresAt))
      return writer.run(TOUCH, key, [end, lengthUntil(end)], (reply) => reply === 1)
    },

    delete: (key: Key, expected?: Found): Promise<Deleted> =>
      writer.run(DELETE, key, [expected?.version ?? ''], (reply): Deleted =>
        Array.isArray(reply) ? parseValue((reply as [outcome: string, value: string])[1]) : reply === 1,
      ),

    subjects: redisSubjects(prefix, connection),

    keys: () => keysUnder(prefix, connection),

    async ping(): Promise<void> {
      await connection.run((client) => client.ping())
    },

    async close(): Promise<void> {
      listeners.clear()
      // Not one after the other: a server that hangs would not let go of the subscription.
      await Promise.all([place.cease(), connection.close()])
    },
  }
  if (bound === 0) return store

  return {
    ...store,
    watch(one: Listener): Watch {
      if (listeners.size === 0) place.listen()
      listeners.add(one)
      return {
        linkOf: (key) => place.linkOf(prefix + key),
        async close() {
          if (listeners.delete(one) && listeners.size === 0) await place.cease()
        },
      }
    },
  }
}

/** How long the server is to keep it: a length, so that the server's clock need not agree with ours. */
function lengthUntil(end: string): Milliseconds {
  return Number(end) - Date.now()
}

interface Checked {
  readonly maker: Maker
  readonly prefix: string
  readonly bound: Milliseconds
  readonly deadline: Milliseconds
}

function checked(urlOrClient: string | RedisClient, options: RedisStoreOptions): Checked {
  checks.object('its second argument', options)
  checks.names(options, ['prefix', 'coherence', 'deadline'])
  const { coherence = {} } = options
  checks.object('coherence', coherence)
  checks.names(coherence, ['bound'], { path: 'coherence' })
  const address = typeof urlOrClient === 'string' ? parseAddress(urlOrClient) : undefined
  const prefix = options.prefix ?? address?.query.get('prefix') ?? DEFAULT_PREFIX
  const bound = coherence.bound ?? numberIn(address?.query, 'bound') ?? DEFAULT_BOUND
  const deadline = checkedDeadline(checks, options.deadline ?? numberIn(address?.query, 'deadline'))
  if (typeof prefix !== 'string') throw checks.wrong('prefix', 'must be a string')
  if (typeof bound !== 'number' || (bound !== 0 && !(bound >= LEAST_BOUND && bound <= LONGEST_TIMER))) {
    throw checks.wrong('coherence.bound', `must be 0, or from ${LEAST_BOUND} milliseconds up`, bound)
  }
  const maker = address ? makerFromAddress(address, deadline) : makerFromClient(urlOrClient, deadline)
  return { maker, prefix: maker.keyPrefix + prefix, bound, deadline }
}
