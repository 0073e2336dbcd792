import type Koa from 'koa'
import { Checks, type Cures } from './checks.ts'
import { warn } from './diagnostics.ts'
import { DEFAULT_PROPERTY } from './http/context.ts'
import type { CookieOptions } from './http/attributes.ts'
import { keyringOf, type Keyring, type Keys } from './http/keyring.ts'
import type { CacheOptions } from './layers/cached.ts'
import { LENGTH_OF_SESSIONS, checkCookieChoice, type CheckedChoice } from './http/cookie-options.ts'
import type { OldSessions } from './http/newcomers.ts'
import { checkProperty } from './http/property-name.ts'
import { Codec, type Serializer } from './record/codec.ts'
import type { Store } from './store.ts'
import { DEFAULT_STORE, storeFromUrl } from './stores/url.ts'
import { TIMEOUT_RULE, doubtAbout, isTimeout, type Timeouts } from './record/timeouts.ts'
import type { Milliseconds } from './units.ts'

/** The options of `session()`. All are optional but the keys. They are checked once, when `session()` is called. */
export interface SessionOptions {
  /**
   * The secrets that sign the cookie, newest first: `[process.env.SESSION_KEY, process.env.SESSION_KEY_OLD]`. Each has at
   * least 16 bytes; entries that are `undefined` or empty are left out. Or a Keygrip. Default: `app.keys`.
   */
  keys?: Keys
  /**
   * Where sessions are kept: a store, or its URL (`file:./dir`, `memory:`, `redis://host`, …), or a bare word for the
   * usual local address (`'file'`, `'redis'`). Default `file:.sessions`.
   */
  store?: Store | string | undefined
  /** The cache in this process; `false` for none. Default: see `CacheOptions`. */
  cache?: CacheOptions | false
  /**
   * A session ends after this long without a request, in milliseconds. A request counts from its arrival until its
   * response has left. Default 30 minutes (OWASP: 15 to 30; ASVS 5.0 7.3.1). It has no effect above `absoluteTimeout`, so
   * raise both.
   */
  idleTimeout?: Milliseconds
  /**
   * A session ends this long after its creation, whatever happens, in milliseconds. Default 8 hours (ASVS 5.0 7.3.2).
   */
  absoluteTimeout?: Milliseconds
  /**
   * The cookie that carries the session's token. It is always HttpOnly. Default: see `CookieOptions`. Or a function that
   * returns the attributes for a request, such as a domain for each of many sites; what it returns is checked each time,
   * and a request with wrong attributes fails with `ERR_SESSION_OPTION`.
   */
  cookie?: CookieOptions | ((ctx: Koa.Context) => Omit<CookieOptions, 'name'>)
  /** The cookie's name if `cookie` is a function: it is one for all requests. Default `'auto'`: see `CookieOptions.name`. */
  cookieName?: CookieOptions['name']
  /** Whether records are encrypted at rest (AES-256-GCM, with keys derived from `keys` and rotating with them). Default `false`. */
  encrypt?: boolean
  /**
   * How values become text. Default: JSON, and for what JSON would change (Date, Map, Set, BigInt, …) a list of its parts
   * in JSON.
   */
  serializer?: Serializer
  /**
   * The property of `ctx` that is the session. Default `'session'`, which is also the one that `getSession()` finds. A
   * second middleware in one application needs another, and its own cookie: with `'admin'` its session is `ctx.admin`,
   * and `sessions.get()`. TypeScript learns of the property by declaration merging.
   */
  property?: string
  /** Tells which requests have no session, such as those for assets. Default: none. */
  skip?: (ctx: Koa.Context) => boolean
  /**
   * Tells which requests are no sign of a visitor who is there, such as those of a timer in an open tab, and streams of
   * server-sent events. They read and write their session as others do, but do not extend its idle timeout, and do not
   * keep it alive while they are under way. `session.expiresAt` tells them how much time is left. Default: none.
   */
  passive?: (ctx: Koa.Context) => boolean
  /**
   * What a request gets that uses its session while the store cannot be read: `'throw'` (the default) answers 503,
   * `'anonymous'` gives an empty session that cannot be saved.
   */
  onStoreError?: 'throw' | 'anonymous'
  /**
   * Other libraries whose sessions are taken over, by readers of `koa-server-session/moving`. A visitor who has no session
   * here, and one there, gets a new session with its data, and the old one ends. Default: none.
   */
  movingFrom?: readonly OldSessions[]
  /**
   * The largest record in bytes; a session that would take more is not saved. Notices that nobody has asked for give way
   * first, and what is noted of a session whose cookie has not come back does not count. A record in the store that has
   * more than eight times as many bytes is not read either: it counts as one that cannot be read. Default 64 KiB.
   */
  maxRecordBytes?: number
}

/** The options as the library uses them: a complete and checked copy. */
export interface CheckedOptions extends Timeouts {
  readonly keyring: Keyring | undefined
  readonly store: Store
  /** Whether the store was made here, and so is closed here. */
  readonly ownsStore: boolean
  readonly cache: Required<CacheOptions> | undefined
  readonly cookie: CheckedChoice
  readonly encrypt: boolean
  readonly codec: Codec
  /** Whether the cookies of new sessions outlive the browser. */
  readonly persistent: boolean
  readonly property: string
  readonly skip: ((ctx: Koa.Context) => boolean) | undefined
  readonly passive: ((ctx: Koa.Context) => boolean) | undefined
  readonly onStoreError: 'throw' | 'anonymous'
  readonly movingFrom: readonly OldSessions[] | undefined
  readonly maxRecordBytes: number
}

const MINUTE: Milliseconds = 60_000
const DEFAULT_TIMEOUTS: Timeouts = { idleTimeout: 30 * MINUTE, absoluteTimeout: 8 * 60 * MINUTE }

/** The names of all options. */
export const OPTION_NAMES: readonly (keyof SessionOptions)[] = [
  'keys',
  'store',
  'cache',
  'idleTimeout',
  'absoluteTimeout',
  'cookie',
  'cookieName',
  'encrypt',
  'serializer',
  'property',
  'skip',
  'passive',
  'onStoreError',
  'movingFrom',
  'maxRecordBytes',
]
const CACHE_OPTIONS: readonly (keyof CacheOptions)[] = ['max', 'maxBytes', 'maxAge', 'allowStale', 'audit']

const checks = new Checks('koa-server-session')

/** Throws `ERR_SESSION_OPTION`, which names the option, the rule and (unless it is secret) the value. */
export function checkOptions(options: SessionOptions): CheckedOptions {
  refuseMisplaced(options)
  checks.names(options, OPTION_NAMES, { cures: OPTION_CURES })
  const { property = DEFAULT_PROPERTY, onStoreError = 'throw', maxRecordBytes = 65_536, encrypt = false } = options
  checkProperty(checks, property)
  checks.positive('maxRecordBytes', maxRecordBytes)
  checks.oneOf('encrypt', encrypt, [true, false])
  checks.oneOf('onStoreError', onStoreError, ['throw', 'anonymous'])
  const cookie = checkCookieChoice(checks, options)
  return {
    keyring: checkKeys(options),
    cache: checkCache(options.cache),
    ...checkTimeouts(options),
    cookie,
    persistent: cookie.fixed?.persistent ?? false,
    encrypt,
    codec: new Codec(checkSerializer(options.serializer)),
    property,
    skip: checks.question('skip', options.skip),
    passive: checks.question('passive', options.passive),
    onStoreError,
    movingFrom: checkMovingFrom(options.movingFrom),
    maxRecordBytes,
    // Last, because a store made from a URL has timers and connections, which nobody would close after an error.
    store: checkStore(options.store),
    ownsStore: options.store === undefined || typeof options.store === 'string',
  }
}

/** Throws for what is not the options at all. It is not shown, because it may be a secret in the wrong place. */
function refuseMisplaced(options: object): void {
  checks.object('the options', options)
  if ('req' in options && 'res' in options && 'app' in options)
    throw checks.refusal('app.use(session) passes the function itself. Write app.use(session({ keys: [secret] })).')
  if ('middleware' in options && 'callback' in options)
    throw checks.refusal('session() takes options, not the application. Write app.use(session({ keys: [secret] })).')
}

function checkKeys(options: SessionOptions): Keyring | undefined {
  if (!Object.hasOwn(options, 'keys')) return undefined
  if (options.keys !== undefined) return keyringOf(options.keys)
  // Without the option, app.keys sign. An option that is there and undefined was meant to hold secrets.
  throw checks.refusal('keys is undefined. Is the environment variable set? To sign with app.keys, leave keys out.')
}

function checkTimeouts(options: SessionOptions): Timeouts {
  const given: { -readonly [Name in keyof Timeouts]?: Milliseconds } = {}
  for (const name of ['idleTimeout', 'absoluteTimeout'] as const) {
    const length: unknown = options[name]
    if (length === undefined) continue
    if (!isTimeout(length)) throw checks.wrong(name, TIMEOUT_RULE, length)
    given[name] = length
  }
  const doubt = doubtAbout(given, DEFAULT_TIMEOUTS, 'the default')
  if (doubt) warn(doubt.code, `session(): ${doubt.message}`)
  return { ...DEFAULT_TIMEOUTS, ...given }
}

function checkSerializer(serializer: Serializer | undefined): Serializer | undefined {
  if (serializer === undefined) return undefined
  const { stringify, parse } = (serializer ?? {}) as Partial<Serializer>
  if (typeof stringify === 'function' && typeof parse === 'function') return serializer
  throw checks.wrong('serializer', 'must have the functions stringify and parse', serializer)
}

function checkStore(store: Store | string = DEFAULT_STORE): Store {
  if (store === '')
    throw checks.refusal(`store is empty. Is the environment variable set? Leave store out for ${DEFAULT_STORE}.`)
  if (typeof store === 'string') {
    if (/^memory:?$/i.test(store) && process.env['NODE_ENV'] === 'production') warn('SESSION_STORE_MEMORY', MEMORY)
    return storeFromUrl(store)
  }
  for (const method of ['load', 'save', 'touch', 'delete'] as const) {
    if (typeof store?.[method] === 'function') continue
    const cure = cureOfStore(store)
    throw checks.refusal(`store must be a URL or a store; it has no method ${method}.${cure ? ` ${cure}` : ''}`)
  }
  return store
}

function checkMovingFrom(sources: readonly OldSessions[] | undefined): readonly OldSessions[] | undefined {
  if (sources === undefined) return undefined
  const isSource = (source: unknown): boolean => typeof (source as Partial<OldSessions> | null)?.find === 'function'
  if (!Array.isArray(sources) || !sources.every(isSource))
    throw checks.wrong(
      'movingFrom',
      'must be a list of readers, such as [fromKoaSession({ keys })] of koa-server-session/moving (to move between two ' +
        'of our own stores, write store: movingStore(from, to))',
      sources,
    )
  return sources.length > 0 ? [...sources] : undefined
}

const MEMORY =
  "session(): store 'memory:' keeps sessions in this process only: a restart ends them all, and another process does " +
  'not know them. For production take file: or redis:.'

function checkCache(cache: CacheOptions | false = {}): Required<CacheOptions> | undefined {
  if (cache === false) return undefined
  checks.object('cache', cache, 'must be false or an object')
  checks.names(cache, CACHE_OPTIONS, { path: 'cache', cures: CACHE_CURES })
  const { max = 10_000, maxBytes = 32 * 1024 * 1024, maxAge = MINUTE, allowStale = false, audit = 0 } = cache
  checks.whole('cache.max', max)
  checks.whole('cache.maxBytes', maxBytes)
  checks.positive('cache.maxAge', maxAge)
  checks.oneOf('cache.allowStale', allowStale, [true, false])
  if (typeof audit !== 'number' || !(audit >= 0 && audit <= 1))
    throw checks.wrong('cache.audit', 'must be a share, from 0 to 1, such as 0.001', audit)
  return { max, maxBytes, maxAge, allowStale, audit }
}

const KEYS = 'The secrets that sign the cookie are keys, newest first: keys: [secret].'
const COOKIE = 'Write it inside cookie: { … }.'
const ALWAYS_SO = 'There is nothing to set: a session is saved if it was changed, and extended if it was used.'
const STORE = "Sessions are kept where store says: store: 'redis://host', or a store that redisStore and its like make."

/** What people write by habit from koa-session, express-session and others, and what to write here instead. */
const OPTION_CURES: Cures = {
  secret: KEYS,
  secrets: KEYS,
  signed: KEYS,
  key: `${KEYS} The name of the cookie is cookie: { name: 'sid' }.`,
  name: "The name of the cookie is cookie: { name: 'sid' }.",
  maxAge: LENGTH_OF_SESSIONS,
  expires: LENGTH_OF_SESSIONS,
  ttl: LENGTH_OF_SESSIONS,
  timeout: LENGTH_OF_SESSIONS,
  rolling: ALWAYS_SO,
  renew: ALWAYS_SO,
  resave: ALWAYS_SO,
  autoCommit: ALWAYS_SO,
  saveUninitialized: ALWAYS_SO,
  domain: COOKIE,
  path: COOKIE,
  secure: COOKIE,
  sameSite: COOKIE,
  partitioned: COOKIE,
  priority: COOKIE,
  persistent: COOKIE,
  httpOnly: 'The cookie is always HttpOnly.',
  proxy: 'Koa itself must trust the proxy: app.proxy = true.',
  client: STORE,
  redis: STORE,
  url: STORE,
  ContextStore: STORE,
  prefix: "The prefix of keys belongs to the store: store: 'redis://host?prefix=shop:'.",
  genid: 'The library makes the ids itself: 256 random bits each.',
  encode: 'How values become text is serializer: { stringify, parse }.',
  decode: 'How values become text is serializer: { stringify, parse }.',
}

/** The same for the options of `cache`. */
const CACHE_CURES: Cures = {
  ttl: 'The time after which a record is read again is maxAge, in milliseconds.',
  maxSize: 'The bounds are max, a number of sessions, and maxBytes.',
}

/** What to do about something that is no store, by what can be seen of it; `undefined` if nothing is recognized. */
function cureOfStore(thing: unknown): string | undefined {
  if (typeof thing === 'function') return 'This is a class or a function: call it, and pass the store that it makes.'
  if (typeof thing !== 'object' || thing === null) return undefined
  const has = (...methods: string[]): boolean =>
    methods.every((method) => typeof (thing as Record<string, unknown>)[method] === 'function')
  if (has('then')) return 'This is a promise: await it first.'
  if (has('duplicate', 'defineCommand') || has('duplicate', 'sendCommand'))
    return 'This is a client of Redis: pass redisStore(client).'
  if (has('xsend')) return 'This is a client of memcache-client: pass memcachedStore(client).'
  if (!has('get', 'set', 'destroy')) return undefined
  return thing.constructor.name === 'RedisStore'
    ? "This is a store of connect-redis. For sessions in Redis pass the URL, 'redis://host', or redisStore(client) with the client."
    : 'This is a store for express-session or koa-session. One for express-session can be used as fromExpressStore(store); one for koa-session cannot, because it does not tell writers apart.'
}
