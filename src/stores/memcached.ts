import type { Until } from '../deadline.ts'
import { isSessionError } from '../errors.ts'
import type { Deleted, Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds, Version } from '../units.ts'
import { firstVersion, formatValue, keptInstant, parseValue } from './envelope.ts'
import { checks, parseAddress } from './memcached/address.ts'
import { loadDriver, makerFromClient } from './memcached/driver.ts'
import { placement } from './placement.ts'
import { Server, type Mark } from './memcached/server.ts'
import { checkedDeadline, numberIn } from './store-options.ts'
import { expiryForServer } from './memcached/expiry.ts'

/** A client of memcache-client 1. */
export interface MemcachedClient {
  /** A client is recognized by this member and the next one. */
  readonly options: object
  /** Sends a command as it stands. */
  xsend(...args: never[]): unknown
}

/** How `memcachedStore` behaves; the same may stand in its URL. */
export interface MemcachedStoreOptions {
  /** What the name of every item begins with: at most 186 printable ASCII characters without blanks. Default `session:`. */
  readonly prefix?: string
  /** Time limit for every operation, in milliseconds, whatever the servers do. Default 2000. */
  readonly deadline?: Milliseconds
}

const DEFAULT_PREFIX = 'session:'
/** The server's limit of 250 bytes, less the 64 of a key. */
const LONGEST_PREFIX = 186

/** A record, and the mark with which it can be replaced without being read again. */
interface Marked extends Found {
  readonly mark?: Mark
}

/**
 * Sessions in memcached 1.4.8 or later, through memcache-client 1 (`npm i memcache-client`).
 *
 * The address is a URL, `memcached://host:11211,host:11211?prefix=…&deadline=…`, or a client of the application's with
 * one server. The store copies the client's settings and never uses the client itself. An argument takes precedence
 * over the URL. A wrong address or option, and a missing memcache-client, throw `ERR_SESSION_OPTION` here. Nothing
 * connects before the first use.
 *
 * Each of several servers keeps a part of the sessions, found by rendezvous hashing. While a server is down, visitors
 * whose sessions it keeps get errors. No other server stands in: the first one would come back with these sessions as
 * they were before their logouts. Changing the list of servers ends a part of the sessions, unless
 * `movingStore` moves them to a store with the new list and another prefix.
 *
 * Memcached is a cache: it forgets everything at a restart, and old sessions when its memory is full (`-M` makes it
 * refuse new ones instead). It tells nobody of changes. So this library keeps no copies in front of it, unless
 * `cache.allowStale` accepts that they may be old. memcache-client cannot sign in (SASL, `-Y`) and knows no IPv6
 * addresses.
 *
 * A record is the value `<expiresAt>|<version>|<text>` of the item `<prefix><key>`. Round trips: load 1; create 1; save
 * 1 after a load, 2 after a save; touch 2, because it writes the record anew if nothing has changed meanwhile; delete
 * 2; and 2 more for each race that is lost.
 */
export function memcachedStore(urlOrClient: string | MemcachedClient, options: MemcachedStoreOptions = {}): Store {
  const { servers, prefix, deadline } = checked(urlOrClient, options)
  const serverOf = placement(servers)

  /** The record under this key, alive or expired. */
  async function read(server: Server, key: Key, until: Until): Promise<(Found & { readonly mark: Mark }) | undefined> {
    const item = await server.read(prefix + key, until)
    return item && { ...parseValue(item.value), parsed: undefined, mark: item.mark }
  }

  function replace(server: Server, key: Key, found: Found, mark: Mark, until: Until): ReturnType<Server['replace']> {
    return server.replace(prefix + key, formatValue(found), expiryForServer(found.expiresAt), mark, until)
  }

  async function create(key: Key, text: string, expiresAt: Instant): Promise<Saved> {
    const server = serverOf(key)
    const { until } = server
    const created = { text, version: firstVersion(), expiresAt }
    for (;;) {
      const expiry = expiryForServer(expiresAt)
      if (await server.add(prefix + key, formatValue(created), expiry, until)) return { saved: created }
      const there = await read(server, key, until)
      if (there === undefined) continue
      if (isLive(there)) return { conflict: there }
      // This record has expired, and the server has yet to notice.
      const anew = { ...created, version: Math.max(created.version, there.version + 1) }
      if ((await replace(server, key, anew, there.mark, until)) === 'STORED') return { saved: anew }
    }
  }

  async function update(key: Key, text: string, expiresAt: Instant, expected: Marked): Promise<Saved> {
    const server = serverOf(key)
    const { until } = server
    const updated = { text, version: expected.version + 1, expiresAt }
    // A touch may have moved the end since. Only the server knows.
    let mark = isLive(expected) ? expected.mark : undefined
    for (;;) {
      if (mark !== undefined) {
        const outcome = await replace(server, key, updated, mark, until)
        if (outcome === 'STORED') return { saved: updated }
        if (outcome === 'NOT_FOUND') return { gone: true }
      }
      const there = await read(server, key, until)
      if (there === undefined || !isLive(there)) return { gone: true }
      if (there.version !== expected.version) return { conflict: there }
      mark = there.mark
    }
  }

  /** Replaces the record by one that has expired, because the server has no conditional delete. */
  async function deleteVersion(key: Key, expected: Found): Promise<Deleted> {
    const server = serverOf(key)
    const { until } = server
    for (;;) {
      const there = await read(server, key, until)
      if (there === undefined || !isLive(there)) return false
      if (there.version !== expected.version) return there
      const outcome = await replace(server, key, { ...there, text: '', expiresAt: 0 }, there.mark, until)
      if (outcome !== 'EXISTS') return outcome === 'STORED'
    }
  }

  return {
    deadline,

    async load(key: Key): Promise<Found | undefined> {
      const server = serverOf(key)
      const there = await read(server, key, server.until)
      return there && isLive(there) ? there : undefined
    },

    save(key: Key, text: string, expiresAt: Instant, expected: Found | undefined): Promise<Saved> {
      const end = keptInstant(expiresAt)
      return expected === undefined ? create(key, text, end) : update(key, text, end, expected)
    },

    // Memcached's own touch would leave the old end in the value. A touch that finds the record changed meanwhile reads
    // again, so that it never puts an old text back.
    async touch(key: Key, expiresAt: Instant): Promise<boolean> {
      const server = serverOf(key)
      const { until } = server
      for (;;) {
        const there = await read(server, key, until)
        if (there === undefined || !isLive(there)) return false
        const touched = { ...there, expiresAt: keptInstant(expiresAt) }
        if (touched.expiresAt <= there.expiresAt) return true
        const outcome = await replace(server, key, touched, there.mark, until)
        if (outcome !== 'EXISTS') return outcome === 'STORED'
      }
    },

    // The read tells whether there was a live record.
    async delete(key: Key, expected?: Found): Promise<Deleted> {
      if (expected !== undefined) return deleteVersion(key, expected)
      const server = serverOf(key)
      const { until } = server
      let isThere: boolean
      try {
        const there = await read(server, key, until)
        if (there === undefined) return false
        isThere = isLive(there)
      } catch (error) {
        if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
        isThere = true
      }
      return (await server.delete(prefix + key, until)) && isThere
    },

    async ping(): Promise<void> {
      await Promise.all([...servers.values()].map((server) => server.ping()))
    },

    async close(): Promise<void> {
      for (const server of servers.values()) server.close()
    },
  }
}

function isLive({ expiresAt }: { readonly expiresAt: Instant; readonly version: Version }): boolean {
  return expiresAt > Date.now()
}

function checked(
  urlOrClient: string | MemcachedClient,
  options: MemcachedStoreOptions,
): { servers: ReadonlyMap<string, Server>; prefix: string; deadline: Milliseconds } {
  checks.object('its second argument', options)
  checks.names(options, ['prefix', 'deadline'])
  const address = typeof urlOrClient === 'string' ? parseAddress(urlOrClient) : undefined
  const prefix = options.prefix ?? address?.query.get('prefix') ?? DEFAULT_PREFIX
  const deadline = checkedDeadline(checks, options.deadline ?? numberIn(address?.query, 'deadline'))
  if (typeof prefix !== 'string' || !/^[\x21-\x7e]*$/.test(prefix) || prefix.length > LONGEST_PREFIX) {
    throw checks.wrong('prefix', `must be at most ${LONGEST_PREFIX} printable ASCII characters without blanks`)
  }

  const { names, make } = address
    ? { names: address.servers, make: loadDriver() }
    : ((pattern) => ({ names: [pattern.server], make: pattern.make }))(makerFromClient(urlOrClient))
  const servers = new Map(names.map((name) => [name, new Server(name, make(name), deadline)]))
  return { servers, prefix, deadline }
}
