import { channel, tracingChannel, type Channel, type TracingChannel } from 'node:diagnostics_channel'
import type { Awaitable, Milliseconds } from './units.ts'

/** What is published. It never holds a token, a key, a cookie or a value. */
export interface DiagnosticMessage {
  /** The name of the middleware's cookie, to tell several middlewares apart. */
  readonly cookieName: string
  /** Why an `error`, a `suspicious`, a `conflict` or a `stale` was reported, in a word or two. */
  readonly reason?: string
  /** What was thrown. Absent if nothing was. */
  readonly error?: unknown
  /** The tracing channel, so that one subscriber may serve all of them. Absent on the other channels. */
  readonly operation?: 'load' | 'save' | 'touch' | 'destroy' | 'regenerate'
  /**
   * What came of the operation, on the tracing channels from `asyncStart` on. Absent if it failed, and of
   * `regenerate`.
   * - load: `found` or `missing`
   * - save: `saved`, `gone`, or `conflict` (another writer was faster, so the change is merged and saved again)
   * - touch: `touched` or `gone`
   * - destroy: `destroyed`, `gone`, or `conflict` (others had written meanwhile)
   */
  readonly outcome?: 'found' | 'missing' | 'saved' | 'conflict' | 'gone' | 'touched' | 'destroyed'
}

type Timed = NonNullable<DiagnosticMessage['operation']>
type Outcome = NonNullable<DiagnosticMessage['outcome']>
type Untimed = 'conflict' | 'merge' | 'invalidate' | 'stale' | 'error' | 'suspicious'

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
  /** Writes that met a newer version and were merged with it. */
  conflicts: number
  /** Requests whose changes went into another request's write. */
  merges: number
  /** Extensions of an idle timeout that reached the store. */
  touches: number
  /** Deletions that reached the store. */
  destroys: number
  /** Sessions of another library that were taken over: see the option `movingFrom`. */
  moved: number
  /** Sessions that got a new token. */
  regenerates: number
  /** Reads that would have been hits if the store had vouched for the cache. */
  bypasses: number
  /** Answers of the cache that were compared with the store: see the option `cache.audit`. */
  audited: number
  /** Those among them that were older than the coherence bound allows. */
  stale: number
  /** For how long at least the most outdated of these had been outdated, in milliseconds. */
  worstAge: Milliseconds
  /** Failures of the store, and records that cannot be read. */
  errors: number
  /** Well-formed cookies that have a wrong signature or no session, or that http gave out and https got. */
  suspicious: number
  /** Cookies that were signed anew, by the index of the key that had signed them. A key that stays at 0 can be retired. */
  resigned: number[]
  /** Encrypted records that were read, by the index of the key that had encrypted them. A key that stays at 0 can be retired. */
  decrypted: number[]
  /** Sessions whose end is watched for, because somebody holds their `signal`. */
  signals: number
  /** Whether the cache rests, because the messages from other nodes outnumbered its hits. */
  cachePaused: boolean
  /** Sessions in the cache. */
  cacheSize: number
  /** The estimated size of the sessions in the cache, in bytes. */
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
  merge: channel('koa-server-session:merge'),
  invalidate: channel('koa-server-session:invalidate'),
  stale: channel('koa-server-session:stale'),
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

/** The counters and channels of one middleware. A channel that nobody listens to costs a comparison. */
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
    moved: 0,
    regenerates: 0,
    bypasses: 0,
    audited: 0,
    stale: 0,
    worstAge: 0,
    errors: 0,
    suspicious: 0,
    resigned: [],
    decrypted: [],
    signals: 0,
    cachePaused: false,
    cacheSize: 0,
    cacheBytes: 0,
  }
  readonly #warned = new Set<string>()

  constructor(cookieName: string) {
    this.cookieName = cookieName
  }

  /** A cookie that the key of this index had signed was signed anew, by the newest key. */
  countResigned(keyIndex: number): void {
    const { resigned } = this.stats
    if (keyIndex > 0) resigned[keyIndex] = (resigned[keyIndex] ?? 0) + 1
  }

  report(name: Untimed, details: { reason?: string; error?: unknown } = {}): void {
    if (untimed[name].hasSubscribers) untimed[name].publish({ cookieName: this.cookieName, ...details })
  }

  /**
   * Runs `work`. Those who listen to the tracing channel learn when it began, ended or failed, and the outcome that
   * `outcomeOf` makes of its answer.
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
    // Node publishes what the traced promise resolves to. The answer is somebody's data, so the promise resolves to
    // nothing.
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

const told = new Set<string>()

/** The same, once in this process for each `occasion`. For what requests repeat. */
export function warnOnce(occasion: string, code: string, message: string): void {
  if (told.has(occasion)) return
  told.add(occasion)
  warn(code, message)
}
