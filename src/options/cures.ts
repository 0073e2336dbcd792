import type { Cures } from '../checks.ts'

/*
 * What people write by habit from koa-session, express-session and others, and what to write here instead.
 */

const LENGTHS =
  'How long a session lasts is idleTimeout and absoluteTimeout, in milliseconds; with cookie: { persistent: true } the ' +
  'cookie outlives the browser.'
const KEYS = 'The secrets that sign the cookie are keys, newest first: keys: [secret].'
const COOKIE = 'Write it inside cookie: { … }.'
const ALWAYS_SO = 'There is nothing to set: a session is saved if it was changed, and extended if it was used.'
const STORE = "Sessions are kept where store says: store: 'redis://host', or a store that redisStore and its like make."

/** For the options of `session()`. */
export const OPTION_CURES: Cures = {
  secret: KEYS,
  secrets: KEYS,
  signed: KEYS,
  key: `${KEYS} The name of the cookie is cookie: { name: 'sid' }.`,
  name: "The name of the cookie is cookie: { name: 'sid' }.",
  maxAge: LENGTHS,
  expires: LENGTHS,
  ttl: LENGTHS,
  timeout: LENGTHS,
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

/** For the options of `cookie`. */
export const COOKIE_CURES: Cures = {
  maxAge: LENGTHS,
  expires: LENGTHS,
  httpOnly: 'The cookie is always HttpOnly.',
  signed: 'The cookie is always signed, with the keys of the options.',
  overwrite: 'The cookie always takes the place of an older one.',
  key: "The name of the cookie is cookie: { name: 'sid' }.",
}

/** For the options of `cache`. */
export const CACHE_CURES: Cures = {
  ttl: 'The time after which a record is read again is maxAge, in milliseconds.',
  maxSize: 'The bounds are max, a number of sessions, and maxBytes.',
}

/** What to do about something that is no store, by what can be seen of it; `undefined` if nothing is recognized. */
export function cureOfStore(thing: unknown): string | undefined {
  if (typeof thing === 'function') return 'This is a class or a function: call it, and pass the store that it makes.'
  if (typeof thing !== 'object' || thing === null) return undefined
  const has = (...methods: string[]): boolean =>
    methods.every((method) => typeof (thing as Record<string, unknown>)[method] === 'function')
  if (has('then')) return 'This is a promise: await it first.'
  if (has('duplicate', 'defineCommand')) return 'This is a client of ioredis: pass redisStore(client).'
  if (has('duplicate', 'sendCommand')) return "This is a client of the package redis: pass the URL, 'redis://host'."
  if (has('xsend')) return 'This is a client of memcache-client: pass memcachedStore(client).'
  if (!has('get', 'set', 'destroy')) return undefined
  return thing.constructor.name === 'RedisStore'
    ? "This is a store of connect-redis. For sessions in Redis pass the URL, 'redis://host', or redisStore(client) with a client of ioredis."
    : 'This is a store for express-session or koa-session. One for express-session can be used as fromExpressStore(store); one for koa-session cannot, because it does not tell writers apart.'
}
