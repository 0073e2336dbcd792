import type { Instant, Key, Milliseconds } from '../units.ts'

/**
 * The data of your sessions. Describe it once, by declaration merging, and every session in the application is typed:
 *
 * ```ts
 * declare module 'koa-server-session' {
 *   interface SessionData { userId?: string; views?: number }
 * }
 * ```
 *
 * Properties should be optional, because a new session has none.
 */
export interface SessionData {}

/** A visitor's session: the data as plain properties, and the members below, which are not enumerable. */
export type Session<Data extends object = SessionData> = Data & SessionMembers<Data>

/** The form in which connect-era code, such as passport, waits for an outcome. */
export type SessionCallback = (error: unknown) => void

/** What every session has beside its data. None of these names can be used for data. */
export interface SessionMembers<Data extends object = SessionData> {
  /** A public name for this session, safe to log, to store and to pass to `revoke`. The cookie's secret is another. */
  readonly id: Key
  /** Whether nothing of this session is in the store yet. */
  readonly isNew: boolean
  /** When the session began. `regenerate({ keep: true })` keeps it, any other regenerate starts anew. */
  readonly createdAt: Instant
  /** When it ends if it is not used again: the idle timeout from its last use, the absolute timeout at the latest. */
  readonly expiresAt: Instant
  /**
   * Aborted once this session has ended, wherever that happened: destroyed, revoked, regenerated (the new session has
   * another signal) or expired, by this process or another one. For what outlives a request: sockets, streams, jobs.
   *
   * At once if this process ended it; otherwise within the coherence bound on Redis and within about a second on stores
   * that push nothing (with more than a thousand such sessions, a second for each thousand). Timeouts, too, within a
   * second. While the store fails, nothing is aborted. `reason` is a `SessionError` with the code `ERR_SESSION_ENDED`.
   *
   * It costs nothing before it is asked for, and is held as long as this object is in use or somebody listens to it, so
   * remove your listener when your socket closes.
   */
  readonly signal: AbortSignal

  /**
   * Commits what this request changed, now. Needed only before a response that Koa does not send (streams of your own,
   * `ctx.respond = false`). Rejects with `ERR_SESSION_GONE` if the session was ended elsewhere.
   */
  save(): Promise<void>
  save(callback: SessionCallback): void

  /** Drops this request's changes and reads again. Rejects with `ERR_SESSION_GONE` if the session was ended elsewhere. */
  reload(): Promise<void>
  reload(callback: SessionCallback): void

  /**
   * An exact read-modify-write. `change` runs on the newest state, and again if another writer was faster, so it must be
   * synchronous and free of side effects. Commits at once, this request's own earlier changes included, and resolves to
   * what `change` returned. Rejects with `ERR_SESSION_GONE` if the session was ended elsewhere.
   */
  update<Result>(change: (session: Session<Data>) => Result): Promise<Result>

  /**
   * A new id, at every change of privilege (OWASP; ASVS 5.0 7.2.4): the old one is dead when this resolves. The data is
   * emptied, or kept: all of it with `keep: true`, else the listed keys. The object at hand keeps its data for reading;
   * `ctx.session` and `getSession()` are the new session. Rejects with `ERR_SESSION_GONE` if the session was ended
   * elsewhere meanwhile.
   */
  regenerate(options?: RegenerateOptions<Data>): Promise<void>
  regenerate(callback: SessionCallback): void

  /** Ends the session for good, on every node, and clears the cookie. */
  destroy(): Promise<void>
  destroy(callback: SessionCallback): void

  /**
   * "Remember me": the cookie outlives the browser, and this session has timeouts of its own from here on. A number is
   * both timeouts, in milliseconds; an object sets each by itself, and an absent one stays as it is. Takes effect with
   * the next commit. Throws `ERR_SESSION_OPTION` for anything else; warns once if the timeouts contradict each other.
   *
   * Browsers keep a cookie for 400 days at most. A cookie that is to last longer is sent again in time, and a visitor who
   * stays away for longer than 400 days is forgotten.
   *
   * ```ts
   * await ctx.session.regenerate()
   * ctx.session.remember(30 * 24 * 60 * 60 * 1000) // ends after thirty days
   * ```
   */
  remember(timeouts: Milliseconds | RememberOptions): void

  /**
   * Says whose session this is, so that `sessions.list` and `sessions.revokeAll` find it: usually the user's id, at
   * sign-in, after `regenerate`. `label`: what the user knows it by, such as a device. Takes effect with the next
   * commit, which rejects with `ERR_SESSION_OPTION` if the store cannot list sessions.
   */
  identify(subject: string, label?: string): void

  /** Leaves a JSON-like value for the next request that uses this session. */
  flash(key: string, value: unknown): void
  /** What an earlier request left under this key, or `undefined`. */
  flash(key: string): unknown
}

/** What `regenerate` takes over. */
export interface RegenerateOptions<Data extends object = SessionData> {
  /** `true`: all data, the creation time and what was remembered. A list: these keys. Default: nothing. */
  keep?: boolean | readonly (keyof Data & string)[]
}

/** The timeouts of one session, in milliseconds. */
export interface RememberOptions {
  /** Default: unchanged. */
  idleTimeout?: Milliseconds
  /** Default: unchanged. Counts from the session's creation. */
  absoluteTimeout?: Milliseconds
}

declare module 'koa' {
  interface ExtendableContext {
    /** This visitor's session. Set it to `null` to end it, to an object to replace its data. `undefined` where skipped. */
    get session(): Session
    set session(data: Session | object | null | undefined)
  }
}
