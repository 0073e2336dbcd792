import { Place } from '../../deadline.ts'
import { getEventListeners } from 'node:events'
import { SessionError } from '../../errors.ts'

/** How the watcher holds an end signal: weakly by itself, and strongly while somebody listens to it. */
export interface Hold {
  readonly endSignal: WeakRef<EndSignal>
  listenedTo: EndSignal | undefined
}

/**
 * The signal of one session, as one request or socket has it. It lives as long as the session's object, or longer if
 * somebody listens to it: a socket that only listens must be told, and signals that nobody listens to must not add up
 * while a server runs for days.
 */
export class EndSignal {
  readonly hold: Hold = { endSignal: new WeakRef(this), listenedTo: undefined }
  readonly #controller = new AbortController()
  // Another visitor's request may end the session. The listeners belong to the request that asked for the signal.
  readonly #place = new Place('SessionSignal')

  constructor() {
    const { signal } = this
    // The methods hold this object, so whoever has the signal keeps it too.
    for (const name of ['addEventListener', 'removeEventListener'] as const) {
      const method = signal[name] as (...args: unknown[]) => void
      const noticing = (...args: unknown[]): void => {
        Reflect.apply(method, signal, args)
        this.hold.listenedTo = getEventListeners(signal, 'abort').length > 0 ? this : undefined
      }
      Object.defineProperty(signal, name, { configurable: true, writable: true, value: noticing })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Aborts the signal; once. `endedBecause`: why, if anybody has said so. */
  end(endedBecause?: string): void {
    if (this.signal.aborted) return
    const reason = new SessionError(
      'ERR_SESSION_ENDED',
      'This session has ended: it was destroyed, revoked or regenerated, or its timeout has passed.',
      { endedBecause },
    )
    this.#place.runInAsyncScope(() => this.#controller.abort(reason))
    this.hold.listenedTo = undefined
  }
}
