import { Checks } from '../../checks.ts'

export const checks: Checks = new Checks('store redis')

/** Where the servers are and how to sign in, as a store URL says it. */
export interface Address {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  /** One or more servers; for Sentinel these are the sentinels. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  /** Sentinel's name of the master. */
  readonly masterName?: string
  readonly username?: string
  readonly password?: string
  readonly tls: boolean
  readonly db: number
  /** What followed the `?`. */
  readonly query: ReadonlyMap<string, string>
}

const FORM = /^redis(s?)(?:\+(sentinel|cluster))?:(?:\/\/(?:([^@/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?)?$/is
const NODE = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i
const IN_QUERY = ['prefix', 'db', 'bound', 'deadline', 'protocol', 'family', 'sentinelUsername', 'sentinelPassword']

/** Reads a store URL. No message repeats any part of it, since it may hold a password. */
export function parseAddress(url: string): Address {
  const parts = FORM.exec(url)
  if (!parts) {
    throw checks.refusal(
      'the URL is not of a known form: redis://host:6379/0, rediss://…, redis+sentinel://host:26379,host:26379/master ' +
        'or redis+cluster://host:6379,host:6379 (a password goes percent-encoded before the @)',
    )
  }
  const [, secure, form, login, hosts = '', path = '', search = ''] = parts
  const kind = (form?.toLowerCase() ?? 'single') as Address['kind']
  const nodes = hosts.split(',').map((host) => parseNode(host, kind === 'sentinel' ? 26379 : 6379))
  if (kind === 'single' && nodes.length > 1) {
    throw checks.refusal('redis:// takes one host; several are redis+cluster:// or redis+sentinel://')
  }
  const query = parseQuery(search)
  const segments = path === '' ? [] : path.split('/')
  const masterName = kind === 'sentinel' ? decode(segments.shift() ?? '') : undefined
  if (masterName === '')
    throw checks.refusal('redis+sentinel:// needs the name of the master: redis+sentinel://host:26379/mymaster')
  const dbText = segments.shift() || query.get('db') || '0'
  if (segments.some((segment) => segment !== '')) throw checks.refusal('the path of the URL has too many parts')
  if (!/^\d{1,9}$/.test(dbText))
    throw checks.refusal('the database in the URL must be a number, as in redis://host:6379/0')
  if (kind === 'cluster' && dbText !== '0') throw checks.refusal('a Redis Cluster has only database 0')

  const colon = login?.indexOf(':') ?? -1
  const username = login === undefined ? '' : decode(colon < 0 ? login : login.slice(0, colon))
  const password = login === undefined || colon < 0 ? '' : decode(login.slice(colon + 1))
  return {
    kind,
    nodes,
    ...(masterName === undefined ? {} : { masterName }),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    tls: secure !== '',
    db: Number(dbText),
    query,
  }
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
