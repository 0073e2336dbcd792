import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import type { Diagnostics, SessionStats } from './diagnostics.ts'
import { SessionError } from './errors.ts'
import { currentHolder, noSessionHere } from './http/context.ts'
import { keyringOf, keysNotSeenYet, type Keyring, type Keys } from './http/keyring.ts'
import type { Services } from './http/lookup.ts'
import { openSession } from './http/socket.ts'
import type { StoreStack } from './layers/stack.ts'
import type { CheckedOptions } from './options.ts'
import type { SessionSummary } from './session/subjects.ts'
import type { Session, SessionData } from './session/types.ts'
import { isKey, type Key } from './units.ts'

/** A Koa middleware, and the operations that belong to no single request. */
export interface Sessions<Data extends object = SessionData> {
  /** The middleware, for `app.use`. */
  (ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void>
  /** This very middleware's session of the request in which it is called; throws like `getSession`. */
  get(): Session<Data>
  /**
   * The session of a request that passes no middleware: a WebSocket's upgrade, the handshake of socket.io. Reads and
   * verifies the cookie, sets none, and counts as a use. Resolves to `undefined` if there is no live session (no cookie,
   * a forged one, an expired session); rejects with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails, and with
   * `ERR_SESSION_OPTION` if the keys are the application's and no request has shown them yet.
   *
   * It may stay open for as long as the socket. Nothing commits by itself: `update` commits at once, all other changes
   * need `save()`. It shows what it loaded: `reload()` reads the newest state, and counts as a use. `regenerate` rejects,
   * because there is no response to carry the new cookie. `runWithSession(session, fn)` hands it to `getSession()`.
   */
  open(request: IncomingMessage): Promise<Session<Data> | undefined>
  /**
   * Replaces the signing keys while running, newest first. Cookies signed by a key that is still in the list are
   * accepted and signed anew, once; all others are no longer accepted.
   */
  rotate(keys: Keys): void
  /**
   * Whether the store can tell which sessions are a subject's: files, memory and Redis can, memcached and stores of
   * express-session cannot. Where it is `false`, `identify` fails at the commit, and `list` and `revokeAll` reject.
   */
  readonly canList: boolean
  /**
   * The live sessions of this subject (see `session.identify`), the one that was seen last first. Rejects with
   * `ERR_SESSION_OPTION` where the store cannot list them.
   */
  list(subject: string): Promise<SessionSummary[]>
  /** Ends the session of this public id, on every node; `false` if there was none. */
  revoke(id: Key): Promise<boolean>
  /** Ends all sessions of this subject, but those of the excepted ids; resolves to how many. */
  revokeAll(
    subject: string,
    options?: {
      /** The public id that stays, or several: usually that of the request that asks. */
      except?: Key | readonly Key[]
    },
  ): Promise<number>
  /** Removes expired sessions now; resolves to how many, or to 0 where the store expires them by itself. */
  prune(): Promise<number>
  /** Counters since the start, and the size of the cache. */
  stats(): SessionStats
  /** Waits for what is under way and lets go of the cache; closes the store if it was made from a URL. */
  close(): Promise<void>
}

/** `Sessions` without its call signature. */
export type Operations<Data extends object> = Omit<Sessions<Data>, never>

/** What `session()` has put together. */
export interface Parts {
  readonly options: Pick<CheckedOptions, 'store' | 'ownsStore'>
  readonly services: Services
  readonly stack: StoreStack
  readonly diagnostics: Diagnostics
  readonly useKeys: (keyring: Keyring) => void
}

/** What can be done outside of a request. */
export function operationsOf<Data extends object>(parts: Parts): Operations<Data> {
  const { services, stack, diagnostics, useKeys } = parts
  const { lifecycle, cookie, identity } = services
  const { owner, property } = identity
  const { store, ownsStore } = parts.options
  const { subjects } = lifecycle
  return {
    get: () => (currentHolder(owner)?.session ?? noSessionHere(property)) as Session<Data>,
    async open(request) {
      if (!cookie.hasKeys) throw keysNotSeenYet()
      return (await openSession(services, request.headers.cookie)) as Session<Data> | undefined
    },
    rotate: (keys) => useKeys(keyringOf(keys)),

    canList: stack.front.subjects !== undefined,
    list: async (subject) => subjects.list(subject, currentHolder(owner)?.session.id),
    async revoke(id) {
      if (isKey(id)) return subjects.revoke(id)
      throw new SessionError('ERR_SESSION_OPTION', 'sessions.revoke takes the public id of a session: session.id.')
    },
    revokeAll: (subject, { except = [] } = {}) =>
      subjects.revokeAll(subject, typeof except === 'string' ? [except] : except),

    prune: async () => (await store.prune?.()) ?? 0,
    stats: () => ({ ...diagnostics.stats, resigned: Array.from(diagnostics.stats.resigned, (count) => count ?? 0) }),
    async close() {
      await lifecycle.settled()
      await stack.close()
      if (ownsStore) await store.close?.()
    },
  }
}
