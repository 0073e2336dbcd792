import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis'
import { LONGEST_TIMER } from '../../deadline.ts'
import type { Milliseconds } from '../../units.ts'
import { checks, type Address } from './address.ts'
import { checkClient, loadDriver } from './driver.ts'
import { IoredisWire } from './ioredis.ts'
import { NodeRedisWire } from './node-redis.ts'
import { retryDelay } from './retry.ts'
import type { Wire } from './wire.ts'

/** How to make connections of this store's own to one place; nothing connects before it is used. */
export type Maker =
  | { readonly kind: 'single'; readonly keyPrefix: string; make(): Wire }
  | { readonly kind: 'cluster'; readonly keyPrefix: string; make(): Wire<Cluster> }

/** After a READONLY answer the address may lead elsewhere; a replica that stays one must not cost a connection each. */
const READONLY_PAUSE: Milliseconds = 1000

export function makerFromAddress(address: Address, deadline: Milliseconds): Maker {
  const driver = loadDriver()
  const { kind, nodes, username, password, tls, db, query } = address
  const family = query.get('family')
  const login: RedisOptions = {
    // It would be one more right that the server's user needs.
    disableClientInfo: true,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    ...(family === undefined ? {} : { family: Number(family) }),
    ...(query.get('protocol') === '2' ? { protocol: 2 } : {}),
  }
  if (kind === 'cluster') {
    const options = clusterOptions({ redisOptions: login }, deadline)
    const make = (): Cluster => redirecting(new driver.Cluster([...nodes], options))
    return { kind, keyPrefix: '', make: () => new IoredisWire(make(), deadline) }
  }
  const make = (): Redis => new driver.Redis({ ...login, ...placeOf(address), db, ...ours({}, deadline) })
  return { kind: 'single', keyPrefix: '', make: () => new IoredisWire(make(), deadline) }
}

function placeOf({ nodes, path, masterName, tls, query }: Address): RedisOptions {
  if (path !== undefined) return { path }
  if (masterName === undefined) return { host: nodes[0]!.host, port: nodes[0]!.port }
  const sentinelUsername = query.get('sentinelUsername')
  const sentinelPassword = query.get('sentinelPassword')
  return {
    sentinels: [...nodes],
    name: masterName,
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  }
}

/** The application's client is only a pattern for ours: its queues, retries and subscriptions stay its own. */
export function makerFromClient(client: unknown, deadline: Milliseconds): Maker {
  const { redis, cluster, nodeRedis } = checkClient(client)
  if (nodeRedis) {
    const { database, keyPrefix = '' } = nodeRedis.options ?? {}
    if (database !== undefined) checkDatabase('database', database)
    if (typeof keyPrefix !== 'string') throw checks.refusal('the client’s option keyPrefix must be a string')
    return { kind: 'single', keyPrefix, make: () => new NodeRedisWire(nodeRedis, deadline) }
  }
  if (redis) {
    checkDatabase('db', redis.options.db)
    const make = (): Redis => redis.duplicate(ours(redis.options, deadline))
    const keyPrefix = redis.options.keyPrefix ?? ''
    return { kind: 'single', keyPrefix, make: () => new IoredisWire(make(), deadline) }
  }
  const options = clusterOptions(cluster.options, deadline)
  const make = (): Cluster => redirecting(cluster.duplicate([], options))
  const keyPrefix = cluster.options.keyPrefix ?? ''
  return { kind: 'cluster', keyPrefix, make: () => new IoredisWire(make(), deadline) }
}

/** The libraries select nothing if it is no number, and stay on database 0. */
function checkDatabase(option: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw checks.refusal(`the client’s option ${option} must be a number`)
}

/**
 * Before a command whose slot is on the move, ioredis sends ASKING and listens to nothing that becomes of it. If the server
 * hangs or its connection is lost, ASKING fails too, and a rejection that nobody listens to ends the process. The command
 * itself says what is wrong.
 */
function redirecting(cluster: Cluster): Cluster {
  cluster.on('+node', (node: Redis) => {
    const asking: () => Promise<'OK'> = node.asking.bind(node)
    node.asking = () => {
      const asked = asking()
      asked.catch(() => {})
      return asked
    }
  })
  return cluster
}

/** A wire to this server of a Cluster, with the settings of this store. */
export function wireTo(node: Redis, deadline: Milliseconds): Wire<Redis> {
  const client = node.duplicate({
    ...ours(node.options, deadline),
    // A server that is no longer the master says so by a redirection.
    reconnectOnError: null,
  })
  return new IoredisWire(client, deadline)
}

function ours(given: RedisOptions, deadline: Milliseconds) {
  return {
    ...common(given, deadline),
    // connection.ts lets operations wait until the connection is on its database, which ioredis would not.
    enableOfflineQueue: false,
    role: 'master' as const,
    readOnly: false,
    lazyConnect: true,
    retryStrategy: retryDelay,
    sentinelRetryStrategy: retryDelay,
    sentinelCommandTimeout: deadline,
    reconnectOnError: reconnectOnReadonly(),
  } satisfies RedisOptions
}

function clusterOptions(given: ClusterOptions, deadline: Milliseconds) {
  return {
    ...given,
    keyPrefix: '',
    lazyConnect: true,
    enableOfflineQueue: true,
    shardedSubscribers: false,
    scripts: {},
    scaleReads: 'master' as const,
    clusterRetryStrategy: retryDelay,
    // Otherwise a script whose answer was lost with the connection is run again on another node.
    retryDelayOnFailover: 0,
    // Its timer outlives the client if a refresh is under way at the end; connection.ts asks for one where needed.
    slotsRefreshInterval: 0,
    slotsRefreshTimeout: Math.min(1000, deadline),
    redisOptions: {
      ...given.redisOptions,
      ...common(given.redisOptions ?? {}, deadline),
      // Later than connection.ts, which looks for the new master then, and which reads answers before it gives up. Not
      // never: what waits for a master that hangs would keep its request in memory for as long as that hangs.
      commandTimeout: Math.min(2 * deadline, LONGEST_TIMER),
      reconnectOnError: null,
    },
  } satisfies ClusterOptions
}

function common(given: RedisOptions, deadline: Milliseconds) {
  return {
    keyPrefix: '',
    // connection.ts gathers commands, for less: ioredis has one such batch under way, and all that is asked meanwhile
    // waits for its answer. On a Cluster a redirection in the middle of a batch would fail all of it.
    enableAutoPipelining: false,
    maxLoadingRetryTime: Math.min(500, deadline),
    // Never resend: what was sent may have been done, and would be done twice.
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    commandTimeout: deadline,
    connectTimeout: Math.min(given.connectTimeout ?? deadline, deadline),
    // How long a connection that we give up may linger before its socket is destroyed.
    disconnectTimeout: 100,
    stringNumbers: false,
    replyMapping: 'legacy' as const,
    monitor: false,
    scripts: {},
    himportFieldsets: undefined,
  } satisfies RedisOptions
}

function reconnectOnReadonly(): (error: Error) => boolean {
  let before = -Infinity
  return (error) => {
    const now = performance.now()
    if (!error.message.startsWith('READONLY') || now - before < READONLY_PAUSE) return false
    before = now
    return true
  }
}
