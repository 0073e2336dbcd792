import { Checks } from '../../checks.ts'
import type { OldSessions } from '../../http/newcomers.ts'
import { signedByExpress } from './signatures.ts'
import {
  checkCookieName,
  checkMethods,
  checkSource,
  farewell,
  hasExpired,
  valuesIn,
  without,
  type Source,
} from './source.ts'

/** What `fromExpressSession` has to know of the express-session of before. */
export interface ExpressSessionSource<Data extends object = Record<string, unknown>> extends Source<Data> {
  /** The option `secret`. */
  secret: string | readonly string[]
  /** The option `store`, such as that of connect-redis, connect-pg-simple, session-file-store or memorystore. */
  store: ExpressSessionStore
  /** The option `name`: the cookie's name. Default `connect.sid`. */
  name?: string
}

/** What express-session keeps beside the data, and session-file-store. */
const OWN_NAMES = ['cookie', '__lastAccess']

type Callback = (error?: unknown, data?: unknown) => void

/** A store as express-session has it. */
interface ExpressSessionStore {
  get(id: string, callback: (error?: never, data?: never) => void): unknown
  destroy(id: string, callback?: (error?: never) => void): unknown
}

/**
 * The sessions of express-session, for the option `movingFrom`. Throws `ERR_SESSION_OPTION` if an option is wrong.
 *
 * ```ts
 * app.use(session({ keys, movingFrom: [fromExpressSession({ secret: oldSecret, store: oldStore })] }))
 * ```
 */
export function fromExpressSession<Data extends object = Record<string, unknown>>(
  options: ExpressSessionSource<Data>,
): OldSessions {
  const checks = new Checks('fromExpressSession')
  checkSource(checks, options, ['secret', 'store', 'name'])
  const { secret, store, name = 'connect.sid', cookie, take } = options
  checkCookieName(checks, 'name', name)
  checkMethods(checks, 'store', store, ['get', 'destroy'])
  const isSigned = signedByExpress(checks, secret)
  const farewells = [farewell(name, cookie)]
  return {
    name: `express-session (${name})`,
    take,
    find(header) {
      for (const value of valuesIn(header, name)) {
        const [id, signature] = partsOf(value)
        if (id === undefined || signature === undefined || !isSigned(id, signature)) continue
        return {
          id: `express-session ${name} ${id}`,
          farewells,
          async load() {
            const data = (await ask((callback) => store.get(id, callback))) as { cookie?: unknown } | null | undefined
            return typeof data !== 'object' || data === null || hasExpired(data.cookie)
              ? undefined
              : without(data, OWN_NAMES)
          },
          async end() {
            await ask((callback) => store.destroy(id, callback))
          },
        }
      }
      return undefined
    },
  }
}

/** `s:<id>.<signature>`, with escapes. */
function partsOf(value: string): string[] {
  try {
    return /^s:(.+)\.([^.]+)$/s.exec(decodeURIComponent(value))?.slice(1) ?? []
  } catch {
    return []
  }
}

/** Calls a method that calls back, or returns a promise, or both. A file that is not there is no session. */
function ask(call: (callback: (error?: never, data?: never) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      if ((error as NodeJS.ErrnoException | null | undefined)?.code === 'ENOENT') resolve(undefined)
      else reject(error instanceof Error ? error : new Error('the old store failed', { cause: error }))
    }
    const callback: Callback = (error, data) => (error ? fail(error) : resolve(data))
    Promise.resolve(call(callback)).catch(fail)
  })
}
