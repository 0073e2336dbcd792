import type { Store } from '../store.ts'
import { checks, parseAddress } from './redis/address.ts'
import { parseServers, usualName } from './redis/server-list.ts'
import { redisStore, type IoredisClient, type RedisClient, type RedisStoreOptions } from './redis.ts'
import { resharded, sharded } from './shards/sharded.ts'

/** The servers of `redisShards`: a URL that lists them, a list of URLs, or their URLs or clients by their names. */
export type RedisServers = string | readonly string[] | Readonly<Record<string, string | RedisClient>>

/** How `redisShards` behaves: as `redisStore`, and how its list of servers changes. */
export interface RedisShardsOptions extends RedisStoreOptions {
  /**
   * The servers before, while the sessions of that list follow to the new one. A name that is in both lists is one server,
   * at its address in the new list. Default: the list does not change.
   */
  readonly from?: RedisServers
  /**
   * With `from`: where new sessions are made, as `movingStore` has it. `'to'` (default): by the new list, and each session
   * that is elsewhere by the old one moves when it is next saved. `'from'`: by the old list, and nothing moves; for the
   * first of two deploys, while some nodes still know the old list only.
   */
  readonly writesTo?: 'from' | 'to'
}

const NAME = /^[\w.:/[\]-]{1,100}$/
const FOR_ALL = ['prefix', 'bound', 'deadline']
const NAMED = "redisShards({ one: 'redis://…', two: 'redis://…' })"

/**
 * Sessions on several Redis servers that know nothing of each other. Each keeps a share of the sessions, which no other
 * one has: while it is down, its share fails and the others go on. Nothing passes between the servers, and each has a
 * lease of its own, so a cached session is as fresh as on one server (`coherence.bound`).
 *
 * ```ts
 * redisShards('redis+shards://a:6379,b:6379,c:6379/0')
 * redisShards({ one: 'redis://a:6379', two: 'redis+sentinel://s1:26379,s2:26379/two' })
 * ```
 *
 * The servers are given as one of these:
 * - a URL: `redis+shards://[[user]:password@]host[:6379],host[:6379][/db][?names=one,two]`, `rediss+shards://` with TLS; and
 *   `redis+shards+sentinel://host:26379,host:26379/one,two[/db]` for the masters `one` and `two` of the same sentinels.
 * - a list of URLs of single servers, as `redisStore` takes them.
 * - an object of such URLs, or of clients as `redisStore` takes them, by the names of the servers.
 *
 * A session is on the server that its key and the *names* of the servers say (rendezvous hashing). So the order of the
 * servers does not matter, and a server may get another address as long as it keeps its name. Without a name a server is
 * called `<host>:<port>/<db>`; with Sentinel `<master>/<db>`. All nodes must have the same names.
 *
 * By another list of names, some sessions are on another server: one more beside three takes over a quarter of them. With
 * the old list as `from`, they follow while the application runs, as with `movingStore`, and the others take no detour.
 * Without it, they are not found any more. docs/many-machines.md says in which order to deploy.
 *
 * The other options are those of `redisStore`, for all servers. A wrong address, name or option throws `ERR_SESSION_OPTION`
 * here. Operations reject as those of `redisStore` do, and the reason names the server. `sessions.list`,
 * `sessions.revokeAll` and a limit of `identify` need all servers.
 */
export function redisShards(servers: RedisServers, options: RedisShardsOptions = {}): Store {
  checks.object('the second argument of redisShards', options)
  const { from, writesTo, ...own } = options
  const open = (server: string | RedisClient): Store => redisStore(server, own)
  const after = new Map(Array.from(checked(servers), ([name, server]) => [name, open(server)]))
  if (from === undefined) {
    if (writesTo !== undefined) throw checks.refusal('writesTo is of a list that changes: pass the old one as from.')
    return sharded(after)
  }
  for (const list of [servers, from]) {
    if (typeof list !== 'string') continue
    const misplaced = FOR_ALL.find((name) => new RegExp(`[?&]${name}=`).test(list))
    if (misplaced !== undefined) throw isForAll(misplaced)
  }
  checks.oneOf('writesTo', writesTo ?? 'to', ['from', 'to'])
  const before = new Map(Array.from(checked(from), ([name, server]) => [name, after.get(name) ?? open(server)]))
  return resharded(before, after, writesTo ?? 'to')
}

/** The servers of a list, by their names. */
function checked(list: RedisServers): ReadonlyMap<string, string | RedisClient> {
  const byName = new Map<string, string | RedisClient>()
  for (const [name, server] of namedServers(list)) {
    if (!NAME.test(name))
      throw checks.wrong('the name of a server', 'must be 1 to 100 letters, digits or any of _ . : / [ ] -', name)
    if (byName.has(name))
      throw checks.refusal(`two of the servers are called ${name}. Give each a name of its own: ${NAMED}`)
    byName.set(name, server)
  }
  if (byName.size === 0) throw checks.refusal(`redisShards needs a server at least: ${NAMED}`)
  return byName
}

type Named = readonly [name: string, server: string | RedisClient]

function namedServers(servers: RedisServers): readonly Named[] {
  if (typeof servers === 'string') {
    return parseServers(servers).map(({ url, name }) => [name ?? usualName(parseAddress(url)), url])
  }
  if (Array.isArray(servers)) {
    return (servers as readonly unknown[]).map((url) => {
      if (typeof url !== 'string') throw checks.refusal(`a client has no name that stays. Give it one: ${NAMED}`)
      return [usualName(addressOfOne(url)), url]
    })
  }
  checks.object(
    'the first argument of redisShards',
    servers,
    'must be a URL, a list of URLs, or servers by their names',
  )
  if (typeof (servers as unknown as RedisClient).duplicate === 'function')
    throw checks.refusal(`this is a client of one server. Give it a name: ${NAMED}`)
  return Object.entries(servers).map(([name, server]) => {
    if (typeof server === 'string') addressOfOne(server)
    else if ((server as Partial<IoredisClient> | undefined)?.isCluster === true) throw noCluster()
    return [name, server]
  })
}

/** What the URL of one of several servers says. */
function addressOfOne(url: string): ReturnType<typeof parseAddress> {
  const address = parseAddress(url)
  if (address.kind === 'cluster') throw noCluster()
  const misplaced = FOR_ALL.find((name) => address.query.has(name))
  if (misplaced !== undefined) throw isForAll(misplaced)
  return address
}

function isForAll(name: string): Error {
  const option = name === 'bound' ? 'coherence.bound' : name
  return checks.refusal(
    `${name} concerns all servers: pass it to redisShards as the option ${option}, and not in a URL`,
  )
}

function noCluster(): Error {
  return checks.refusal('a Redis Cluster spreads its sessions by itself, so it is none of several servers: redisStore')
}
