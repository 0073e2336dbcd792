import { fileURLToPath } from 'node:url'
import { nearest } from '../checks.ts'
import { SessionError } from '../errors.ts'
import type { Store } from '../store.ts'
import { fileStore } from './file.ts'
import { memcachedStore } from './memcached.ts'
import { memoryStore } from './memory.ts'
import { nullStore } from './null.ts'
import { redisStore } from './redis.ts'

/** Makes the store of a URL; a bare word arrives as a URL with nothing after its colon. */
type Opener = (url: string) => Store

/** Every kind of store that a URL can name. A new one is plugged in here, and nowhere else. */
const OPENERS: ReadonlyMap<string, Opener> = new Map<string, Opener>([
  ['file', (url) => fileStore(filesOf(url))],
  ['memory', (url) => (refuseMore(url), memoryStore())],
  ['null', (url) => (refuseMore(url), nullStore())],
  ['redis', (url) => redisStore(url === 'redis:' ? 'redis://127.0.0.1:6379' : url)],
  ['rediss', (url) => redisStore(url)],
  ['redis+unix', (url) => redisStore(url)],
  ['redis+sentinel', (url) => redisStore(url)],
  ['rediss+sentinel', (url) => redisStore(url)],
  ['redis+cluster', (url) => redisStore(url)],
  ['rediss+cluster', (url) => redisStore(url)],
  ['memcached', (url) => memcachedStore(url === 'memcached:' ? 'memcached://127.0.0.1:11211' : url)],
  ['memcached+unix', (url) => memcachedStore(url)],
])

const SCHEME = /^([a-z][a-z0-9+.-]{0,31}):/i
const DEFAULT_DIRECTORY = '.sessions'
/** Where sessions are if nobody says otherwise. */
export const DEFAULT_STORE: string = `file:${DEFAULT_DIRECTORY}`

/**
 * The store that a URL names, so that one environment variable can choose it.
 *
 * | URL | store |
 * |---|---|
 * | `file:./dir`, `file:.sessions`, `file:///var/lib/app/sessions` | files; `?durable=true` survives a loss of power |
 * | `memory:` | this process's memory |
 * | `null:` | none: sessions last one request |
 * | `redis://host`, `rediss://…`, `redis+unix:///…`, `redis+sentinel://…`, `redis+cluster://…` | Redis; see `redisStore` |
 * | `memcached://host,host`, `memcached+unix:///…` | memcached; see `memcachedStore` |
 *
 * A bare word (`file`, `memory`, `null`, `redis`, `memcached`) is the store of that name with its usual settings; for
 * `file` that is the directory `.sessions`, for a server the one on this machine. A relative directory is relative to
 * the working directory. What is written in a URL beyond these is refused with `ERR_SESSION_OPTION`, whose message
 * repeats nothing but the scheme: the rest may be secret.
 */
export function storeFromUrl(url: string): Store {
  const word = typeof url === 'string' ? url.toLowerCase() : ''
  const bare = OPENERS.get(word)
  if (bare !== undefined) return bare(`${word}:`)

  // A drive of Windows is no scheme.
  if (/^(?:[./~\\]|[a-z]:[\\/])/i.test(url)) throw wrong('This looks like a path', FILE_FORM)
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined) throw wrong('A store is named by a URL or one word', didYouMean(word))
  const open = OPENERS.get(scheme)
  if (open === undefined) throw wrong(`There is no store for "${scheme}:"`, didYouMean(scheme))
  return open(url)
}

/** Where the files are of a store that a URL or word names; `undefined` if it does not keep files. */
export function directoryOfUrl(url: string): string | undefined {
  if (url.toLowerCase() === 'file') return DEFAULT_DIRECTORY
  return SCHEME.exec(url)?.[1]?.toLowerCase() === 'file' ? filesOf(url).directory : undefined
}

function filesOf(url: string): { directory: string; durable: boolean } {
  const [address = '', query, ...more] = url.slice('file:'.length).split('?')
  // In a URL these begin what a path does not have; a path that has them writes them as %3F and %23.
  if (more.length > 0 || url.includes('#')) throw wrong('The file: URL is malformed', FILE_FORM)
  let durable = false
  if (query !== undefined) {
    const parameters = [...new URLSearchParams(query)]
    if (parameters.length !== 1 || parameters[0]![0] !== 'durable' || !/^(true|false)$/.test(parameters[0]![1])) {
      throw wrong('The file: URL has a parameter that is not known, or a value that is not', FILE_FORM)
    }
    durable = parameters[0]![1] === 'true'
  }
  return { directory: pathOf(address) || DEFAULT_DIRECTORY, durable }
}

function pathOf(address: string): string {
  if (/^~(?:\/|$)/.test(address)) throw wrong('Only a shell knows what ~ means', FILE_FORM)
  try {
    const path = address.startsWith('//') ? fileURLToPath(`file:${address}`) : decodeURIComponent(address)
    if (!path.includes('\0')) return path
  } catch {}
  throw wrong('The file: URL is malformed', FILE_FORM)
}

function refuseMore(url: string): void {
  if (!url.endsWith(':')) throw wrong(`Nothing may follow "${url.slice(0, url.indexOf(':') + 1)}"`, knownSchemes())
}

const FILE_FORM = 'A directory is written file:./directory or file:///directory, with ?durable=true after it if wanted.'

function didYouMean(word: string): string {
  const similar = nearest(word, [...OPENERS.keys()])
  return similar === undefined ? knownSchemes() : `Did you mean ${similar}:?`
}

function knownSchemes(): string {
  return `The stores are: ${[...OPENERS.keys()].map((scheme) => `${scheme}:`).join(', ')}.`
}

// Without the cause: Node's own error repeats the URL.
function wrong(what: string, remedy: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', `${what}. ${remedy}`)
}
