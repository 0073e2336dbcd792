import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis'
import type { Milliseconds } from '../../units.ts'
import { checks, type Address } from './address.ts'
import { checkClient, loadDriver } from './driver.ts'

/** How to make connections of this store's own to one place; nothing connects before it is used. */
export type Maker =
  | { readonly kind: 'single'; readonly keyPrefix: string; make(): Redis }
  | { readonly kind: 'cluster'; readonly keyPrefix: string; make(): Cluster }

/** Longest wait between two attempts to connect. */
const SLOWEST_RETRY: Milliseconds = 1000
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
    return { kind, keyPrefix: '', make: () => redirecting(new driver.Cluster([...nodes], options)) }
  }
  const make = (): Redis => new driver.Redis({ ...login, ...placeOf(address), db, ...ours({}, deadline) })
  return { kind: 'single', keyPrefix: '', make }
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
  const { redis, cluster } = checkClient(client)
  if (redis) {
    const { db } = redis.options
    // ioredis would not select it, and stay on database 0.
    if (!Number.isSafeInteger(db) || (db as number) < 0) throw checks.refusal('the client’s option db must be a number')
    const keyPrefix = redis.options.keyPrefix ?? ''
    return { kind: 'single', keyPrefix, make: () => redis.duplicate(ours(redis.options, deadline)) }
  }
  const keyPrefix = cluster.options.keyPrefix ?? ''
  const options = clusterOptions(cluster.options, deadline)
  return { kind: 'cluster', keyPrefix, make: () => redirecting(cluster.duplicate([], options)) }
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

/** A client like this one, which a Cluster has for one of its servers, with the settings of this store. */
export function likeNode(node: Redis, deadline: Milliseconds): Redis {
  return node.duplicate({
    ...ours(node.options, deadline),
    // A server that is no longer the master says so by a redirection.
    reconnectOnError: null,
  })
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

function retryDelay(attempts: number): Milliseconds {
  return Math.min(20 * 2 ** Math.min(attempts - 1, 10), SLOWEST_RETRY) * (0.75 + Math.random() / 2)
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
