import type { Milliseconds } from './units.ts'

/**
 * Every way in which this library can fail, each with a code that stays the same from release to release.
 *
 * | code | status | meaning |
 * |---|---|---|
 * | `ERR_SESSION_OPTION` | 500 | an option, an argument or a store URL is wrong |
 * | `ERR_SESSION_NO_CONTEXT` | 500 | there is no session in the place where it was asked for |
 * | `ERR_SESSION_RESERVED_KEY` | 500 | the name belongs to a member of the session |
 * | `ERR_SESSION_VALUE` | 500 | a value that cannot be serialized (function, symbol, class instance) |
 * | `ERR_SESSION_TOO_LARGE` | 500 | the record would exceed `maxRecordBytes`, or what the store takes |
 * | `ERR_SESSION_COMMITTED` | 500 | the session was already saved for this request, or `update` has replaced the object that is changed |
 * | `ERR_SESSION_HEADERS_SENT` | 500 | a new session needs its cookie, and the headers have left |
 * | `ERR_SESSION_ENDED` | 500 | the session of this object was destroyed or regenerated; also the reason of its `signal` |
 * | `ERR_SESSION_PROOF` | 403 | `requireProof`: the visitor has not proved lately who they are; `proof` says what is needed |
 * | `ERR_SESSION_LIMIT` | 409 | the user has as many sessions as `identify` allows; nothing of the request was stored |
 * | `ERR_SESSION_GONE` | 409 | the session was ended elsewhere meanwhile; nothing was stored |
 * | `ERR_SESSION_BUSY` | 503 | too many writers of one session; nothing was stored |
 * | `ERR_SESSION_STORE_UNAVAILABLE` | 503 | the store failed or was too slow; a write may or may not have happened |
 * | `ERR_SESSION_UNREADABLE` | 500 | a record that a change was to go into cannot be read; nothing was stored |
 */
export type SessionErrorCode =
  | 'ERR_SESSION_OPTION'
  | 'ERR_SESSION_NO_CONTEXT'
  | 'ERR_SESSION_RESERVED_KEY'
  | 'ERR_SESSION_VALUE'
  | 'ERR_SESSION_TOO_LARGE'
  | 'ERR_SESSION_COMMITTED'
  | 'ERR_SESSION_HEADERS_SENT'
  | 'ERR_SESSION_ENDED'
  | 'ERR_SESSION_PROOF'
  | 'ERR_SESSION_LIMIT'
  | 'ERR_SESSION_GONE'
  | 'ERR_SESSION_BUSY'
  | 'ERR_SESSION_STORE_UNAVAILABLE'
  | 'ERR_SESSION_UNREADABLE'

/** On every error of this library, whichever copy or version of it has made the error. */
const BRAND: unique symbol = Symbol.for('koa-server-session.error')

/** More causes than this are a circle. */
const DEEPEST_CAUSE = 10

const STATUS: Partial<Record<SessionErrorCode, number>> = {
  ERR_SESSION_PROOF: 403,
  ERR_SESSION_LIMIT: 409,
  ERR_SESSION_GONE: 409,
  ERR_SESSION_BUSY: 503,
  ERR_SESSION_STORE_UNAVAILABLE: 503,
}

/** The proof that a request needs. */
export interface RequiredProof {
  /** Any one of these will do, such as `['password', 'passkey']`. */
  readonly kinds: readonly string[]
  /** How old the proof may be. */
  readonly within: Milliseconds
}

/**
 * The one error class of this library. Branch on `code`; the message is for people and says what to do. No message
 * contains a token, a cookie, a signing key or a stored value.
 */
export class SessionError extends Error {
  static {
    // So that the errors of another copy of this package are known too: one process may have loaded it twice.
    Object.defineProperty(this.prototype, BRAND, { value: true })
    Object.defineProperty(this, Symbol.hasInstance, {
      value(this: unknown, thing: unknown): boolean {
        if (this !== SessionError) return Function.prototype[Symbol.hasInstance].call(this, thing)
        return typeof thing === 'object' && thing !== null && BRAND in thing
      },
    })
  }

  /** What happened, for programs: see `SessionErrorCode`. */
  readonly code: SessionErrorCode
  /** The HTTP status that Koa answers with if nobody catches the error. */
  readonly status: number
  /** Whether Koa sends the message to the visitor. Only that of `ERR_SESSION_PROOF` is meant for them. */
  readonly expose: boolean
  /** Of `ERR_SESSION_PROOF`: what the visitor has to prove before they ask again. Otherwise absent. */
  declare readonly proof?: RequiredProof
  /** What Koa puts into the head of the answer if nobody catches the error. Absent if there is nothing. */
  declare readonly headers?: Readonly<Record<string, string>>
  /**
   * Of the reason of a `session.signal`: why the session has ended, if whoever ended it said so, as
   * `session.endedBecause` says it.
   */
  declare readonly endedBecause: string | undefined

  /**
   * For a store of your own, which may throw `ERR_SESSION_UNREADABLE`, `ERR_SESSION_BUSY` and `ERR_SESSION_TOO_LARGE`, all
   * of which mean that nothing was written, and `ERR_SESSION_STORE_UNAVAILABLE`, whose message then stands in the log.
   */
  constructor(
    code: SessionErrorCode,
    message: string,
    options?: { cause?: unknown; endedBecause?: string | undefined },
  ) {
    super(message, options)
    if (options?.endedBecause !== undefined) this.endedBecause = options.endedBecause
    this.code = code
    this.status = STATUS[code] ?? 500
    this.expose = code === 'ERR_SESSION_PROOF'
  }

  /** Always `SessionError`. */
  override get name(): string {
    return 'SessionError'
  }
}

/** Whether `error` is a `SessionError`; with `code`, whether it has this code. */
export function isSessionError(error: unknown, code?: SessionErrorCode): error is SessionError {
  return error instanceof SessionError && (code === undefined || error.code === code)
}

/**
 * The innermost reason of an error, as far as a log may show it, or an outer one that quotes it and says more; `undefined`
 * if there is none. A foreign message may quote a key or a value, so three kinds of words are taken: the message of a
 * SessionError, what Node says of a network or a file system if no path is in it, and the code of any other error.
 */
export function reasonOf(error: unknown): string | undefined {
  let reason: string | undefined
  let inner: unknown = error
  for (let depth = 0; depth < DEEPEST_CAUSE && inner instanceof Error; depth++) {
    const own = ownReason(inner)
    if (own !== undefined && !reason?.includes(own)) reason = own
    // A host with several addresses was tried at each of them.
    inner = inner.cause ?? (inner instanceof AggregateError ? inner.errors[0] : undefined)
  }
  return reason
}

function ownReason(error: Error): string | undefined {
  const { code, syscall, path, message } = error as NodeJS.ErrnoException
  const isSayable = error instanceof SessionError || (syscall !== undefined && path === undefined)
  if (isSayable && message !== '') return message.replace(/\.$/, '')
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? code : undefined
}

/** The error for a session that was ended while it was in use. */
export function gone(): SessionError {
  return new SessionError(
    'ERR_SESSION_GONE',
    'The session was ended elsewhere meanwhile (a logout, a revoke, its timeout); nothing was stored.',
  )
}

/** The error for a request that needs a proof. `headers`: what its answer says of it. */
export function unproved(
  message: string,
  proof: RequiredProof,
  headers: Readonly<Record<string, string>>,
): SessionError {
  return Object.assign(new SessionError('ERR_SESSION_PROOF', message), { proof, headers })
}

/** The error for a method that came too late for its cookie. */
export function headersSent(method: string): SessionError {
  return new SessionError(
    'ERR_SESSION_HEADERS_SENT',
    `session.${method} needs a new cookie, and the headers have left. Call it before the response begins.`,
  )
}

/** The error for a new token that no response can carry. `why`: what there is instead of a response. */
export function withoutResponse(why: string): SessionError {
  return new SessionError(
    'ERR_SESSION_HEADERS_SENT',
    `session.regenerate needs a new cookie, and so does session.prove; ${why}, which can carry none. Let the client do it ` +
      'by a request over HTTP.',
  )
}

/** The error for a write that comes while the session moves to a new token: it would belong to neither session. */
export function beingRegenerated(name: string): SessionError {
  return new SessionError(
    'ERR_SESSION_ENDED',
    `session.${name} cannot be set while regenerate() or prove() is under way. ` +
      'Write `await session.regenerate(…)`, and set it afterwards.',
  )
}

const WHY_TOO_LATE = {
  ERR_SESSION_COMMITTED:
    'the session was already saved for this request. Use `await session.update(…)`, or set it before the response begins.',
  ERR_SESSION_HEADERS_SENT:
    'a new session needs its cookie, and the headers have left. Set it, and `await session.save()`, before the response begins.',
}

/** The error for a write that comes after the commit, or after the headers that had to carry its cookie. */
export function tooLateFor(name: string, code: keyof typeof WHY_TOO_LATE): SessionError {
  return new SessionError(code, `session.${name} cannot be set: ${WHY_TOO_LATE[code]}`)
}

/** The error for a new id after the commit: nothing would be stored under it. */
export function committed(method: string): SessionError {
  return new SessionError(
    'ERR_SESSION_COMMITTED',
    `session.${method}() comes too late: the session was already saved for this request. ` +
      'Call it in the handler, below the session middleware.',
  )
}

/** The error for `ctx.session = …` after the commit. */
export function tooLateToSet(): SessionError {
  return new SessionError(
    'ERR_SESSION_COMMITTED',
    'ctx.session cannot be set: the session was already saved for this request. ' +
      'To end the session all the same, use `await ctx.session.destroy()`.',
  )
}

/** The error for an object whose session is another one by now. */
export function ended(): SessionError {
  return new SessionError(
    'ERR_SESSION_ENDED',
    'This session has ended. Take the current one from getSession() or ctx.session.',
  )
}

/** The error for a record that this release cannot read. `why` names no value; `cause` must hold none either. */
export function unreadable(why: string, cause?: unknown): SessionError {
  return new SessionError(
    'ERR_SESSION_UNREADABLE',
    `A record in the store cannot be read: ${why}. It was left as it is; its visitor starts a new session.`,
    cause === undefined ? undefined : { cause },
  )
}
