import type Koa from 'koa'
import type { CacheOptions } from './layers/cached.ts'
import type { CookieOptions } from './http/cookie.ts'
import { SessionError } from './errors.ts'
import { keyringOf, type Keyring, type Keys } from './http/keyring.ts'
import { MAX_TIMEOUT, isTimeout } from './record/record.ts'
import type { Store } from './store.ts'
import { DEFAULT_STORE, storeFromUrl } from './stores/url.ts'
import type { Milliseconds } from './units.ts'
import { Codec, type Serializer } from './record/codec.ts'

/** All optional but the keys. Checked once, when `session()` is called. */
export interface SessionOptions {
  /**
   * The secrets that sign the cookie, newest first: `[process.env.SESSION_KEY, process.env.SESSION_KEY_OLD]`. At least
   * 16 bytes each; `undefined` entries are left out. Or a Keygrip. Default: `app.keys`.
   */
  keys?: Keys
  /**
   * Where sessions are kept: a store, or its URL (`file:./dir`, `memory:`, `redis://host`, …), or a bare word for the
   * usual local address (`'file'`, `'redis'`). Default `file:.sessions`.
   */
  store?: Store | string | undefined
  /** The cache in this process; `false` for none. */
  cache?: CacheOptions | false
  /** A session ends after this long without a request. Default 30 minutes (OWASP: 15 to 30; ASVS 7.3.1). */
  idleTimeout?: Milliseconds
  /** A session ends this long after its creation, whatever happens. Default 8 hours (ASVS 7.3.2). */
  absoluteTimeout?: Milliseconds
  /** The cookie that carries the id. Always HttpOnly. */
  cookie?: CookieOptions
  /** Encrypts records at rest (AES-256-GCM, keys derived from `keys` and rotating with them). Default `false`. */
  encrypt?: boolean
  /** How values become text. Default: JSON, and devalue for what JSON would change (Date, Map, Set, BigInt, …). */
  serializer?: Serializer
  /** Requests that have no session, such as those for assets. Default: none. */
  skip?: (ctx: Koa.Context) => boolean
  /**
   * What a request gets that touches its session while the store cannot be read: `'throw'` (the default) answers 503,
   * `'anonymous'` gives an empty session that cannot be saved.
   */
  onStoreError?: 'throw' | 'anonymous'
  /** A session that would take more is not saved. Default 64 KiB. */
  maxRecordBytes?: number
}

/** The options as the library uses them: complete, checked, and its own copy. */
export interface CheckedOptions {
  readonly keyring: Keyring | undefined
  readonly store: Store
  /** Whether the store was made here, and so is closed here. */
  readonly ownsStore: boolean
  readonly cache: Required<CacheOptions> | undefined
  readonly idleTimeout: Milliseconds
  readonly absoluteTimeout: Milliseconds
  readonly cookie: CookieOptions & { readonly name: string; readonly secure: boolean | 'auto' }
  readonly encrypt: boolean
  readonly codec: Codec
  /** Whether the cookies of new sessions outlive the browser. */
  readonly persistent: boolean
  readonly skip: ((ctx: Koa.Context) => boolean) | undefined
  readonly onStoreError: 'throw' | 'anonymous'
  readonly maxRecordBytes: number
}

const MINUTE: Milliseconds = 60_000
/** The names of all options. */
export const OPTION_NAMES: readonly (keyof SessionOptions)[] = [
  'keys',
  'store',
  'cache',
  'idleTimeout',
  'absoluteTimeout',
  'cookie',
  'encrypt',
  'serializer',
  'skip',
  'onStoreError',
  'maxRecordBytes',
]
const CACHE_OPTIONS = new Set(['max', 'maxBytes', 'maxAge', 'allowStale'])
const COOKIE_OPTIONS = new Set([
  'name',
  'path',
  'domain',
  'secure',
  'sameSite',
  'partitioned',
  'priority',
  'persistent',
])

/** Throws `ERR_SESSION_OPTION`, which names the option, the rule and (unless it is secret) the value. */
export function checkOptions(options: SessionOptions): CheckedOptions {
  known(options, new Set<string>(OPTION_NAMES))
  const { keys, store, cache, idleTimeout = 30 * MINUTE, absoluteTimeout = 480 * MINUTE, serializer, skip } = options
  const { onStoreError = 'throw', maxRecordBytes = 65_536, encrypt = false } = options
  assertTimeout('idleTimeout', idleTimeout)
  assertTimeout('absoluteTimeout', absoluteTimeout)
  positive('maxRecordBytes', maxRecordBytes)
  if (skip !== undefined && typeof skip !== 'function') throw wrong('skip', 'must be a function', skip)
  oneOf('encrypt', encrypt, [true, false])
  oneOf('onStoreError', onStoreError, ['throw', 'anonymous'])
  if (
    serializer !== undefined &&
    (typeof serializer?.stringify !== 'function' || typeof serializer.parse !== 'function')
  ) {
    throw wrong('serializer', 'must have the functions stringify and parse', serializer)
  }
  const checkedCookie = checkCookie(options.cookie)
  return {
    keyring: keys === undefined ? undefined : keyringOf(keys),
    cache: checkCache(cache),
    idleTimeout,
    absoluteTimeout,
    cookie: checkedCookie,
    persistent: checkedCookie.persistent ?? false,
    encrypt,
    codec: new Codec(serializer),
    skip,
    onStoreError,
    maxRecordBytes,
    // Last, because a store made from a URL has timers and connections, which nobody would close after an error.
    store: checkStore(store),
    ownsStore: store === undefined || typeof store === 'string',
  }
}

function checkStore(store: Store | string | undefined): Store {
  if (store === undefined || typeof store === 'string') return storeFromUrl(store || DEFAULT_STORE)
  for (const method of ['load', 'save', 'touch', 'delete'] as const) {
    if (typeof store?.[method] !== 'function')
      throw wrong('store', `must be a URL or a store; it has no method ${method}`)
  }
  return store
}

function checkCache(cache: CacheOptions | false = {}): Required<CacheOptions> | undefined {
  if (cache === false) return undefined
  known(cache, CACHE_OPTIONS, 'cache', 'must be false or an object')
  const { max = 10_000, maxBytes = 32 * 1024 * 1024, maxAge = MINUTE, allowStale = false } = cache
  whole('cache.max', max)
  whole('cache.maxBytes', maxBytes)
  positive('cache.maxAge', maxAge)
  oneOf('cache.allowStale', allowStale, [true, false])
  return { max, maxBytes, maxAge, allowStale }
}

function checkCookie(cookie: CookieOptions = {}): CheckedOptions['cookie'] {
  known(cookie, COOKIE_OPTIONS, 'cookie')
  const {
    name = 'sid',
    path = '/',
    domain,
    secure = 'auto',
    sameSite = 'lax',
    partitioned,
    priority,
    persistent,
  } = cookie
  // RFC 6265, section 4.1.1: a name is a token; path and domain hold no separators.
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
    throw wrong('cookie.name', 'must be a cookie name (RFC 6265)', name)
  if (typeof path !== 'string' || !/^\/[\x20-\x3a\x3c-\x7e]*$/.test(path))
    throw wrong('cookie.path', 'must begin with / and hold no ;', path)
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[\w.-]+$/.test(domain)))
    throw wrong('cookie.domain', 'must be a host name', domain)
  oneOf('cookie.secure', secure, [true, false, 'auto'])
  oneOf('cookie.sameSite', sameSite, ['strict', 'lax', 'none'])
  oneOf('cookie.priority', priority, [undefined, 'low', 'medium', 'high'])
  oneOf('cookie.partitioned', partitioned, [undefined, true, false])
  oneOf('cookie.persistent', persistent, [undefined, true, false])
  if (secure !== true) {
    // 'auto' would leave it to each request whether the browser accepts the cookie at all.
    const needsSecure = [
      [sameSite === 'none', "cookie.sameSite 'none'"],
      [partitioned === true, 'cookie.partitioned'],
      [/^__(?:Host|Secure)-/i.test(name), `the cookie name ${name}`],
    ].find(([isSet]) => isSet)
    if (needsSecure)
      throw wrong('cookie.secure', `must be true with ${String(needsSecure[1])}: browsers refuse it otherwise`, secure)
  }
  if (/^__Host-/i.test(name) && (path !== '/' || domain !== undefined)) {
    throw wrong(
      'cookie.name',
      'with the prefix __Host- needs the path / and no domain: browsers refuse it otherwise',
      name,
    )
  }
  return Object.freeze({ ...cookie, name, path, secure, sameSite })
}

/** Without showing what it is instead: somebody may have passed a secret in the wrong place. */
function known(options: object, names: Set<string>, owner?: string, rule = 'must be an object'): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw wrong(owner ?? 'the options', rule)
  for (const name of Object.keys(options)) {
    if (!names.has(name))
      throw wrong(owner ? `${owner}.${name}` : name, `is not an option; there are ${[...names].join(', ')}`)
  }
}

function assertTimeout(name: string, value: unknown): void {
  if (!isTimeout(value))
    throw wrong(name, `must be a number of milliseconds above 0, and at most ${MAX_TIMEOUT} (a hundred years)`, value)
}

function positive(name: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw wrong(name, 'must be a number above 0', value)
}

function whole(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) <= 0) throw wrong(name, 'must be a whole number above 0', value)
}

function oneOf(name: string, value: unknown, values: readonly unknown[]): void {
  if (!values.includes(value)) throw wrong(name, `must be one of ${values.map(String).join(', ')}`, value)
}

function wrong(name: string, rule: string, ...value: [unknown?]): SessionError {
  return new SessionError(
    'ERR_SESSION_OPTION',
    `koa-server-session: ${name} ${rule}${value.length > 0 ? `; it is ${shown(value[0])}` : ''}.`,
  )
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function' || (typeof value === 'object' && value !== null)) return `of the type ${typeof value}`
  return String(value)
}
