import { channel, tracingChannel, type Channel, type TracingChannel } from 'node:diagnostics_channel'
import type { Awaitable } from './units.ts'

/** What is published: never an id, a key, a cookie or a value. */
export interface DiagnosticMessage {
  /** The name of the middleware's cookie, to tell several middlewares apart. */
  readonly cookieName: string
  /** What happened, in a word or two: the reason of an `error` or `suspicious` message. */
  readonly reason?: string
  /** What was thrown, where something was. */
  readonly error?: unknown
  /** Of the tracing channels: which one, so that one subscriber may serve them all. */
  readonly operation?: 'load' | 'save' | 'touch' | 'destroy' | 'regenerate'
  /**
   * Of the tracing channels, from `asyncStart` on, unless it failed. Of a load `found` or `missing`, of a save `saved`,
   * `conflict` (another writer was faster; it is merged and saved again) or `gone`, of a touch `touched` or `gone`, of a
   * destroy `destroyed`, `conflict` (regenerate found that others had written, and brings it over first) or `gone`.
   */
  readonly outcome?: 'found' | 'missing' | 'saved' | 'conflict' | 'gone' | 'touched' | 'destroyed'
}

type Timed = NonNullable<DiagnosticMessage['operation']>
type Outcome = NonNullable<DiagnosticMessage['outcome']>
type Untimed = 'conflict' | 'invalidate' | 'error' | 'suspicious'

/** Counters since the middleware was made. */
export interface SessionStats {
  /** Reads that reached the store. */
  loads: number
  /** Reads that the cache answered. */
  hits: number
  /** Reads of a session that the store did not have. */
  misses: number
  /** Writes that reached the store, conflicts included. */
  saves: number
  /** Writes that met a newer version, and were merged onto it. */
  conflicts: number
  /** Requests whose changes went into another request's write. */
  merges: number
  /** Extensions of an idle timeout that reached the store. */
  touches: number
  /** Deletions that reached the store. */
  destroys: number
  /** Sessions that got a new id. */
  regenerates: number
  /** Reads that could have been hits, had the store vouched for the cache. */
  bypasses: number
  /** Failures of the store. */
  errors: number
  /** Well-formed cookies with a wrong signature or without a session. */
  suspicious: number
  /** Cookies signed anew, by the index of the key that had signed them: a key that stays at 0 can be retired. */
  resigned: number[]
  /** Sessions whose end is watched for, because somebody holds their `signal`. */
  signals: number
  /** Whether the cache rests, because the messages from other nodes outnumbered its hits. */
  cachePaused: boolean
  /** Sessions in the cache. */
  cacheSize: number
  /** What they take, estimated in bytes. */
  cacheBytes: number
}

const timed: Record<Timed, TracingChannel<object>> = {
  load: tracingChannel('koa-server-session:load'),
  save: tracingChannel('koa-server-session:save'),
  touch: tracingChannel('koa-server-session:touch'),
  destroy: tracingChannel('koa-server-session:destroy'),
  regenerate: tracingChannel('koa-server-session:regenerate'),
}

const untimed: Record<Untimed, Channel> = {
  conflict: channel('koa-server-session:conflict'),
  invalidate: channel('koa-server-session:invalidate'),
  error: channel('koa-server-session:error'),
  suspicious: channel('koa-server-session:suspicious'),
}

/**
 * Tells the listener everything that is published, for as long as the process lives; of a tracing channel the last
 * message, which names the outcome.
 */
export function observe(listener: (name: Timed | Untimed, message: DiagnosticMessage) => void): void {
  for (const name of Object.keys(timed) as Timed[])
    timed[name].asyncEnd.subscribe((message) => listener(name, message as DiagnosticMessage))
  for (const name of Object.keys(untimed) as Untimed[])
    untimed[name].subscribe((message) => listener(name, message as DiagnosticMessage))
}

/** The counters and channels of one middleware. Costs a comparison where nobody listens. */
export class Diagnostics {
  readonly cookieName: string
  readonly stats: SessionStats = {
    loads: 0,
    hits: 0,
    misses: 0,
    saves: 0,
    conflicts: 0,
    merges: 0,
    touches: 0,
    destroys: 0,
    regenerates: 0,
    bypasses: 0,
    errors: 0,
    suspicious: 0,
    resigned: [],
    signals: 0,
    cachePaused: false,
    cacheSize: 0,
    cacheBytes: 0,
  }
  readonly #warned = new Set<string>()

  constructor(cookieName: string) {
    this.cookieName = cookieName
  }

  report(name: Untimed, details: { reason?: string; error?: unknown } = {}): void {
    if (untimed[name].hasSubscribers) untimed[name].publish({ cookieName: this.cookieName, ...details })
  }

  /**
   * Runs `work`; who listens to the tracing channel learns when it began, ended or failed, and of what came of it what
   * `outcomeOf` says.
   */
  trace<Result>(
    name: Timed,
    work: () => Awaitable<Result>,
    outcomeOf?: (answer: Result) => Outcome,
  ): Awaitable<Result> {
    const { start, end, asyncStart, asyncEnd, error } = timed[name]
    const isHeard =
      start.hasSubscribers ||
      end.hasSubscribers ||
      asyncStart.hasSubscribers ||
      asyncEnd.hasSubscribers ||
      error.hasSubscribers
    if (!isHeard) return work()
    // Node publishes what the promise resolves to, and that is somebody's data: so it resolves to nothing.
    let answer: Awaitable<Result>
    const message: { -readonly [Part in keyof DiagnosticMessage]: DiagnosticMessage[Part] } = {
      cookieName: this.cookieName,
      operation: name,
    }
    const trace = timed[name].tracePromise(async () => {
      const settled = await (answer = work())
      if (outcomeOf) message.outcome = outcomeOf(settled)
    }, message)
    return trace.then(() => answer)
  }

  /** A warning of the process, once for each code. */
  warn(code: string, message: string): void {
    if (this.#warned.has(code)) return
    this.#warned.add(code)
    warn(code, message)
  }
}

/** A warning of the process. `code` is stable: `process.on('warning')` may tell warnings apart by it. */
export function warn(code: string, message: string): void {
  process.emitWarning(message, { type: 'SessionWarning', code })
}
