import { EndSignal } from '../layers/ends/end-signal.ts'
import { SessionError, beingRegenerated } from '../errors.ts'

/**
 * Where a working copy stands. It moves by the methods of `Phased`, and by nothing else:
 *
 *     open ── replaced() ──▶ replaced     regenerated: another session has its place; kept for reading
 *      │ ▲
 *      │ └─── reopen() ────┐
 *      └────── end() ──▶ destroyed        reads as empty
 *
 * `end()` comes before the store is asked, so that nothing is written while it answers; `reopen()` takes it back if the
 * store has failed.
 */
export type Phase = 'open' | 'replaced' | 'destroyed'

/**
 * What stands in a phase. A base class and not a part, because a part would be one more object for each session that is
 * used, and one more step for each value that is read.
 */
export abstract class Phased {
  #phase: Phase = 'open'
  #hasMoved = false
  /** Regenerations under way: there may be several, and each may fail by itself. */
  #moves = 0
  #successor: this | undefined
  #endSignal: EndSignal | undefined

  get phase(): Phase {
    return this.#phase
  }

  get isOpen(): boolean {
    return this.#phase === 'open'
  }

  /** Whether the session lives on under another id, whose cookie the visitor's browser may have. */
  get hasMoved(): boolean {
    return this.#hasMoved
  }

  /** `open → destroyed`. `hasMoved`: see the property. */
  end({ hasMoved = false }: { hasMoved?: boolean } = {}): void {
    if (this.#phase === 'open') this.#phase = 'destroyed'
    this.#hasMoved ||= hasMoved
  }

  /** `destroyed → open`: the session may live on, because the store has failed. */
  reopen(): void {
    if (this.#phase === 'destroyed') this.#phase = 'open'
  }

  /** `open → replaced` */
  replaced(): void {
    if (this.#phase === 'open') this.#phase = 'replaced'
  }

  /** While a regeneration is under way, what is written here would belong to neither session. */
  beginMove(): void {
    this.#moves++
  }

  endMove(): void {
    this.#moves--
  }

  /** This one was ended by its own request, and what is written from now on goes into `next`. */
  succeededBy(next: this): void {
    this.#successor = next
  }

  /** What the object of this session shows: this one, or the session that has begun where this one was ended. */
  get current(): this {
    return this.#successor ? this.#successor.current : this
  }

  /** Throws if the session has ended or is about to move, for the member that wants to change it. */
  protected assertOpen(name: string): void {
    if (this.#phase !== 'open') {
      const how = this.#phase === 'destroyed' ? 'destroyed' : 'regenerated'
      throw new SessionError(
        'ERR_SESSION_ENDED',
        `session.${name} cannot be set: this session was ${how}. Take the current one from getSession() or ctx.session.`,
      )
    }
    if (this.#moves > 0) throw beingRegenerated(name)
  }

  /** The signal of the session's end, once somebody has asked for it. */
  get endSignal(): EndSignal | undefined {
    return this.#endSignal
  }

  /** The signal of the session's end: made when it is first asked for, and aborted already if the session has ended. */
  demandEndSignal(): EndSignal {
    this.#endSignal ??= new EndSignal()
    if (this.#phase !== 'open') this.#endSignal.end()
    return this.#endSignal
  }
}
