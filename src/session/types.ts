import type { SessionData } from './data.ts'
import type {
  DestroyOptions,
  IdentifyOptions,
  LimitedIdentifyOptions,
  RegenerateOptions,
  RememberOptions,
} from './member-options.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'

/** A visitor's session: the data as plain properties, and the members below, which are not enumerable. */
export type Session<Data extends object = SessionData> = Data & SessionMembers<Data>

/** How connect-era code, such as passport, waits for an outcome: `error` is `null` if there is none. */
export type SessionCallback = (error: unknown) => void

/**
 * What every session has beside its data. None of these names can be used for data.
 *
 * Every method that talks to the store rejects with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails or is too slow.
 * Every method that changes something throws or rejects with `ERR_SESSION_ENDED` if this session has been destroyed or
 * regenerated: take the current one from `ctx.session` or `getSession()`. A request that has destroyed its session itself
 * may write on: that begins a new one.
 */
export interface SessionMembers<Data extends object = SessionData> {
  /**
   * The public name of this session: 64 hexadecimal digits, safe to log, to store and to pass to `sessions.revoke`. The
   * secret in the cookie is another. Before anything of the session is stored (`isNew`), each request of a visitor has
   * another one.
   */
  readonly id: Key
  /** Whether nothing of this session is in the store yet. */
  readonly isNew: boolean
  /** When the session began, in Unix milliseconds. Only `regenerate({ keep: true })` keeps it. */
  readonly createdAt: Instant
  /**
   * When the session ends if it is not used again, in Unix milliseconds: the idle timeout after its last use, or the
   * absolute timeout after its beginning if that comes first. As this request knows it: other requests may have extended
   * the session since.
   */
  readonly expiresAt: Instant
  /**
   * Aborted once this session has ended, wherever that happened: destroyed, revoked, regenerated (the new session has
   * another signal) or expired, in this process or another one. For what outlives a request: sockets, streams, jobs. Its
   * `reason` is a `SessionError` with the code `ERR_SESSION_ENDED`, whose `endedBecause` says why if whoever ended the
   * session said so.
   *
   * It is aborted at once if this process ended the session. Otherwise it is aborted within the coherence bound on Redis
   * (up to a second later if messages were lost), and within about a second on stores that push nothing, which Redis with
   * a bound of 0 is too (with more than a thousand such sessions, a second for each thousand). A timeout is noticed within
   * a second too. While the store fails, nothing is aborted.
   *
   * A signal costs nothing before it is asked for. It is held for as long as this object is in use or somebody listens to
   * the signal, so remove your listener when your socket closes.
   *
   * `AbortSignal.any` and `new Request` do not listen: once this object is no longer in use, what is made of the signal by
   * them is told nothing. Give them the signal of a controller that a listener aborts, and give the signal of a Request to
   * `fetch` itself:
   *
   * ```ts
   * const ended = new AbortController()
   * const end = () => ended.abort(signal.reason)
   * signal.addEventListener('abort', end, { once: true }) // and removeEventListener when the work is done
   * await fetch(request, { signal: AbortSignal.any([ended.signal, AbortSignal.timeout(60_000)]) })
   * ```
   */
  readonly signal: AbortSignal
  /**
   * Why the session that the visitor's cookie named has ended, if whoever ended it said so: `'limit'` if it was one too
   * many for `identify` with `max`, or what `sessions.revoke` and `sessions.revokeAll` were given as `because`. Known for a
   * day, or until that session would have expired anyway. `undefined` in all other cases, and once a new session has
   * begun under `regenerate`.
   *
   * ```ts
   * if (ctx.session.endedBecause === 'limit') ctx.body = 'You were signed out here: you are signed in on five devices.'
   * ```
   */
  readonly endedBecause: string | undefined

  /**
   * Commits what this request has changed, now. Needed only before a response that Koa does not send (a stream of your
   * own, `ctx.respond = false`): otherwise the end of the request commits.
   *
   * Rejects with `ERR_SESSION_GONE` if the session was ended elsewhere, `ERR_SESSION_VALUE` if a value cannot be
   * serialized, `ERR_SESSION_TOO_LARGE`, `ERR_SESSION_BUSY` if other writers were faster for two seconds and five
   * times at least, and `ERR_SESSION_HEADERS_SENT` if a new session's cookie can no longer be sent.
   */
  save(): Promise<void>
  save(callback: SessionCallback): void

  /**
   * Drops what this request has changed and reads the session again. Rejects with `ERR_SESSION_GONE` if the session was
   * ended elsewhere.
   */
  reload(): Promise<void>
  reload(callback: SessionCallback): void

  /**
   * An exact read-modify-write. `change` runs on the newest state, and runs again if another writer was faster. So it
   * must be synchronous and free of side effects, and calls no other method that talks to the store. Commits at once,
   * including what this request has changed before, and resolves to what `change` returned. If nothing has changed, a
   * visitor without a session stays without one.
   *
   * Objects that `change` has set or read are the session's own from then on, also if it returned one. An object that the
   * handler had read before, and that `change` has changed, is not: read it again, because the commit rejects with
   * `ERR_SESSION_COMMITTED` if it is changed. The eight objects that were replaced last are watched.
   *
   * ```ts
   * const views = await ctx.session.update((session) => (session.views = (session.views ?? 0) + 1))
   * ```
   *
   * Rejects with what `change` throws, with `ERR_SESSION_OPTION` if it returns a promise or calls such a method, and with the codes of `save`.
   */
  update<Result>(change: (session: Session<Data>) => Result): Promise<Result>

  /**
   * A new token for this visitor, at every change of privilege (OWASP; ASVS 5.0 7.2.4). Once this resolves, the old token
   * opens nothing. The data is emptied, or kept: all of it with `keep: true`, else what has the listed names. The object
   * at hand keeps its data for reading; `ctx.session` and `getSession()` are the new session. If no data is kept, or if
   * the visitor had no stored session, the new one is stored when the request ends (after an error only if it took the
   * place of a stored one); a handler that answers by itself calls `save` before.
   *
   * For a minute, the old token is known as replaced: a request with it sets no cookie, unless it calls `regenerate`
   * itself, as after a double click on "Sign in". It then takes the place of a new session whose cookie has not come back.
   * If it has, the two sessions stand side by side, and `keep: true` rejects with `ERR_SESSION_GONE`.
   *
   * ```ts
   * await ctx.session.regenerate({ keep: ['cart'] })
   * ctx.session.userId = user.id
   * ```
   *
   * Rejects with `ERR_SESSION_OPTION` if the options are wrong, `ERR_SESSION_GONE` if the session was ended elsewhere
   * meanwhile, `ERR_SESSION_BUSY` if other writers were faster for two seconds and five times at least (the old token
   * is then still good), `ERR_SESSION_COMMITTED` after the commit, and `ERR_SESSION_HEADERS_SENT` if the cookie can no
   * longer be sent.
   */
  regenerate(options?: RegenerateOptions<Data>): Promise<void>
  regenerate(callback: SessionCallback): void

  /**
   * Notes that this visitor has just proved who they are, in this way: `'password'`, `'passkey'`, or what you call it. A
   * list notes several. A proof is a change of rights, so it takes a new token (ASVS 5.0 7.2.4): this is
   * `regenerate({ keep: true })`, which stores the proof with the rest, and the object at hand is the old session
   * afterwards. At a sign-in, `regenerate({ proved: 'password' })` does both in one.
   *
   * ```ts
   * await ctx.session.prove('password')
   * ```
   *
   * A proof belongs to the user whose session this is: it ends when `identify` names another user, with `destroy`, and with
   * a `regenerate` that does not keep everything. A release before this method drops it, so the visitor proves once more.
   *
   * Rejects with the codes of `regenerate`, and with `ERR_SESSION_GONE` if another request has identified the session
   * meanwhile.
   */
  prove(kinds: string | readonly string[]): Promise<void>

  /**
   * Whether this visitor has proved who they are in this way, or in one of these ways, in the last `within` milliseconds.
   * A proof whose instant is ahead of this clock counts up to a minute ahead. `requireProof` is the same as a middleware.
   *
   * ```ts
   * if (!ctx.session.provedWithin('passkey', 10 * 60_000)) ctx.redirect('/confirm')
   * ```
   *
   * Throws `ERR_SESSION_OPTION` if an argument is wrong. Warns once of a length below ten seconds.
   */
  provedWithin(kinds: string | readonly string[], within: Milliseconds): boolean

  /**
   * Ends the session for good, on every node, and clears the cookie. What the same request writes afterwards, such as a
   * flash, begins a new session, which has nothing of the old one. Rejects if the store fails: the session may live on
   * then, and the cookie stays.
   *
   * ```ts
   * await ctx.session.destroy({ clear: ['cache', 'storage'] }) // the back button shows no private page either
   * ```
   *
   * Rejects with `ERR_SESSION_OPTION` if the options are wrong.
   */
  destroy(options?: DestroyOptions): Promise<void>
  destroy(callback: SessionCallback): void

  /**
   * "Remember me": the cookie outlives the browser, and this session has timeouts of its own from here on. A number is
   * both timeouts, in milliseconds. An object sets each by itself, and an absent one stays as it is. Takes effect with
   * the next commit.
   *
   * Browsers keep a cookie for 400 days at most. A cookie that is to last longer is sent again in time, and a visitor who
   * stays away for longer than 400 days is forgotten.
   *
   * ```ts
   * await ctx.session.regenerate()
   * ctx.session.remember(30 * 24 * 60 * 60 * 1000) // ends after thirty days
   * ```
   *
   * Throws `ERR_SESSION_OPTION` for anything else, and `ERR_SESSION_COMMITTED` or `ERR_SESSION_HEADERS_SENT` after the
   * end of the request. Warns once if the timeouts contradict each other.
   */
  remember(timeouts: Milliseconds | RememberOptions): void

  /**
   * Says whose session this is, so that `sessions.list` and `sessions.revokeAll` find it. `subject` is usually the user's
   * id. A text as the second argument is the label. Each call says all of it anew: what it leaves out is gone. Takes effect
   * with the next commit, which rejects with `ERR_SESSION_OPTION` if the store cannot list sessions.
   *
   * ```ts
   * await ctx.session.regenerate()
   * ctx.session.identify(user.id, 'Firefox on Linux')
   * ctx.session.identify(user.id, { label: 'Firefox on Linux', also: { tenant: 'acme' } })
   * ```
   *
   * Throws `ERR_SESSION_OPTION` if an argument is wrong, and `ERR_SESSION_COMMITTED` or `ERR_SESSION_HEADERS_SENT` after
   * the end of the request.
   */
  identify(subject: string, options?: string | (IdentifyOptions & { max?: undefined })): void
  /**
   * The same, with a limit of parallel sessions (ASVS 5.0 7.1.2): once this resolves, this user has no more than `max`.
   * What lies beyond is ended: the sessions that signed in first, or with `over: 'refuse'` this one, which has not signed in
   * then. The limit is exact, however many sign-ins race on however many processes: `max` are left.
   *
   * ```ts
   * await ctx.session.regenerate()
   * await ctx.session.identify(user.id, { label: 'Firefox on Linux', max: 5 })
   * ctx.session.userId = user.id
   * ```
   *
   * It commits whose session this is, at once. Write what signs the visitor in afterwards: if it rejects, the session is
   * nobody's new session, and what this request has changed before and not saved is dropped. A visitor whose session was
   * ended by the limit finds `endedBecause: 'limit'`. Calling it again for the same subject in the same session is no new
   * sign-in. Sessions that were identified without `max` count too, from the instant at which they began. If several
   * sign-ins race for the last place, `over: 'refuse'` gives it to the one that began first, even if another one was
   * answered a moment before.
   *
   * Rejects with `ERR_SESSION_LIMIT` if the user has `max` sessions already and more are refused, or if so many newer ones
   * have signed in at this very moment; with `ERR_SESSION_OPTION` if an argument is wrong or the store cannot list
   * sessions; and with the codes of `save`. If the store fails, an identity without data may stay, which takes a place.
   */
  identify(subject: string, options: LimitedIdentifyOptions): Promise<void>

  /**
   * With a value: leaves a notice for the next request that asks for this key, however many other requests come before.
   * Several notices of one key wait together, from one request or from parallel ones, and none takes another's place.
   *
   * Without a value: the newest notice that earlier requests have left under this key, or `undefined`. This takes all
   * notices of the key, as if the handler had asked for `flashes(key)` and shown the last one.
   *
   * ```ts
   * ctx.session.flash('notice', 'Saved.') // in this request
   * const notice = ctx.session.flash('notice') // in a later one, once
   * ```
   *
   * A request is shown the same notices however often it asks, and none that it leaves itself. Those that it was shown are
   * gone after it, unless the handlers throw an error that is not the client's. What is left meanwhile stays. Two requests
   * that ask at the same moment may both be shown a notice; `update((session) => session.flashes(key))` shows it to one
   * alone.
   *
   * A hundred notices of one key wait at most, and of all keys as many as `maxRecordBytes` has room for; then the oldest
   * are dropped, and the warning `SESSION_NOTICES_DROPPED` says so once. `regenerate` keeps notices only with
   * `keep: true`, and `destroy` keeps none.
   *
   * Throws `ERR_SESSION_OPTION` if the key is not a string. A value that cannot be serialized makes the commit reject
   * with `ERR_SESSION_VALUE`.
   */
  flash(key: string, value: unknown): void
  flash(key: string): unknown

  /**
   * All notices that earlier requests have left under this key, oldest first; an empty list if there are none. Takes them
   * as `flash(key)` does.
   *
   * ```ts
   * for (const problem of problems) ctx.session.flash('error', problem) // in this request
   * const errors = ctx.session.flashes('error') // in a later one, once
   * ```
   *
   * Throws `ERR_SESSION_OPTION` if the key is not a string.
   */
  flashes(key: string): unknown[]
}

declare module 'koa' {
  interface ExtendableContext {
    /**
     * This visitor's session. Set it to `null` to end the session, or to an object to replace its data. `undefined` if
     * the request was skipped.
     */
    get session(): Session
    set session(data: Session | object | null | undefined)
  }
}
