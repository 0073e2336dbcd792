import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import type { Diagnostics, SessionStats } from './diagnostics.ts'
import { currentHolder, noSessionHere } from './http/context.ts'
import { keyringOf, keysNotSeenYet, type Keyring, type Keys } from './http/keyring.ts'
import type { Services } from './http/lookup.ts'
import { openSession } from './http/socket.ts'
import type { StoreStack } from './layers/stack.ts'
import type { CheckedOptions } from './options.ts'
import { shared } from './session/copies.ts'
import { rehearse } from './session/readiness.ts'
import { checkList, checkRevoke, checkRevokeAll } from './session/subject-arguments.ts'
import { revokedOf, type SessionSummary } from './session/subjects.ts'
import type { SessionData } from './session/data.ts'
import type { Session } from './session/types.ts'
import type { Key } from './units.ts'

/** A Koa middleware, and the operations that belong to no single request. */
export interface Sessions<Data extends object = SessionData> {
  /** The middleware, for `app.use`. */
  (ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void>
  /** This very middleware's session of the request in which it is called; throws like `getSession`. */
  get(): Session<Data>
  /**
   * The session of a request that passes no middleware: a WebSocket's upgrade, the handshake of socket.io. Reads and
   * verifies the cookie, sets none, and counts as a use. Resolves to `undefined` if there is no live session (no cookie,
   * a forged one, an expired session), or if the socket of an upgrade was destroyed meanwhile; rejects with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails, and with
   * `ERR_SESSION_OPTION` if this is no request of Node, or if the keys are the application's and no request has shown them
   * yet.
   *
   * It may stay open for as long as the socket. Nothing commits by itself: `update` commits at once, all other changes
   * need `save()`. It shows what it loaded: `reload()` reads the newest state. `regenerate` rejects, because there is no
   * response to carry the new cookie. `runWithSession(session, fn)` hands it to `getSession()`.
   *
   * What keeps the session alive is use: `open` and `reload` extend the idle timeout as a request does, and so does
   * whatever `update` and `save` store. A socket that is only open does not, whatever it sends: the session ends after the
   * idle timeout, and `signal` tells.
   *
   * Errors of an upgrade's socket are absorbed while `open` is under way, and only then: Node leaves that socket without
   * a listener, and an 'error' that nobody listens to ends the process. Add a listener of your own before you call `open`.
   */
  open(request: IncomingMessage): Promise<Session<Data> | undefined>
  /**
   * Replaces the signing keys while running, newest first. Cookies signed by a key that is still in the list are
   * accepted and signed anew, once; all others are no longer accepted.
   */
  rotate(keys: Keys): void
  /**
   * Whether the store can tell which sessions are a subject's: files, memory, Redis and SQL databases can, memcached and
   * stores of express-session cannot. If it is `false`, `identify` fails at the commit (with `max`: at once), and `list` and
   * `revokeAll` reject.
   */
  readonly canList: boolean
  /**
   * The live sessions of this subject (see `session.identify`), the one that was seen last first; or those that have all
   * of these names, such as `{ tenant: 'acme' }` or `{ subject: user.id, tenant: 'acme' }`. The first name is looked up,
   * and the others are compared, so begin with the one that the fewest sessions have. Subjects and names are this
   * middleware's own: another one with the same keys and the same `cookie.name` shares them, and no other does.
   * With `'auto'`, that is the name without the prefix.
   *
   * Rejects with `ERR_SESSION_OPTION` if the subject or a name is not what `identify` takes, if the store cannot list, or if the
   * keys are the application's and no request has shown them yet; with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails.
   */
  list(whose: string | Readonly<Record<string, string>>): Promise<SessionSummary[]>
  /**
   * Ends the session of this public id, on every node. Resolves to `false` if there was none; with `subject`, also if it
   * is not a session of this subject, which then stays.
   *
   * ```ts
   * // The id comes from a form: whoever sends it may end their own sessions only.
   * const ended = await sessions.revoke(id, { subject: ctx.session.userId! })
   * ```
   *
   * Rejects with `ERR_SESSION_OPTION` if an argument is wrong, with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails,
   * and with `subject` as `list` does, and with `ERR_SESSION_UNREADABLE` if nobody can tell whose session it is.
   */
  revoke(
    id: Key,
    options?: {
      /** Whose session it must be. Absent: whosever it is. */
      subject?: string
      /**
       * What the visitor can be told, as `session.endedBecause` of the next request and as `endedBecause` of the signal's
       * reason. A text of 1 to 100 characters. Absent: nothing.
       */
      because?: string
    },
  ): Promise<boolean>
  /**
   * Ends all sessions of this subject, but those of the excepted ids, on every node; resolves to how many. Once it has
   * resolved, no session of this subject lives that began before the call: a session that gets a new id meanwhile is
   * ended under that one. With names, it ends all sessions that have all of them: see `list`.
   *
   * ```ts
   * await sessions.revokeAll(user.id, { except: ctx.session.id })
   * await sessions.revokeAll({ tenant: 'acme' })
   * ```
   *
   * Rejects as `list` does. If some sessions cannot be looked at, all others are ended before it rejects, with
   * `ERR_SESSION_UNREADABLE` (a record that cannot be read) or `ERR_SESSION_STORE_UNAVAILABLE`. Rejects with
   * `ERR_SESSION_BUSY` if new sessions keep coming for as long as it looks.
   */
  revokeAll(
    whose: string | Readonly<Record<string, string>>,
    options?: {
      /** The public id that stays, or several: usually that of the request that asks. */
      except?: Key | readonly Key[]
      /** What the visitors can be told: see `revoke`. Absent: nothing. */
      because?: string
    },
  ): Promise<number>
  /**
   * Does once with the store what sessions need of it: writes a record that is nobody's, reads it, extends it, notes it
   * under a user, and removes it. Await it before you listen, so that a wrong password, a missing right or a read-only
   * directory fails the deployment, and not its first visitor.
   *
   * ```ts
   * await sessions.ready()
   * app.listen(3000)
   * ```
   *
   * Rejects with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails; with `encrypt`, with `ERR_SESSION_OPTION` if the keys
   * are the application's and no request has shown them yet.
   */
  ready(): Promise<void>
  /**
   * Asks the store whether it answers, for a health check. Reads and writes no session. Rejects with
   * `ERR_SESSION_STORE_UNAVAILABLE` if it does not, after two seconds at the latest (or the store's own `deadline`).
   */
  ping(): Promise<void>
  /** Removes expired sessions now; resolves to how many, or to 0 where the store expires them by itself. */
  prune(): Promise<number>
  /** Counters since the start, and the size of the cache. */
  stats(): SessionStats
  /** Waits for what is under way and lets go of the cache; closes the store if it was made from a URL. */
  close(): Promise<void>
}

type Middleware = (ctx: Koa.ParameterizedContext, next: Koa.Next) => Promise<void>

/** `Sessions` without its call signature. */
type Methods<Data extends object> = Omit<Sessions<Data>, never>

/** What `session()` has put together. */
export interface Parts {
  readonly options: CheckedOptions
  readonly services: Services
  readonly stack: StoreStack
  readonly diagnostics: Diagnostics
  readonly useKeys: (keyring: Keyring) => void
}

/** Of each middleware, in whichever copy of this package it was made. For tests: see testing.ts. */
const PARTS: WeakMap<object, Parts> = shared('parts', () => new WeakMap())

/** What `session()` has put together for this middleware; `undefined` if it is none. */
export function partsOf(sessions: object): Parts | undefined {
  return PARTS.get(sessions)
}

/** The middleware with what can be done outside of a request. */
export function withMethods<Data extends object>(middleware: Middleware, parts: Parts): Sessions<Data> {
  const sessions = Object.assign(middleware, methodsOf<Data>(parts))
  PARTS.set(sessions, parts)
  return sessions
}

/** What can be done outside of a request. */
function methodsOf<Data extends object>(parts: Parts): Methods<Data> {
  const { services, stack, diagnostics, useKeys } = parts
  const { lifecycle, cookie, identity } = services
  const { owner, property } = identity
  const { store, ownsStore } = parts.options
  const { subjects } = lifecycle

  function assertKeys(method: string): void {
    if (!cookie.hasKeys) throw keysNotSeenYet(method)
  }

  return {
    get: () => (currentHolder(owner)?.session ?? noSessionHere(property)) as Session<Data>,
    async open(request) {
      assertKeys('sessions.open')
      return (await openSession(services, request)) as Session<Data> | undefined
    },
    rotate: (keys) => useKeys(keyringOf(keys)),

    canList: stack.front.subjects !== undefined,
    async list(whose) {
      checkList(whose)
      assertKeys('sessions.list')
      return subjects.list(whose, currentHolder(owner)?.session.id)
    },
    async revoke(id, options) {
      const { subject, because } = checkRevoke(id, options)
      if (subject !== undefined) assertKeys('sessions.revoke')
      return subjects.revoke(id, subject, because)
    },
    async revokeAll(whose, options) {
      const { except, because } = checkRevokeAll(whose, options)
      assertKeys('sessions.revokeAll')
      return revokedOf(await subjects.revokeAll(whose, except, because))
    },

    async ready() {
      if (stack.vault) assertKeys('sessions.ready')
      await rehearse(stack.source)
    },
    ping: () => stack.stored.ping(),

    prune: async () => (await store.prune?.()) ?? 0,
    stats: () => ({
      ...diagnostics.stats,
      resigned: Array.from(diagnostics.stats.resigned, (count) => count ?? 0),
      decrypted: Array.from(diagnostics.stats.decrypted, (count) => count ?? 0),
    }),
    async close() {
      identity.isClosed = true
      await lifecycle.settled()
      await stack.close()
      if (ownsStore) await store.close?.()
    },
  }
}
