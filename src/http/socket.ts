import { receive, type Reception } from './arrival.ts'
import { SessionError, gone } from './errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { sessionOf } from './session.ts'
import type { SessionActions, SessionState } from './state.ts'
import type { Session } from './types.ts'

/** Opens the session that a request names where there is no response: see `Sessions.open`. */
export async function openSession(
  reception: Reception,
  header: string | undefined,
  owner: object,
): Promise<Session | undefined> {
  const { lifecycle } = reception
  const arrival = await receive(reception, header)
  if (!arrival) return undefined
  const { cookie, found } = arrival
  lifecycle.touch(cookie.key, found)
  return sessionOf(lifecycle.open(new WithoutResponse(lifecycle, owner), cookie.key, found))
}

/**
 * What a session can do for a socket or a job. It is open for hours and not for one request, so nothing commits by
 * itself, and nothing seals it.
 */
class WithoutResponse implements SessionActions {
  readonly owner: object
  /** A socket that saves something must not take away what the next page is to show. */
  readonly keepsUnreadFlash = true
  readonly #lifecycle: Lifecycle

  constructor(lifecycle: Lifecycle, owner: object) {
    this.#lifecycle = lifecycle
    this.owner = owner
  }

  async save(state: SessionState): Promise<void> {
    if ((await this.#lifecycle.commit(state)) === 'gone') throw gone()
  }

  /** A use, like a request: an active socket keeps its session alive. */
  async reload(state: SessionState): Promise<void> {
    await this.#lifecycle.reload(state)
    if (state.found) this.#lifecycle.touch(state.key, state.found)
  }

  async update<Result>(state: SessionState, change: (session: Session) => Result): Promise<Result> {
    return this.#lifecycle.update(state, change)
  }

  async regenerate(): Promise<void> {
    throw new SessionError(
      'ERR_SESSION_HEADERS_SENT',
      'session.regenerate needs a new cookie, and a session from sessions.open has no response to send it with. ' +
        'Let the client do it by a request over HTTP.',
    )
  }

  async destroy(state: SessionState): Promise<void> {
    await this.#lifecycle.destroy(state)
  }

  signalOf(state: SessionState): AbortSignal {
    return this.#lifecycle.signalOf(state)
  }

  sealedBy(): undefined {
    return undefined
  }
}
