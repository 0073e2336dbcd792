import { createHmac, hash } from 'node:crypto'
import type { Keyring } from './keyring.ts'
import { SocketHost } from './socket-host.ts'
import { Deadline, DEFAULT_DEADLINE } from '../deadline.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { SessionError, reasonOf } from '../errors.ts'
import type { Arrived, Maker, NotArrived, OldSession } from '../session/arrivals.ts'
import type { Lifecycle } from '../session/lifecycle.ts'
import { isMember, sessionOf } from '../session/object.ts'
import type { Session } from '../session/types.ts'
import type { WorkingCopy } from '../session/working-copy.ts'
import type { Found } from '../store.ts'
import { isPromise, type Awaitable } from '../units.ts'

/** The sessions of another library, for the option `movingFrom`: see `koa-server-session/moving`. */
export interface OldSessions {
  /** The library and its cookie, as messages name them. */
  readonly name: string
  /** The session that this Cookie header names. `undefined` if there is no cookie of that library, or a forged one. */
  find(header: string): OldVisit | undefined
  /** How the data goes into a session of ours. Default: each value under its own name. */
  readonly take?: ((session: Session, data: never) => void) | undefined
}

/** A cookie of another library. */
export interface OldVisit extends OldSession {
  /** The Set-Cookie headers that make the browser forget it. */
  readonly farewells: readonly string[]
}

/** What came of an old cookie. */
export type Newcomer = (Arrived & { readonly farewells: readonly string[] }) | NotArrived

/** Visitors who come with the cookie of another library, and the sessions that they get here. */
export class Newcomers {
  readonly #sources: readonly OldSessions[]
  readonly #lifecycle: Lifecycle
  readonly #diagnostics: Diagnostics
  readonly #owner: object
  readonly #patience = new Deadline(DEFAULT_DEADLINE)
  #tokensFor: Maker['tokensFor'] = () => []

  constructor(sources: readonly OldSessions[], lifecycle: Lifecycle, diagnostics: Diagnostics, owner: object) {
    this.#sources = sources
    this.#lifecycle = lifecycle
    this.#diagnostics = diagnostics
    this.#owner = owner
  }

  /** From now on makes tokens with the first of these keys, and knows those of the others. */
  useKeys(keyring: Keyring): void {
    if (keyring.isFixed) {
      const keys = keyring.derive('moving')
      this.#tokensFor = (text) => keys.map((key) => createHmac('sha256', key).update(text).digest('base64url'))
    } else this.#tokensFor = (text) => [hash('sha256', keyring.sign(`moving ${text}`), 'base64url')]
  }

  /** The session of the first old cookie that leads to one. Rejects with `ERR_SESSION_STORE_UNAVAILABLE`, of either store. */
  async arrive(header: string): Promise<Newcomer | undefined> {
    let absent: NotArrived | undefined
    for (const source of this.#sources) {
      const old = source.find(header)
      if (!old) continue
      const outcome = await this.#lifecycle.arrivals.takeOver(this.#inTime(old, source), this.#makerFor(source))
      if ('found' in outcome) return { ...outcome, farewells: old.farewells }
      absent ??= outcome
    }
    return absent
  }

  #makerFor({ name, take }: OldSessions): Maker {
    return {
      tokensFor: (text) => this.#tokensFor(text),
      make: async (token, data) => {
        const host = new SocketHost(this.#lifecycle, this.#diagnostics, this.#owner)
        const copy = this.#lifecycle.adopt(host, token)
        copy.demandRecord()
        if (take) take(sessionOf(copy), data as never)
        else this.#fill(copy, data, name)
        await host.save(copy)
        this.#diagnostics.stats.moved++
        return copy.found as Found
      },
    }
  }

  #fill(copy: WorkingCopy, data: object, source: string): void {
    for (const [name, value] of Object.entries(data)) {
      if (!isMember(name)) copy.write(name, value)
      else
        this.#diagnostics.warn(
          'SESSION_LEFT_BEHIND',
          `The sessions of ${source} have data under the name ${name}, which is a member of every session here. It is left ` +
            'behind. To keep it, pass `take: (session, data) => { … }`, which puts the data into the session.',
        )
    }
  }

  /** The old session, whose store answers within a deadline and fails as ours does. */
  #inTime(old: OldVisit, { name }: OldSessions): OldSession {
    const ask = <Answer>(question: () => Awaitable<Answer>): Promise<Answer> =>
      this.#ask(question).catch((cause: unknown) => {
        this.#diagnostics.stats.errors++
        const reason = reasonOf(cause) ?? 'see `cause`'
        const error = new SessionError(
          'ERR_SESSION_STORE_UNAVAILABLE',
          `The store of the old sessions, ${name}, failed, so the visitor's session could not be taken over (${reason}).`,
          { cause },
        )
        this.#diagnostics.warn(
          'SESSION_STORE_FAILED',
          `${error.message} Further failures are counted in stats().errors.`,
        )
        this.#diagnostics.report('error', { reason: 'old store', error })
        throw error
      })
    return { id: old.id, until: old.until, load: () => ask(() => old.load()), end: () => ask(() => old.end()) }
  }

  /** Answers within a deadline. */
  async #ask<Answer>(question: () => Awaitable<Answer>): Promise<Answer> {
    const answer = question()
    return isPromise(answer) ? this.#patience.within(answer, tooLate) : answer
  }
}

function tooLate(): SessionError {
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', `no answer within ${DEFAULT_DEADLINE} ms`)
}
