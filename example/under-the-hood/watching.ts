import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import type { Context, Next } from 'koa'
import { tryGetSessionId, type DiagnosticMessage, type Key } from 'koa-server-session'
import { FROM_CACHE, putLast, type Journal, type Line, type Step } from './journal.ts'

/** What is heard while a request is served. */
interface Heard {
  readonly began: number
  readonly steps: Step[]
  /** Whether nothing has been waited for so far. The cache answers at once, and a store never does while somebody listens. */
  isAtOnce: boolean
  /** The public id of the session that came. */
  arrived?: Key | undefined
  /** The one of the session that the handlers left. */
  left?: Key | undefined
  /** Takes what is heard once the line of the request is written. */
  addLate?: (step: Step) => void
}

/** Two middlewares around that of the sessions, and what ends the listening. */
export interface Watching {
  readonly above: (ctx: Context, next: Next) => Promise<void>
  readonly below: (ctx: Context, next: Next) => Promise<void>
  stop(): void
}

/** The tracing channels, and whether what they tell of reaches the store by itself. */
const TRACED: Readonly<Record<string, number>> = { load: 1, save: 1, touch: 1, destroy: 1, regenerate: 0 }
const PLAIN = ['conflict', 'merge', 'invalidate', 'error', 'suspicious']

/** What the channels say, in the words of the page. */
const WORDS: Readonly<Record<string, string>> = {
  'load found': 'read from the store',
  'load missing': 'not in the store',
  'save saved': 'saved',
  'save conflict': 'met a newer version, and was merged with it',
  'save gone': 'found nothing to save to',
  'touch touched': 'idle timeout extended',
  'touch gone': 'found nothing to extend',
  'destroy destroyed': 'session ended',
  'destroy gone': 'had ended before',
  'destroy conflict': 'met a newer version',
  regenerate: 'got a new id',
  'conflict gone': 'dropped, because the session has ended',
  merge: 'goes with the next save',
  invalidate: 'dropped from the cache',
  'error read': 'the store did not answer',
  'error write': 'the store did not confirm the write',
  'suspicious unknown id': 'names no session',
  'suspicious signature': 'wrong signature',
}

/** Told already, by the step that it is about. */
const KNOWN_ALREADY = ['conflict']

export interface WatchingOptions {
  /** The requests that are not watched. */
  readonly skips: (ctx: Context) => boolean
  /** Whether the store answers in the very call. */
  readonly storeAnswersAtOnce: boolean
  /** The name of this process, where several serve the site. */
  readonly by: string | undefined
}

export function watching(journal: Journal, { skips, storeAnswersAtOnce, by }: WatchingOptions): Watching {
  // Whatever the library publishes is published in the request that it concerns.
  const requests = new AsyncLocalStorage<Heard>()
  const times = new WeakMap<object, { readonly began: number; returned?: number }>()
  // While the store is down, nobody can say which session a cookie names. The one that it named last is this browser's.
  const idsOfCookies = new Map<string, Key>()
  const stops = [
    ...Object.keys(TRACED).map((operation) => {
      const subscriber = {
        start: (message: object) => void times.set(message, { began: performance.now() }),
        end: (message: object) => void Object.assign(times.get(message) ?? {}, { returned: performance.now() }),
        asyncEnd: (message: unknown) => hearTraced(operation, message as DiagnosticMessage),
      }
      const channel = tracingChannel(`koa-server-session:${operation}`)
      // Node takes a part of them; its types ask for all five.
      channel.subscribe(subscriber as never)
      return () => channel.unsubscribe(subscriber as never)
    }),
    ...PLAIN.map((name) => {
      const listener = (message: unknown): void => hearPlain(name, message as DiagnosticMessage)
      subscribe(`koa-server-session:${name}`, listener)
      return () => unsubscribe(`koa-server-session:${name}`, listener)
    }),
  ]

  function hearTraced(operation: string, message: DiagnosticMessage): void {
    const { outcome, error } = message
    const what = error ? `${operation} failed` : wordsOf(outcome ? `${operation} ${outcome}` : operation)
    const trips = TRACED[operation] ?? 0
    const { began = NaN, returned } = times.get(message) ?? {}
    // What a store that answers at once has done is told when all others have had their turn.
    const ended = (storeAnswersAtOnce && trips > 0 ? returned : undefined) ?? performance.now()
    hear({ what, trips, microseconds: (ended - began) * 1000 })
  }

  function hearPlain(name: string, { reason }: DiagnosticMessage): void {
    const said = reason ? `${name} ${reason}` : name
    if (!KNOWN_ALREADY.includes(said)) hear({ what: wordsOf(said), trips: 0 })
  }

  function hear(step: Step): void {
    const heard = requests.getStore()
    if (heard?.addLate) heard.addLate(step)
    else heard?.steps.push(step)
  }

  function write(ctx: Context, heard: Heard, status: number): void {
    const cookies = fingerprint(ctx.get('Cookie'))
    const { arrived, left } = heard
    if (arrived && left && arrived !== left) journal.add({ id: arrived, next: left, at: Date.now() })
    const id = left ?? arrived ?? idsOfCookies.get(cookies)
    if (!id) return
    if (arrived) putLast(idsOfCookies, cookies, arrived)
    const { steps } = heard
    const line: Line = {
      at: Date.now(),
      request: `${ctx.method} ${ctx.path.slice(0, LONGEST_PATH)}`,
      status,
      by,
      steps,
    }
    journal.add({ id, line })
    heard.addLate = (step) => {
      const { status: _, ...rest } = line
      journal.add({ id, line: { ...rest, at: Date.now(), steps: [step] } })
    }
  }

  return {
    async above(ctx, next) {
      if (skips(ctx)) return next()
      const heard: Heard = { began: performance.now(), steps: [], isAtOnce: true }
      try {
        const done = requests.run(heard, next)
        heard.isAtOnce = false
        await done
        write(ctx, heard, ctx.status)
      } catch (error) {
        write(ctx, heard, (error as { status?: number }).status ?? 500)
        throw error
      }
    },
    async below(_ctx, next) {
      const heard = requests.getStore()
      if (!heard) return next()
      heard.arrived = tryGetSessionId()
      heard.steps.unshift(...arrivalOf(heard))
      try {
        await next()
      } finally {
        heard.left = tryGetSessionId()
      }
    },
    stop() {
      for (const stop of stops) stop()
    },
  }
}

const LONGEST_PATH = 80

/** What no channel tells: that nothing was asked for, because the answer was there. */
function arrivalOf({ arrived, began, steps, isAtOnce }: Heard): Step[] {
  if (!arrived) return steps.length === 0 ? [{ what: 'no session yet', trips: 0 }] : []
  if (steps.some(({ what }) => what === WORDS['load found'])) return []
  // The first request of a new session notes that its cookie has come back, which is a save.
  if (isAtOnce || steps.length > 0)
    return [{ what: FROM_CACHE, trips: 0, microseconds: (performance.now() - began) * 1000 }]
  return [{ what: 'read together with another request', trips: 0 }]
}

function wordsOf(said: string): string {
  return WORDS[said] ?? said
}

/** The header holds a secret, and nobody needs it again. */
function fingerprint(header: string): string {
  return createHash('sha256').update(header).digest('base64url')
}
