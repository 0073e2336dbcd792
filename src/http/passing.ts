import type { Diagnostics } from '../diagnostics.ts'
import { gone } from '../errors.ts'
import type { Identity } from '../session/limit.ts'
import { sessionOf } from '../session/object.ts'
import type { Operation } from '../session/operation.ts'
import type { DestroyOptions, RegenerateOptions } from '../session/member-options.ts'
import type { Session } from '../session/types.ts'
import type { SessionHost } from '../session/host.ts'
import type { WorkingCopy } from '../session/working-copy.ts'

/** The visitor's browser may have another cookie, which it withheld or has got since; or the answer carries none. */
export type WhyPassing = 'withheld' | 'replaced' | 'upgrade'

/**
 * The host of a session that must not reach the browser, because its cookie could take the place of the visitor's own; or
 * that cannot reach it, because an upgrade is answered without a cookie.
 *
 * The session is empty and new. Handlers read and write it as they like, and nothing of it is stored. Only
 * `regenerate()` makes a session of it that has a record and a cookie: this is how a handler says that a visitor has
 * signed in with this very request.
 */
export class PassingHost implements SessionHost {
  readonly owner: object
  readonly #request: SessionHost
  readonly #diagnostics: Diagnostics
  readonly #why: WhyPassing
  readonly #warn: (() => void) | undefined

  /** `request`: the host of the session that `regenerate` makes. `warn`: what else to do if something was to be stored. */
  constructor(
    request: SessionHost & { readonly owner: object },
    diagnostics: Diagnostics,
    why: WhyPassing,
    warn?: () => void,
  ) {
    this.owner = request.owner
    this.#request = request
    this.#diagnostics = diagnostics
    this.#why = why
    this.#warn = warn
  }

  /**
   * Stores nothing, and reports that something was to be stored. Rejects with `ERR_SESSION_GONE` if the session that the
   * cookie named was replaced: whoever asks whether a change is stored must not be told that it is.
   */
  async save(copy: WorkingCopy): Promise<void> {
    this.#assertNotReplaced(copy.changes() !== undefined)
    this.drop(copy)
  }

  async reload(copy: WorkingCopy): Promise<void> {
    copy.reset()
  }

  async update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result> {
    this.#assertNotReplaced(true)
    return change(sessionOf(copy))
  }

  regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void> {
    return this.#request.regenerate(copy, options)
  }

  destroy(copy: WorkingCopy, options?: DestroyOptions): Promise<void> {
    return this.#request.destroy(copy, options)
  }

  /** Like `update`: nothing is stored, so nothing is counted. */
  async identify(copy: WorkingCopy, identity: Identity): Promise<void> {
    this.#assertNotReplaced(true)
    copy.identify(identity)
  }

  get endedBecause(): string | undefined {
    return this.#request.endedBecause
  }

  signalOf(copy: WorkingCopy): AbortSignal {
    return this.#request.signalOf(copy)
  }

  startAnew(copy: WorkingCopy): WorkingCopy | undefined {
    return this.#request.startAnew?.(copy)
  }

  begun(operation: Operation<unknown>): void {
    this.#request.begun?.(operation)
  }

  sealedBy(copy: WorkingCopy): ReturnType<SessionHost['sealedBy']> {
    return this.#request.sealedBy(copy)
  }

  #assertNotReplaced(isToBeStored: boolean): void {
    if (this.#why === 'replaced' && isToBeStored) throw gone()
  }

  /** What happens at the end of the request to all that was written. */
  drop(copy: WorkingCopy): void {
    if (copy.phase !== 'open' || !copy.changes()) return
    this.#diagnostics.report('error', { reason: 'not kept' })
    this.#warn?.()
  }
}
