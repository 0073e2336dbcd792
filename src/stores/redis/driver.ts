import { createRequire } from 'node:module'
import type { Cluster, Redis } from 'ioredis'
import { PLACES } from '../places.ts'
import { checks } from './address.ts'
import type { NodeRedis } from './node-redis.ts'

/** The part of the package ioredis that this store uses. */
export interface Driver {
  readonly Redis: typeof Redis
  readonly Cluster: typeof Cluster
}

/**
 * Loads the package ioredis. It does so synchronously, so that a missing package is an error where the store is made and
 * not a failed request later.
 */
export function loadDriver(): Driver {
  let found = false
  for (const place of PLACES) {
    let driver: Driver
    try {
      driver = createRequire(place)('ioredis') as Driver
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') continue
      throw checks.refusal('the package ioredis cannot be loaded; see the cause', {
        cause: error,
      })
    }
    found = true
    if (isCurrent(new driver.Redis({ lazyConnect: true }))) return driver
  }
  if (found) throw checks.refusal('ioredis is older than 6; npm i ioredis@6')
  throw checks.refusal('needs the package ioredis 6; npm i ioredis')
}

/** A client of the application's, by the library that it is of. */
export type KnownClient =
  | { redis: Redis; cluster?: never; nodeRedis?: never }
  | { cluster: Cluster; redis?: never; nodeRedis?: never }
  | { nodeRedis: NodeRedis; redis?: never; cluster?: never }

const TAKES = 'give it a redis:// URL or a client of ioredis, iovalkey or node-redis'

/** Recognizes a client, by what it can do, and refuses one that cannot keep what this store promises. */
export function checkClient(client: unknown): KnownClient {
  const shape = client as Partial<Record<string, unknown>> | null | undefined
  if (typeof shape !== 'object' || shape === null) throw checks.refusal(TAKES)
  const can = (...methods: string[]): boolean => methods.every((method) => typeof shape[method] === 'function')
  if ('idleClients' in shape) throw checks.refusal(OF_NODE_REDIS.pool)
  if (!can('duplicate')) throw checks.refusal(`${TAKES}; this is not one`)
  if (can('defineCommand')) {
    if (isAncient(client as Redis | Cluster)) throw checks.refusal('the client is of an ioredis older than 5')
    return shape['isCluster'] === true ? { cluster: client as Cluster } : { redis: client as Redis }
  }
  if (!can('sendCommand')) throw checks.refusal(`${TAKES}; this is not one`)
  if (can('getSentinelNode')) throw checks.refusal(OF_NODE_REDIS.sentinel)
  if (can('nodeClient')) throw checks.refusal(OF_NODE_REDIS.cluster)
  if (!can('destroy')) throw checks.refusal(OF_NODE_REDIS.old)
  return { nodeRedis: client as NodeRedis }
}

/** Why a client of node-redis is refused, and what to give instead. */
const OF_NODE_REDIS = {
  sentinel:
    'a Sentinel client of node-redis sends a command again whose connection was lost, and so may run it twice. ' +
    'npm i ioredis, and pass the URL redis+sentinel://…',
  cluster:
    'a Cluster of node-redis gives the store no connection of its own to each master. npm i ioredis, and pass the URL ' +
    'redis+cluster://…',
  pool: 'this is a pool of node-redis; pass a client, as createClient() makes it, since one connection carries everything',
  old: 'the client is of a node-redis older than 5; npm i redis@6, or npm i ioredis and pass the URL',
}

/** Clients have this option since release 6, whatever its value. */
function isCurrent(client: Redis): boolean {
  return 'protocol' in client.options
}

/** Clients had this option until release 4. */
function isAncient(client: Redis | Cluster): boolean {
  const { options } = client as { options?: object }
  return options === undefined || 'dropBufferSupport' in options
}
