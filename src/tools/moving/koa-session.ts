import type Keygrip from 'keygrip'
import { Checks } from '../../checks.ts'
import type { OldSessions, OldVisit } from '../../http/newcomers.ts'
import { LONGEST_COOKIE } from '../../record/timeouts.ts'
import type { Instant } from '../../units.ts'
import { signedByKoa, type Verify } from './signatures.ts'
import { checkCookieName, checkMethods, checkSource, farewell, valuesIn, without, type Source } from './source.ts'

/** What `fromKoaSession` has to know of the koa-session of before. */
export interface KoaSessionSource<Data extends object = Record<string, unknown>> extends Source<Data> {
  /** `app.keys` as they were, with the newest first, or the Keygrip. */
  keys: readonly string[] | Keygrip
  /** The option `key`: the cookie's name. Default `koa.sess`. */
  key?: string
  /** The option `store`, if there was one. Without it, the data is in the cookie. */
  store?: KoaSessionStore
  /** The option `decode`, if there was one and the data is in the cookie. */
  decode?: (text: string) => object
}

/** A store as koa-session has it. */
interface KoaSessionStore {
  get(key: string, maxAge: unknown, options: { rolling: boolean }): unknown
  destroy(key: string, options: object): unknown
}

const OWN_NAMES = ['_expire', '_maxAge', '_session']

/**
 * The sessions of koa-session, for the option `movingFrom`. The cookie must have been signed, as it is by default. Throws
 * `ERR_SESSION_OPTION` if an option is wrong.
 *
 * ```ts
 * app.use(session({ keys, movingFrom: [fromKoaSession({ keys: app.keys, store: oldStore })] }))
 * ```
 */
export function fromKoaSession<Data extends object = Record<string, unknown>>(
  options: KoaSessionSource<Data>,
): OldSessions {
  const checks = new Checks('fromKoaSession')
  checkSource(checks, options, ['keys', 'key', 'store', 'decode'])
  const { keys, key = 'koa.sess', store, decode = decodeCookie, cookie, take } = options
  checkCookieName(checks, 'key', key)
  if (store !== undefined) checkMethods(checks, 'store', store, ['get', 'destroy'])
  checks.callable('decode', decode)
  const isSigned = signedByKoa(checks, keys)
  const farewells = [farewell(key, cookie), farewell(`${key}.sig`, cookie)]

  function visitOf(value: string): OldVisit {
    const id = `koa-session ${key} ${value}`
    if (!store) {
      const data = readIn(() => decode(value))
      return { id, until: endOf(data), farewells, load: () => data && ownData(data), end() {} }
    }
    return {
      id,
      farewells,
      async load() {
        return ownData(await store.get(value, undefined, { rolling: false }))
      },
      async end() {
        await store.destroy(value, {})
      },
    }
  }

  return {
    name: `koa-session (${key})`,
    take,
    find(header) {
      const value = signedValueIn(header, key, isSigned)
      return value === undefined ? undefined : visitOf(value)
    },
  }
}

/** The first value of this cookie that the cookie with its signature confirms, as the package `cookies` writes both. */
export function signedValueIn(header: string, name: string, isSigned: Verify): string | undefined {
  const signatures = valuesIn(header, `${name}.sig`)
  return valuesIn(header, name).find((value) => signatures.some((signature) => isSigned(`${name}=${value}`, signature)))
}

function decodeCookie(value: string): object {
  return JSON.parse(Buffer.from(value, 'base64').toString()) as object
}

/** What cannot be read is no session for koa-session either. */
function readIn(read: () => object): Record<string, unknown> | undefined {
  try {
    return read() as Record<string, unknown>
  } catch {
    return undefined
  }
}

/** Until when the cookie can be shown again. koa-session sets no end for a cookie that ends with the browser. */
function endOf(data: Record<string, unknown> | undefined): Instant {
  const end = data?.['_expire']
  return typeof end === 'number' ? end : Date.now() + LONGEST_COOKIE
}

function ownData(data: unknown): object | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const { _expire: end } = data as { _expire?: unknown }
  return typeof end === 'number' && end < Date.now() ? undefined : without(data, OWN_NAMES)
}
