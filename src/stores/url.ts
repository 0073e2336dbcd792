import { fileURLToPath } from 'node:url'
import { nearest } from '../checks.ts'
import { SessionError } from '../errors.ts'
import { isDeadline } from '../deadline.ts'
import type { Store } from '../store.ts'
import type { Milliseconds } from '../units.ts'
import { fileStore } from './file.ts'
import { memcachedStore } from './memcached.ts'
import { memoryStore } from './memory.ts'
import { mysqlStore } from './mysql.ts'
import { nullStore } from './null.ts'
import { postgresStore } from './postgres.ts'
import { redisShards } from './redis-shards.ts'
import { redisStore } from './redis.ts'
import { sqliteStore, type SqliteStoreOptions } from './sqlite.ts'
import { numberIn } from './store-options.ts'

/** Makes the store that a URL names. A bare word arrives as a URL with nothing after its colon. */
type Opener = (url: string, options: Deadlined) => Store

/** The option that takes precedence over what a URL says, if it is there. */
interface Deadlined {
  readonly deadline?: Milliseconds
}

/** Every kind of store that a URL can name. */
const OPENERS: ReadonlyMap<string, Opener> = new Map<string, Opener>([
  ['file', (url) => fileStore(filesOf(url))],
  ['memory', (url) => (refuseMore(url), memoryStore())],
  ['null', (url) => (refuseMore(url), nullStore())],
  ['redis', (url, options) => redisStore(url === 'redis:' ? 'redis://127.0.0.1:6379' : url, options)],
  ['rediss', (url, options) => redisStore(url, options)],
  ['redis+unix', (url, options) => redisStore(url, options)],
  ['redis+sentinel', (url, options) => redisStore(url, options)],
  ['rediss+sentinel', (url, options) => redisStore(url, options)],
  ['redis+cluster', (url, options) => redisStore(url, options)],
  ['rediss+cluster', (url, options) => redisStore(url, options)],
  ['redis+shards', (url, options) => redisShards(url, options)],
  ['rediss+shards', (url, options) => redisShards(url, options)],
  ['redis+shards+sentinel', (url, options) => redisShards(url, options)],
  ['rediss+shards+sentinel', (url, options) => redisShards(url, options)],
  ['memcached', (url, options) => memcachedStore(url === 'memcached:' ? 'memcached://127.0.0.1:11211' : url, options)],
  ['memcached+unix', (url, options) => memcachedStore(url, options)],
  ['postgres', (url, options) => postgresStore(url === 'postgres:' ? 'postgres://127.0.0.1' : url, options)],
  ['postgresql', (url, options) => postgresStore(url, options)],
  ['mysql', (url, options) => mysqlStore(url, options)],
  ['mariadb', (url, options) => mysqlStore(url, options)],
  ['sqlite', openSqlite],
])

const SCHEME = /^([a-z][a-z0-9+.-]{0,31}):/i
const DEFAULT_DIRECTORY = '.sessions'
const DEFAULT_DATABASE = 'sessions.db'
/** The store that is used if none is named. */
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
 * | `redis+shards://host,host` | several servers of Redis that know nothing of each other; see `redisShards` |
 * | `memcached://host,host`, `memcached+unix:///…` | memcached; see `memcachedStore` |
 * | `postgres://…`, `postgresql://…` | PostgreSQL; see `postgresStore` |
 * | `mysql://…`, `mariadb://…` | MySQL or MariaDB; see `mysqlStore` |
 * | `sqlite:./sessions.db`, `sqlite:///var/lib/app/sessions.db` | a file of SQLite; see `sqliteStore` |
 *
 * A bare word (`file`, `memory`, `null`, `redis`, `memcached`, `postgres`, `sqlite`) is the store of that name with its
 * usual settings: for `file` the directory `.sessions`, for `sqlite` the file `sessions.db`, for a server the one on this
 * machine. Relative paths start from the working directory. Anything else in a URL is refused with `ERR_SESSION_OPTION`.
 * The message repeats nothing but the scheme, because the rest may be secret.
 */
export function storeFromUrl(url: string): Store {
  return openedFromUrl(url, {})
}

/** The same store, which has at least so much time for each operation, also if its URL says less. */
export function patientStoreFromUrl(url: string, least: Milliseconds): Store {
  const said = new URLSearchParams(url.slice(url.indexOf('?') + 1 || url.length)).get('deadline')
  // What is wrong is refused by the store itself.
  const isEnough = said !== null && !(isDeadline(Number(said)) && Number(said) < least)
  return openedFromUrl(url, isEnough ? {} : { deadline: least })
}

function openedFromUrl(url: string, options: Deadlined): Store {
  const word = typeof url === 'string' ? url.toLowerCase() : ''
  const bare = OPENERS.get(word)
  if (bare !== undefined) return bare(`${word}:`, options)

  // A drive of Windows is no scheme.
  if (/^(?:[./~\\]|[a-z]:[\\/])/i.test(url)) throw wrong('This looks like a path', FILE_FORM)
  const scheme = schemeOf(url)
  if (scheme === undefined) throw wrong('A store is named by a URL or one word', didYouMean(word))
  const open = OPENERS.get(scheme)
  if (open === undefined) throw wrong(`There is no store for "${scheme}:"`, didYouMean(scheme))
  return open(url, options)
}

/** The directory of the store that a URL or word names; `undefined` if that store does not keep files. */
export function directoryOfUrl(url: string): string | undefined {
  if (url.toLowerCase() === 'file') return DEFAULT_DIRECTORY
  return schemeOf(url) === 'file' ? filesOf(url).directory : undefined
}

/** The database file of the store that a URL or word names; `undefined` if that store is not SQLite. */
export function databaseOfUrl(url: string): string | undefined {
  if (url.toLowerCase() === 'sqlite') return DEFAULT_DATABASE
  return schemeOf(url) === 'sqlite' ? databaseOf(url).path : undefined
}

function schemeOf(url: string): string | undefined {
  return SCHEME.exec(url)?.[1]?.toLowerCase()
}

function filesOf(url: string): { directory: string; durable: boolean } {
  const { path, query } = partsOf(url, 'file', FILE_FORM, ['durable'])
  return { directory: path || DEFAULT_DIRECTORY, durable: isDurable(query, 'file', FILE_FORM) }
}

function openSqlite(url: string, { deadline }: Deadlined): Store {
  const { path, query, durable } = databaseOf(url)
  const all: SqliteStoreOptions = {
    durable,
    ...optional('table', query.get('table')),
    ...optional('deadline', deadline ?? numberIn(query, 'deadline')),
    ...optional('pruneInterval', numberIn(query, 'pruneInterval')),
  }
  return sqliteStore(path, all)
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: Value })
}

function databaseOf(url: string): { path: string; query: ReadonlyMap<string, string>; durable: boolean } {
  const known = ['durable', 'table', 'deadline', 'pruneInterval']
  const { path, query } = partsOf(url, 'sqlite', SQLITE_FORM, known)
  return { path: path || DEFAULT_DATABASE, query, durable: isDurable(query, 'sqlite', SQLITE_FORM) }
}

function partsOf(
  url: string,
  scheme: string,
  form: string,
  known: readonly string[],
): { path: string; query: ReadonlyMap<string, string> } {
  const [address = '', search, ...more] = url.slice(scheme.length + 1).split('?')
  // A path that contains ? or # must write them as %3F and %23.
  if (more.length > 0 || url.includes('#')) throw wrong(`The ${scheme}: URL is malformed`, form)
  const parameters = search === undefined ? [] : [...new URLSearchParams(search)]
  const query = new Map(parameters)
  const isKnown = parameters.every(([name]) => known.includes(name)) && query.size === parameters.length
  if (!isKnown || (search !== undefined && parameters.length === 0)) throw unknownParameter(scheme, form)
  return { path: pathOf(address, scheme, form), query }
}

function isDurable(query: ReadonlyMap<string, string>, scheme: string, form: string): boolean {
  const text = query.get('durable') ?? 'false'
  if (text !== 'true' && text !== 'false') throw unknownParameter(scheme, form)
  return text === 'true'
}

function unknownParameter(scheme: string, form: string): SessionError {
  return wrong(`The ${scheme}: URL has a parameter that is not known, or a value that is not`, form)
}

function pathOf(address: string, scheme: string, form: string): string {
  if (/^~(?:\/|$)/.test(address)) throw wrong('Only a shell knows what ~ means', form)
  try {
    const path = address.startsWith('//') ? fileURLToPath(`file:${address}`) : decodeURIComponent(address)
    if (!path.includes('\0')) return path
  } catch {}
  throw wrong(`The ${scheme}: URL is malformed`, form)
}

function refuseMore(url: string): void {
  if (!url.endsWith(':')) throw wrong(`Nothing may follow "${url.slice(0, url.indexOf(':') + 1)}"`, knownSchemes())
}

const SQLITE_FORM =
  'A file is written sqlite:./sessions.db or sqlite:///var/lib/app/sessions.db, with ?durable=true or ?table=name after it if wanted.'
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
