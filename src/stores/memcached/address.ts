import { Checks } from '../../checks.ts'

export const checks: Checks = new Checks('store memcached')

/** What a store URL says. */
export interface Address {
  /** One or more servers, each as `host:port`; or the path of one socket. */
  readonly servers: readonly string[]
  /** The parameters after the `?`. */
  readonly query: ReadonlyMap<string, string>
}

const FORM = /^memcached:\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/?(?:\?([^#]*))?$/i
const SOCKET_FORM = /^memcached\+unix:\/\/(\/[^@?#]+)(?:\?([^#]*))?$/i
const SERVER = /^([^:[\]\s]+)(?::(\d{1,5}))?$/
const USUAL_PORT = 11211
const IN_QUERY = ['prefix', 'deadline']

/** Reads a store URL. No message repeats any part of it, because it may hold a password. */
export function parseAddress(url: string): Address {
  const [, path, socketSearch = ''] = SOCKET_FORM.exec(url) ?? []
  if (path !== undefined) return { servers: [decodePath(path)], query: parseQuery(socketSearch) }
  const parts = FORM.exec(url)
  if (!parts) {
    throw checks.refusal(
      'the URL is not of a known form: memcached://host:11211,host:11211 or memcached+unix:///path/of/the.sock',
    )
  }
  const [, login, hosts = '', search = ''] = parts
  if (login !== undefined) {
    throw checks.refusal(
      'memcache-client cannot sign in to a server; leave out what stands before the @, and let only your own hosts reach it',
    )
  }
  return { servers: distinct(hosts.split(',').map(parseServer)), query: parseQuery(search) }
}

/** Whether the name of a server is the path of a socket. */
export function isSocket(server: string): boolean {
  return server.startsWith('/')
}

function parseQuery(search: string): Map<string, string> {
  const query = new Map(new URLSearchParams(search))
  if ([...query.keys()].every((name) => IN_QUERY.includes(name))) return query
  throw checks.refusal(`the URL has an unknown option; known are ${IN_QUERY.join(', ')}`)
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw checks.refusal('a % in the URL is not part of a percent-encoded character; write it as %25')
  }
}

/** `host:port`, always with the port and in one spelling, because this name decides which keys the server keeps. */
export function parseServer(text: string): string {
  if (text === '') return `127.0.0.1:${USUAL_PORT}`
  if (text.includes('['))
    throw checks.refusal('memcache-client cannot connect to an IPv6 address; give the host a name')
  const parts = SERVER.exec(text)
  const port = parts?.[2] === undefined ? USUAL_PORT : Number(parts[2])
  if (!parts || port < 1 || port > 65535)
    throw checks.refusal('a server must be written host:port, as in memcached://host:11211')
  return `${parts[1]!.toLowerCase()}:${port}`
}

function distinct(servers: string[]): string[] {
  if (new Set(servers).size < servers.length) throw checks.refusal('a server is listed twice')
  return servers
}
