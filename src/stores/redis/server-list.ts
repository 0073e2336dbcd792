import { checks, type Address } from './address.ts'

/** The servers of a list, as a URL names it: each by a URL of its own, and by a name if it is given one. */
type ServerList = readonly { readonly url: string; readonly name: string | undefined }[]

const FORM = /^redis(s?)\+shards(\+sentinel)?:\/\/(?:([^@/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is

/** Reads the URL of several servers. No message repeats any part of it, since it may hold a password. */
export function parseServers(list: string): ServerList {
  const parts = FORM.exec(list)
  if (!parts) {
    throw checks.refusal(
      'the URL of several servers is redis+shards://host:6379,host:6379/0 or, with Sentinel, ' +
        'redis+shards+sentinel://host:26379,host:26379/one-master,another-master/0 (rediss+shards for TLS)',
    )
  }
  const [, secure = '', sentinel = '', login, hosts = '', path = '', search = ''] = parts
  const query = new URLSearchParams(search)
  const names = query.get('names')?.split(',')
  query.delete('names')
  const head = `redis${secure}${sentinel}://${login === undefined ? '' : `${login}@`}`
  const tail = query.size === 0 ? '' : `?${query.toString()}`
  const [masters = '', ...rest] = path.split('/')
  const urls =
    sentinel === ''
      ? hosts.split(',').map((host) => `${head}${host}/${path}${tail}`)
      : masters.split(',').map((master) => `${head}${hosts}/${[master, ...rest].join('/')}${tail}`)
  if (names && names.length !== urls.length)
    throw checks.refusal(`the URL has ${urls.length} servers, and ?names= has ${names.length} names`)
  return urls.map((url, index) => ({ url, name: names?.[index] }))
}

/**
 * What a server is called that was given no name: `<host>:<port>/<database>`, with the path of its socket in place of the
 * host and the port, or with the name by which its sentinels know it. Sessions lie where this has put them.
 */
export function usualName({ nodes: [node], path, masterName, db }: Address): string {
  const host = node && (node.host.includes(':') ? `[${node.host}]` : node.host).toLowerCase()
  return `${masterName ?? path ?? `${host}:${node?.port}`}/${db}`
}
