import { createRequire } from 'node:module'
import type { MemcacheClient, MemcacheClientOptions } from 'memcache-client'
import { PLACES } from '../places.ts'
import { checks, isSocket, parseServer } from './address.ts'
import { connectBySocket, type SocketParts } from './socket.ts'

type Client = new (options: MemcacheClientOptions) => MemcacheClient

/** Makes a client for one server, `host:port` or the path of a socket, which connects when it is first used. */
export type Maker = (server: string) => MemcacheClient

/** An item's value is compressed, so it is no record of this library. */
export class Compressed extends Error {}

/**
 * Loads the package memcache-client. It does so synchronously, so that a missing package is an error where the store is
 * made and not a failed request later.
 */
export function loadDriver(): Maker {
  for (const place of PLACES) {
    const require = createRequire(place)
    try {
      require.resolve('memcache-client')
    } catch {
      continue
    }
    let driver: SocketParts & { readonly MemcacheClient?: Client }
    try {
      driver = require('memcache-client') as typeof driver
    } catch (cause) {
      // memcache-client's own parser uses tslib, and does not name it as a dependency.
      const missing = /^Cannot find module '([^']+)'/.exec((cause as Error).message)?.[1]
      throw checks.refusal(
        missing === undefined
          ? 'the package memcache-client cannot be loaded; see the cause'
          : `the package memcache-client cannot be loaded, because it misses ${missing}; npm i ${missing}`,
        { cause },
      )
    }
    if (typeof driver.MemcacheClient !== 'function')
      throw checks.refusal('memcache-client is older than 1; npm i memcache-client@1')
    const make = makerOf(driver.MemcacheClient, {})
    return (server) => {
      const client = make(server)
      if (isSocket(server)) connectBySocket(client, server, driver)
      return client
    }
  }
  throw checks.refusal('needs the package memcache-client 1; npm i memcache-client')
}

/** Takes from the application's client what a client of this store needs: its class, its one server and its TLS settings. */
export function makerFromClient(client: unknown): { server: string; make: Maker } {
  const shape = client as Partial<MemcacheClient> | null | undefined
  if (typeof shape !== 'object' || shape === null || typeof shape.xsend !== 'function' || !shape.options?.server) {
    throw checks.refusal('give it a memcached:// URL or a client of the package memcache-client; this is neither')
  }
  const { server, tls, keepAlive } = shape.options
  const given = { ...(tls === undefined ? {} : { tls }), ...(keepAlive === undefined ? {} : { keepAlive }) }
  return { server: parseServer(onlyServerOf(server)), make: makerOf(shape.constructor as Client, given) }
}

function onlyServerOf(server: MemcacheClientOptions['server']): string {
  if (typeof server === 'string') return server
  // The types call it `server`, but a definition with a `config` has a list `servers`.
  const entry = server as { server?: unknown; servers?: { server: string }[] }
  if (typeof entry.server === 'string') return entry.server
  const [first, second] = entry.servers ?? []
  if (first && !second) return first.server
  throw checks.refusal(
    'memcache-client asks a random one of its servers each time, where a session would be found by luck only; ' +
      'pass the URL memcached://host,host instead, with which each session has one server',
  )
}

function makerOf(Client: Client, given: Partial<MemcacheClientOptions>): Maker {
  return (server) =>
    new Client({
      ...given,
      // More connections would not keep the order in which commands are sent.
      server: { server, maxConnections: 1 },
      noDelay: true,
      // `Server` has the deadline, and ends the connection of a server that hangs. The client's own timeout is counted by
      // the wall clock, which anybody may set, and would report a server that hangs as a lost connection. Without a
      // `connectTimeout` the client has none.
      cmdTimeout: Infinity,
      ignoreNotStored: false,
      compressor: { compressSync: refuse, decompressSync: refuse },
      Promise,
    })
}

function refuse(): never {
  throw new Compressed('the value is compressed')
}
