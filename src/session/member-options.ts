import type { SessionData } from './data.ts'
import type { Milliseconds } from '../units.ts'

/** What `regenerate` takes over. */
export interface RegenerateOptions<Data extends object = SessionData> {
  /**
   * `true`: all data, the creation time and what was remembered. A list: the data that has these names. Default: nothing
   * is kept.
   */
  keep?: boolean | readonly (keyof Data & string)[]
  /**
   * What the visitor has just proved, such as `'password'`, or a list: see `prove`. Stored with the new session, so it costs
   * no further write. Default: nothing. Earlier proofs are kept with `keep: true` only.
   */
  proved?: string | readonly string[]
}

/** What `identify` may be told beside the subject. */
export interface IdentifyOptions {
  /** What the user knows the session by, such as a device. A text that is not empty; default: none. */
  label?: string
  /**
   * Other names by which `sessions.list` and `sessions.revokeAll` find the session, such as the user's tenant or what an
   * identity provider calls its own session. At most eight. A name has up to 64 letters and digits of ASCII and begins
   * with a letter; `subject` and `id` are taken. A value is a text of 1 to 1024 characters. Default: none.
   *
   * ```ts
   * ctx.session.identify(user.id, { also: { tenant: 'acme', oidcSid: claims.sid } })
   * await sessions.revokeAll({ tenant: 'acme' })
   * ```
   */
  also?: Readonly<Record<string, string>>
}

/** What `identify` may be told of a limit, beside the rest. */
export interface LimitedIdentifyOptions extends IdentifyOptions {
  /** How many sessions this user may have at once, this one included. A whole number above 0. */
  max: number
  /**
   * What happens beyond `max`: `'endOldest'` ends the sessions that signed in first, `'refuse'` refuses this sign-in.
   * Default: `'endOldest'`.
   */
  over?: 'endOldest' | 'refuse'
}

/** What the browser is to forget with the session. */
export interface DestroyOptions {
  /**
   * What the browser is told to remove of this site, by the header Clear-Site-Data (W3C; ASVS 5.0 14.3.1): `'cache'` for
   * pages that it has kept, `'storage'` for what scripts have stored. Browsers obey over https and on localhost only. A
   * request of another site that came without the session's cookie removes nothing. Default: nothing.
   */
  clear?: readonly ('cache' | 'storage')[]
}

/** The timeouts of one session, in milliseconds. */
export interface RememberOptions {
  /** Default: it stays as it is. */
  idleTimeout?: Milliseconds
  /** Counts from the session's creation. Default: it stays as it is. */
  absoluteTimeout?: Milliseconds
}
