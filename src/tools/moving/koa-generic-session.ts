import type Keygrip from 'keygrip'
import { Checks } from '../../checks.ts'
import type { OldSessions } from '../../http/newcomers.ts'
import { signedValueIn } from './koa-session.ts'
import { signedByKoa } from './signatures.ts'
import { checkCookieName, checkMethods, checkSource, farewell, hasExpired, without, type Source } from './source.ts'

/** What `fromKoaGenericSession` has to know of the koa-generic-session of before. */
export interface KoaGenericSessionSource<Data extends object = Record<string, unknown>> extends Source<Data> {
  /** `app.keys` as they were, with the newest first, or the Keygrip. */
  keys: readonly string[] | Keygrip
  /** The option `store`, such as that of koa-redis. */
  store: KoaGenericSessionStore
  /** The option `key`: the cookie's name. Default `koa.sid`. */
  key?: string
  /** The option `prefix`. Default `koa:sess:`. */
  prefix?: string
}

/** A store as koa-generic-session has it. */
interface KoaGenericSessionStore {
  get(key: string): unknown
  destroy(key: string): unknown
}

/**
 * The sessions of koa-generic-session, for the option `movingFrom`. The cookie must have been signed, as it is by default.
 * Throws `ERR_SESSION_OPTION` if an option is wrong.
 */
export function fromKoaGenericSession<Data extends object = Record<string, unknown>>(
  options: KoaGenericSessionSource<Data>,
): OldSessions {
  const checks = new Checks('fromKoaGenericSession')
  checkSource(checks, options, ['keys', 'store', 'key', 'prefix'])
  const { keys, store, key = 'koa.sid', prefix = 'koa:sess:', cookie, take } = options
  checkCookieName(checks, 'key', key)
  checkMethods(checks, 'store', store, ['get', 'destroy'])
  if (typeof prefix !== 'string') throw checks.wrong('prefix', 'must be a string', prefix)
  const isSigned = signedByKoa(checks, keys)
  const farewells = [farewell(key, cookie), farewell(`${key}.sig`, cookie)]
  return {
    name: `koa-generic-session (${key})`,
    take,
    find(header) {
      const id = signedValueIn(header, key, isSigned)
      if (id === undefined) return undefined
      return {
        id: `koa-generic-session ${key} ${id}`,
        farewells,
        async load() {
          const data = (await store.get(prefix + id)) as { cookie?: unknown } | null | undefined
          return typeof data !== 'object' || data === null || hasExpired(data.cookie)
            ? undefined
            : without(data, ['cookie'])
        },
        async end() {
          await store.destroy(prefix + id)
        },
      }
    },
  }
}
