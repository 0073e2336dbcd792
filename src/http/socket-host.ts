import type { Diagnostics } from '../diagnostics.ts'
import { gone, withoutResponse } from '../errors.ts'
import type { SessionHost } from '../session/host.ts'
import type { Lifecycle } from '../session/lifecycle.ts'
import type { Identity, Limit } from '../session/limit.ts'
import { reportForgotten, type Operation } from '../session/operation.ts'
import type { RegenerateOptions } from '../session/member-options.ts'
import type { Session } from '../session/types.ts'
import type { WorkingCopy } from '../session/working-copy.ts'

/**
 * What a session can do for a socket or a job. It is open for hours and not for one request, so nothing commits by
 * itself, and nothing seals it.
 */
export class SocketHost implements SessionHost {
  readonly owner: object
  readonly #lifecycle: Lifecycle
  readonly #diagnostics: Diagnostics

  constructor(lifecycle: Lifecycle, diagnostics: Diagnostics, owner: object) {
    this.#lifecycle = lifecycle
    this.#diagnostics = diagnostics
    this.owner = owner
  }

  begun(operation: Operation<unknown>): void {
    reportForgotten(operation, this.#diagnostics)
  }

  async save(copy: WorkingCopy): Promise<void> {
    if ((await this.#lifecycle.commit(copy)) === 'gone') throw gone()
  }

  /** A use, like a request: an active socket keeps its session alive. */
  async reload(copy: WorkingCopy): Promise<void> {
    await this.#lifecycle.reload(copy)
    if (copy.found) this.#lifecycle.touch(copy.key, copy.found)
  }

  async update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result> {
    return this.#lifecycle.update(copy, change)
  }

  async regenerate(_copy: WorkingCopy, _options: RegenerateOptions): Promise<void> {
    throw withoutResponse('this is a session from sessions.open')
  }

  async destroy(copy: WorkingCopy): Promise<void> {
    await this.#lifecycle.destroy(copy)
  }

  async identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void> {
    return this.#lifecycle.identify(copy, identity, limit)
  }

  signalOf(copy: WorkingCopy): AbortSignal {
    return this.#lifecycle.signalOf(copy)
  }

  sealedBy(): undefined {
    return undefined
  }
}
