import type Koa from 'koa'
import type { CheckedCookie } from './attributes.ts'
import type { Holder } from './context.ts'
import { statusOf } from './koa.ts'
import { lookUp, type Services, type Visit } from './lookup.ts'
import type { Stranger } from '../session/absence.ts'
import { isRenewalDue } from './renewal.ts'
import { RequestHost } from './request-host.ts'
import type { LongRequest } from './under-way.ts'
import { tooLateToSet } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import { extensionDueAt, lastEndOf, longestPauseOf, TOUCH_AFTER } from '../record/record.ts'
import type { CommitOutcome } from '../session/lifecycle.ts'
import { replaceData, sessionOf } from '../session/object.ts'
import type { Session } from '../session/types.ts'
import type { WorkingCopy } from '../session/working-copy.ts'
import type { Found } from '../store.ts'
import { isPromise, settle, type Awaitable, type Instant, type Key } from '../units.ts'

/** What is special about one request. */
export interface Circumstances {
  /** The cookie's. */
  readonly attributes: CheckedCookie
  /** Whether the request is no use of the session: see the option `passive`. */
  readonly isPassive: boolean
  /** The session of the middleware around this one. */
  readonly outer: Holder | undefined
}

/** One request's dealings with its session: from the cookies that came to the headers that leave. */
export class RequestSession extends RequestHost implements Holder, LongRequest {
  readonly property: string
  readonly outer: Holder | undefined
  readonly isPassive: boolean
  dueAt: Instant = Infinity
  before: LongRequest | undefined
  after: LongRequest | undefined

  constructor(services: Services, ctx: Koa.Context, { attributes, isPassive, outer }: Circumstances) {
    super(services, ctx, attributes)
    this.isPassive = isPassive
    this.property = services.identity.property
    this.outer = outer
  }

  /** Loads the session that the cookies name. Never rejects: a failure is kept for whoever touches the session. */
  load(): Awaitable<void> {
    const header = this.ctx.req.headers.cookie
    if (header === undefined) return undefined
    const now = Date.now()
    return settle(
      () => lookUp(this.services, header, this.isPrefixed, now),
      (visit) => this.#cameWith(visit, now),
      (error) => void (this.failure = error),
    )
  }

  #cameWith(visit: Visit | Stranger | undefined, now: Instant): Awaitable<void> {
    if (!visit || !('found' in visit)) return void (this.stranger = visit)
    this.visit = visit
    const { cookie, found, farewells } = visit
    if (farewells) this.response.sendWith(farewells)
    this.keepAlive(now)
    if (cookie.keyIndex === 0) {
      const isFromBefore = cookie.name !== this.services.cookie.nameFor(this.isPrefixed)
      this.mustSend = isFromBefore || isRenewalDue(recordOf(found), found.expiresAt, now)
      return undefined
    }
    // Not before its user finds it under the newest key: an older one may be retired once no cookie is signed with it.
    const isNoted = this.services.lifecycle.subjects.notes.renew(cookie.key, recordOf(found))
    const signAnew = (may: boolean): void => void (this.mustSend = may)
    return isPromise(isNoted) ? isNoted.then(signAnew) : signAnew(isNoted)
  }

  /** What `ctx.session` and `getSession()` give. */
  get session(): Session {
    return sessionOf(this.use())
  }

  /** `ctx.session = …`: null ends the session, an object becomes its data. */
  replace(data: unknown): void {
    if (this.response.isFinished) throw tooLateToSet()
    const copy = this.use()
    if (data === null || data === undefined) {
      if (!copy.isOpen) return
      this.toDestroy = new Set(this.toDestroy).add(copy)
      copy.end()
      this.ended = copy
      return
    }
    if (typeof data !== 'object' || Array.isArray(data)) {
      throw new TypeError('ctx.session must be set to an object with the data, or to null to end the session.')
    }
    replaceData(copy.forWriting(), data)
  }

  /**
   * After the handlers: waits for what they have begun, commits, and completes the response's headers. Rejects with what
   * failed without a handler knowing, and with what the commit rejects with.
   */
  finish(): Awaitable<void> {
    if (this.operations?.areLeft) return this.operations.settle().then(() => this.finish())
    if (this.toDestroy?.size) return this.#end().then(() => this.finish())
    const { copy } = this
    const uses = copy?.uses
    const outcome = copy && !this.#isForNobody(copy) ? this.commit(copy) : 'unchanged'
    if (isPromise(outcome))
      return outcome.then((settled) => this.#committed(settled, () => copy === this.copy && copy?.uses === uses))
    if (outcome === 'unchanged' && this.mustSend) return this.confirm().then((confirmed) => this.#finished(confirmed))
    return this.#finished(outcome)
  }

  /**
   * What handlers that nobody awaits have done while the store was at work counts too. From here on they are refused, so
   * that this comes to an end. `isAsItWas`: whether nobody has used the session meanwhile.
   */
  #committed(outcome: CommitOutcome, isAsItWas: () => boolean): Awaitable<void> {
    if (this.operations?.areLeft) return this.operations.settle().then(() => this.#committed(outcome, isAsItWas))
    const hasMore = this.toDestroy?.size || (!isAsItWas() && this.copy?.isOpen && this.copy.changes())
    if (this.response.isFinished || !hasMore) return this.#finished(outcome)
    this.response.finish()
    return this.finish()
  }

  /** Whether this is a new session, and the visitor has gone before there was a response to carry its cookie. */
  #isForNobody(copy: WorkingCopy): boolean {
    return !copy.found && this.response.isAbandoned
  }

  /** Ends what `ctx.session = null` was to end. */
  async #end(): Promise<void> {
    for (const copy of this.toDestroy ?? []) await this.destroy(copy)
  }

  #finished(outcome: CommitOutcome): void {
    this.response.finish()
    if (outcome !== 'gone') this.sendCookieIfDue()
    this.#leaveIfOver()
  }

  protected keepAlive(now: Instant = Date.now()): void {
    const found = this.#living()
    if (!found || this.isPassive) return
    this.dueAt = Math.min(this.dueAt, extensionDueAt(recordOf(found), found.expiresAt))
    this.services.underWay.add(this)
    if (now >= this.dueAt || this.response.isOver) this.lookAfter(now)
  }

  lookAfter(now: Instant): void {
    const { lifecycle, underWay } = this.services
    const found = this.#living()
    const record = found && recordOf(found)
    if (!found || !record || lastEndOf(record) <= now) return underWay.remove(this)
    if (now >= this.dueAt) {
      this.dueAt = now + longestPauseOf(record) * TOUCH_AFTER
      lifecycle.touch(this.id as Key, found, (expiresAt) => this.#extended(found, expiresAt))
    }
    if (this.response.isOver) this.#leave()
  }

  /** Most responses are still to leave, and close the request then. */
  #leaveIfOver(): void {
    if (this.response.isOver) this.lookAfter(Date.now())
  }

  #leave(): void {
    this.services.underWay.remove(this)
    const { copy } = this
    // A stranger who has gone without the cookie: nobody will ever name this session.
    if (copy && !this.visit && this.response.isAbandoned) void this.services.lifecycle.destroy(copy).catch(() => {})
  }

  #living(): Found | undefined {
    const { copy } = this
    return copy ? (copy.isOpen ? copy.found : undefined) : this.visit?.found
  }

  #extended(before: Found, expiresAt: Instant): void {
    const found = { ...before, expiresAt }
    if (this.copy?.found === before) this.copy.extended(found)
    else if (this.visit?.found === before) this.visit = { ...this.visit, found }
  }

  /**
   * After an error of the handlers. A client's error (4xx) commits like an answer, and if that fails, so does the request:
   * rejects with what it failed with. After any other error, what was not committed is dropped, and the error that came
   * first is the one that counts. What was done already (a save, a regenerate, a destroy) keeps its cookie either way, and
   * a session that was to end has ended: nobody stays signed in because something else went wrong.
   */
  async fail(error: unknown): Promise<void> {
    this.response.fail()
    const keepsChanges = statusOf(error) < 500
    const report = (failure: unknown): void =>
      this.services.diagnostics.report('error', { reason: 'commit after an error', error: failure })
    try {
      if (keepsChanges) return await this.finish()
      await this.operations?.settle().catch(report)
      if (this.copy?.isOpen) this.copy.reset()
      await this.#end()
      await this.#keepPromise()
    } catch (failure) {
      report(failure)
      if (keepsChanges) throw failure
    } finally {
      this.response.finish()
      this.#leaveIfOver()
    }
  }

  /** Makes the record of a new session in the place of one that was replaced already. */
  async #keepPromise(): Promise<void> {
    if (this.copy?.isPromised && (await this.commit(this.copy)) === 'saved') this.sendCookieIfDue()
  }

  completeHead(): void {
    if (this.copy && this.#isEndedElsewhere(this.copy)) this.response.withdraw()
    this.response.completeHead()
  }

  /** Then neither the cookie nor its end may leave: the browser may have that of a session that took the place by now. */
  #isEndedElsewhere(copy: WorkingCopy): boolean {
    return copy.hasMoved || (copy.phase === 'destroyed' && copy !== this.ended)
  }

  close(): void {
    // Node tells the end of a response twice: that it was sent, and that it is closed.
    if (this.response.close()) this.lookAfter(Date.now())
  }
}
