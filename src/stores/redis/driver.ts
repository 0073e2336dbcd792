import { createRequire } from 'node:module'
import type { Cluster, Redis } from 'ioredis'
import { PLACES } from '../places.ts'
import { checks } from './address.ts'

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

/** Checks that the argument is a client of ioredis 6, and says of which of its two classes. */
export function checkClient(client: unknown): { redis: Redis; cluster?: never } | { cluster: Cluster; redis?: never } {
  const shape = client as Partial<Record<string, unknown>> | null | undefined
  if (typeof shape !== 'object' || shape === null) {
    throw checks.refusal('give it a redis:// URL or a client of ioredis 6')
  }
  if (typeof shape.duplicate !== 'function' || typeof shape.defineCommand !== 'function') {
    const what =
      'isOpen' in shape || 'isReady' in shape ? 'this is a client of the package redis (node-redis)' : 'this is not one'
    throw checks.refusal(`give it a redis:// URL or a client of ioredis 6; ${what}. npm i ioredis, and pass the URL`)
  }
  if (!isCurrent(client as Redis | Cluster)) {
    throw checks.refusal('the client is of an ioredis older than 6, or of iovalkey; npm i ioredis@6, or pass the URL')
  }
  return shape.isCluster === true ? { cluster: client as Cluster } : { redis: client as Redis }
}

/** Clients have these options since release 6, whatever their values. */
function isCurrent(client: Redis | Cluster): boolean {
  return client.isCluster ? 'himportFieldsets' in client.options : 'protocol' in client.options
}
