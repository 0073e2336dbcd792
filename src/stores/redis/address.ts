import { Checks } from '../../checks.ts'
import type { SessionError } from '../../errors.ts'

export const checks: Checks = new Checks('store redis')

/** Where the servers are and how to sign in, as a store URL says it. */
export interface Address {
  readonly kind: 'single' | 'cluster'
  /** The servers; for Sentinel these are the sentinels. None if there is a path. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  /** The path of the server's socket, instead of a host. */
  readonly path?: string
  /** Sentinel's name of the master; absent without Sentinel. */
  readonly masterName?: string
  readonly username?: string
  readonly password?: string
  readonly tls: boolean
  readonly db: number
  /** What followed the `?`. */
  readonly query: ReadonlyMap<string, string>
}

const FORM = /^redis(s?)(?:\+(sentinel|cluster|unix))?:(?:\/\/(?:([^@/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?)?$/is
const NODE = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i
const IN_QUERY = ['prefix', 'db', 'bound', 'deadline', 'protocol', 'family', 'sentinelUsername', 'sentinelPassword']

/** Reads a store URL. No message repeats any part of it, since it may hold a password. */
export function parseAddress(url: string): Address {
  const parts = FORM.exec(url)
  if (!parts) {
    throw checks.refusal(
      'the URL is not of a known form: redis://host:6379/0, rediss://…, redis+unix:///path/of/the.sock, ' +
        'redis+sentinel://host:26379,host:26379/master or redis+cluster://host:6379,host:6379 (a password goes ' +
        'percent-encoded before the @); redis+shards:// is a URL of redisShards',
    )
  }
  const [, secure, form = '', login, hosts = '', path = '', search = ''] = parts
  const query = parseQuery(search)
  const place = parsePlace(form.toLowerCase(), hosts, path)
  const db = parseDatabase(place.database, query.get('db'))
  if (place.kind === 'cluster' && db !== 0) throw checks.refusal('a Redis Cluster has only database 0')
  if (place.path !== undefined && secure !== '') throw checks.refusal('there is no TLS over a socket: redis+unix://')
  return { ...place, ...parseLogin(login), tls: secure !== '', db, query }
}

type Place = Pick<Address, 'kind' | 'nodes' | 'path' | 'masterName'> & { readonly database?: string | undefined }

function parsePlace(form: string, hosts: string, path: string): Place {
  if (form === 'unix') {
    if (hosts !== '' || path === '')
      throw checks.refusal('redis+unix:// takes the path of a socket: redis+unix:///run/redis.sock?db=0')
    return { kind: 'single', nodes: [], path: `/${decode(path)}` }
  }
  const nodes = hosts.split(',').map((host) => parseNode(host, form === 'sentinel' ? 26379 : 6379))
  const [first, second, ...more] = path.split('/').filter((segment, index) => segment !== '' || index === 0)
  if (form === 'sentinel') {
    const masterName = decode(first as string)
    if (masterName === '')
      throw checks.refusal('redis+sentinel:// needs the name of the master: redis+sentinel://host:26379/mymaster')
    if (more.length > 0) throw tooManyParts()
    return { kind: 'single', nodes, masterName, database: second }
  }
  if (second !== undefined) throw tooManyParts()
  if (form === 'cluster') return { kind: 'cluster', nodes, database: first }
  if (nodes.length > 1)
    throw checks.refusal('redis:// takes one host; several are redis+cluster:// or redis+sentinel://')
  return { kind: 'single', nodes, database: first }
}

/** Sessions in another database than was meant are lost, or somebody else's: what contradicts itself is refused. */
function parseDatabase(inPath = '', inQuery = ''): number {
  const text = inPath || inQuery || '0'
  if (!/^\d{1,9}$/.test(text))
    throw checks.refusal('the database in the URL must be a number, as in redis://host:6379/0')
  if (inPath !== '' && inQuery !== '' && inPath !== inQuery)
    throw checks.refusal('the URL names two databases, one in its path and one as ?db=')
  return Number(text)
}

function parseLogin(login: string | undefined): Pick<Address, 'username' | 'password'> {
  if (login === undefined) return {}
  const colon = login.indexOf(':')
  const username = decode(colon < 0 ? login : login.slice(0, colon))
  const password = colon < 0 ? '' : decode(login.slice(colon + 1))
  return { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) }
}

function tooManyParts(): SessionError {
  return checks.refusal('the path of the URL has too many parts')
}

function parseNode(text: string, usualPort: number): { host: string; port: number } {
  if (text === '') return { host: '127.0.0.1', port: usualPort }
  const parts = NODE.exec(text)
  const port = parts?.[2] === undefined ? usualPort : Number(parts[2])
  if (!parts || port < 1 || port > 65535) throw checks.refusal('a host in the URL must be written host:port')
  return { host: decode(parts[1]!.replace(/^\[|\]$/g, '')), port }
}

function parseQuery(search: string): Map<string, string> {
  const query = new Map(new URLSearchParams(search))
  for (const name of query.keys()) {
    if (!IN_QUERY.includes(name))
      throw checks.refusal(`the URL has an unknown option; known are ${IN_QUERY.join(', ')}`)
  }
  return query
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw checks.refusal('a % in the URL is not part of a percent-encoded character; write it as %25')
  }
}
