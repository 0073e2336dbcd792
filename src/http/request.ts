import type Koa from 'koa'
import { lookUp, type Services, type Stranger, type Visit } from './lookup.ts'
import { recordOf } from '../record/format.ts'
import type { CheckedCookie } from './attributes.ts'
import type { Verified } from './cookie.ts'
import { endOfCookie, isRenewalDue } from './renewal.ts'
import { mayWithholdCookie } from './cross-site.ts'
import { gone, headersSent, tooLateToSet } from '../errors.ts'
import type { CommitOutcome } from '../session/lifecycle.ts'
import type { SessionRecord } from '../record/record.ts'
import { PassingHost } from './passing.ts'
import { SessionResponse } from './response.ts'
import type { Holder } from './context.ts'
import { statusOf } from './koa.ts'
import { replaceData, sessionOf } from '../session/object.ts'
import { Operations, reportForgotten, type Operation } from '../session/operation.ts'
import type { SessionHost, WorkingCopy } from '../session/working-copy.ts'
import type { Found } from '../store.ts'
import type { RegenerateOptions, Session } from '../session/types.ts'
import { isPromise, settle, type Awaitable, type Key } from '../units.ts'

/** One request's dealings with its session: from the cookies that came to the headers that leave. */
export class RequestSession implements Holder, SessionHost {
  readonly owner: object
  readonly property: string
  readonly outer: Holder | undefined
  readonly #services: Services
  readonly #ctx: Koa.Context
  readonly #attributes: CheckedCookie
  /** The cookie whose session this is. */
  #cookie: Verified | undefined
  #found: Found | undefined
  /** The records that the visitor's cookies name and that cannot be read. */
  #unreadable: readonly Key[] | undefined
  /** Why the session could not be loaded. */
  #failure: unknown
  /** Made when the session is first touched. */
  #copy: WorkingCopy | undefined
  /** What handlers have begun by the session's members. */
  #operations: Operations | undefined
  /** Sessions that `ctx.session = null` ended, until the end of the request. */
  #toDestroy: WorkingCopy[] | undefined
  /** Whether the visitor's cookie is not the one that the session needs. */
  #mustSend = false
  readonly #response: SessionResponse

  /** `attributes`: those of the cookie, for this request. */
  constructor(services: Services, ctx: Koa.Context, attributes: CheckedCookie, outer: Holder | undefined) {
    const { owner, property } = services.identity
    this.#services = services
    this.#ctx = ctx
    this.owner = owner
    this.property = property
    this.outer = outer
    this.#attributes = attributes
    this.#response = new SessionResponse(ctx, services, attributes)
  }

  /** Loads the session that the cookies name. Never rejects: a failure is kept for whoever touches the session. */
  load(): Awaitable<void> {
    return settle(
      () => lookUp(this.#services, this.#ctx.req.headers.cookie),
      (visit) => this.#cameWith(visit),
      (error) => void (this.#failure = error),
    )
  }

  #cameWith(visit: Visit | Stranger | undefined): Awaitable<void> {
    if (!visit || !('found' in visit)) return void (this.#unreadable = visit?.unreadable)
    const { cookie, found } = visit
    this.#cookie = cookie
    this.#found = found
    if (cookie.keyIndex === 0) {
      this.#mustSend = isRenewalDue(recordOf(found), found.expiresAt)
      return undefined
    }
    // Not before its user finds it under the newest key: an older one may be retired once no cookie is signed with it.
    const isNoted = this.#services.lifecycle.subjects.notes.renew(cookie.key, recordOf(found))
    const signAnew = (may: boolean): void => void (this.#mustSend = may)
    return isPromise(isNoted) ? isNoted.then(signAnew) : signAnew(isNoted)
  }

  /** Whether the cookies of new sessions outlive the browser. */
  get persistent(): boolean {
    return this.#attributes.persistent ?? false
  }

  /** What `ctx.session` and `getSession()` give. */
  get session(): Session {
    return sessionOf(this.#use())
  }

  /** The public id of the session that came or that was used. */
  get id(): Key | undefined {
    return this.#copy?.key ?? this.#cookie?.key
  }

  #use(): WorkingCopy {
    this.#response.use()
    if (this.#copy) return this.#copy
    const { lifecycle, onStoreError } = this.#services
    if (this.#failure && onStoreError === 'throw') throw this.#failure
    this.#copy =
      this.#found && this.#cookie
        ? lifecycle.open(this, this.#cookie.key, this.#found, this.#cookie.token)
        : this.#new()
    return this.#copy
  }

  #new(): WorkingCopy {
    const { lifecycle, diagnostics } = this.#services
    return lifecycle.create(this.mayHaveAnother ? new PassingHost(this, diagnostics) : this)
  }

  /** Whether the browser may have a cookie of this name that it has not sent with this request. */
  get mayHaveAnother(): boolean {
    const { req } = this.#ctx
    return mayWithholdCookie(this.#attributes.sameSite, req) && !this.#services.cookie.isIn(req.headers.cookie)
  }

  /** `ctx.session = …`: null ends the session, an object becomes its data. */
  replace(data: unknown): void {
    if (this.#response.isFinished) throw tooLateToSet()
    const copy = this.#use()
    if (data === null || data === undefined) {
      if (!copy.isOpen) return
      this.#toDestroy = [...(this.#toDestroy ?? []), copy]
      copy.end()
      return
    }
    if (typeof data !== 'object' || Array.isArray(data)) {
      throw new TypeError('ctx.session must be set to an object with the data, or to null to end the session.')
    }
    if (copy.phase === 'destroyed') this.#copy = this.#new()
    replaceData(this.#copy as WorkingCopy, data)
  }

  /**
   * After the handlers: waits for what they have begun, commits, and completes the response's headers. Rejects with what
   * failed without a handler knowing, and with what the commit rejects with.
   */
  finish(): Awaitable<void> {
    if (this.#operations?.areLeft) return this.#operations.settle().then(() => this.finish())
    if (this.#toDestroy) return this.#end().then(() => this.finish())
    const outcome = this.#copy ? this.#commit(this.#copy) : 'unchanged'
    if (outcome === 'unchanged' && this.#mustSend) return this.#confirm().then((confirmed) => this.#finished(confirmed))
    return settle(
      () => outcome,
      (settled) => this.#finished(settled),
    )
  }

  /**
   * Before the cookie is signed anew: whether its session still lives. A dead one, sent late, could take the place of
   * the one that the visitor has signed in with meanwhile.
   */
  async #confirm(): Promise<CommitOutcome> {
    const key = this.id
    if (key === undefined || (this.#copy && !this.#copy.isOpen)) return 'unchanged'
    try {
      return typeof (await this.#services.lifecycle.load(key)) === 'object' ? 'unchanged' : 'gone'
    } catch {
      this.#mustSend = false // reported by the guard; the next request signs it anew
      return 'unchanged'
    }
  }

  begun(operation: Operation<unknown>): void {
    if (this.#response.isFinished) reportForgotten(operation, this.#services.diagnostics)
    else (this.#operations ??= new Operations()).add(operation)
  }

  /** Ends what `ctx.session = null` was to end. */
  async #end(): Promise<void> {
    const toDestroy = this.#toDestroy ?? []
    this.#toDestroy = undefined
    for (const copy of toDestroy) {
      copy.reopen()
      await this.destroy(copy)
    }
  }

  #commit(copy: WorkingCopy): Awaitable<CommitOutcome> {
    if (copy.host instanceof PassingHost) {
      copy.host.drop(copy)
      return 'unchanged'
    }
    const { hasHeadLeft } = this.#response
    if ((this.#failure || (hasHeadLeft && !copy.found)) && copy.isOpen && copy.changes()) {
      // The store could not say who this is: a new session would take the place of the visitor's own.
      if (this.#failure) throw this.#failure
      this.#response.lose()
      return 'unchanged'
    }
    const outcome = this.#services.lifecycle.commit(copy)
    if (hasHeadLeft && outcome !== 'unchanged')
      this.#services.diagnostics.report('error', { reason: 'committed after the headers' })
    return isPromise(outcome) ? this.#noticingTerms(copy, outcome) : outcome
  }

  /** Whether the cookie has to change with what was committed. */
  #noticingTerms(copy: WorkingCopy, outcome: Promise<CommitOutcome>): Promise<CommitOutcome> {
    const { found, record } = copy
    return outcome.then((settled) => {
      if (settled === 'saved' && (!found || endOfCookie(record) !== endOfCookie(copy.record))) this.#mustSend = true
      return settled
    })
  }

  #finished(outcome: CommitOutcome): void {
    this.#response.finish()
    if (outcome === 'unchanged') this.#touch()
    if (outcome === 'gone') this.#response.withdraw()
    else this.#sendCookieIfDue()
  }

  #touch(): void {
    const found = this.#copy ? this.#copy.found : this.#found
    // Without a record there is nothing to extend, and asking for the key would make a token for nobody.
    if (!found || this.#copy?.isOpen === false) return
    this.#services.lifecycle.touch((this.#copy ?? (this.#cookie as Verified)).key, found)
  }

  #sendCookieIfDue(): void {
    if (!this.#mustSend) return
    const copy = this.#copy
    if (!copy) this.#send((this.#cookie as Verified).token, recordOf(this.#found as Found))
    else if (copy.isOpen && copy.found) this.#send(copy.token, copy.record)
  }

  #send(token: string, record: SessionRecord): void {
    this.#mustSend = false
    if (this.#cookie?.token === token) this.#services.diagnostics.countResigned(this.#cookie.keyIndex)
    this.#response.send(token, endOfCookie(record))
  }

  /**
   * After an error of the handlers. A client's error (4xx) commits like an answer; after any other one, what was not
   * committed is dropped. What was done already (a save, a regenerate, a destroy) keeps its cookie either way, and a
   * session that was to end has ended: nobody stays signed in because something else went wrong.
   */
  async fail(error: unknown): Promise<void> {
    this.#response.fail()
    const keepsChanges = statusOf(error) < 500
    // The visitor gets the error that came first.
    const report = (failure: unknown): void =>
      this.#services.diagnostics.report('error', { reason: 'commit after an error', error: failure })
    try {
      await this.#operations?.settle().catch(report)
      if (!keepsChanges && this.#copy?.isOpen) this.#copy.reset()
      await (keepsChanges ? this.finish() : this.#end())
    } catch (failure) {
      report(failure)
    }
    if (keepsChanges) return
    this.#response.finish()
    this.#touch()
  }

  completeHead(): void {
    this.#response.completeHead()
  }

  async save(copy: WorkingCopy): Promise<void> {
    if (this.#response.hasHeadLeft && !copy.found && copy.changes()) throw headersSent('save')
    const outcome = await this.#commit(copy)
    if (outcome === 'gone') {
      // If this request itself ended the session meanwhile, the response says so, and goes on saying it.
      if (copy.phase === 'open') this.#response.withdraw()
      throw gone()
    }
    this.#sendCookieIfDue()
  }

  async reload(copy: WorkingCopy): Promise<void> {
    if (this.#failure) throw this.#failure
    await this.#services.lifecycle.reload(copy)
  }

  async update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result> {
    if (this.#response.hasHeadLeft && !copy.found) throw headersSent('update')
    if (this.#failure) throw this.#failure
    const { found } = copy
    const result = await this.#services.lifecycle.update(copy, change)
    if (!found) this.#mustSend = true
    this.#sendCookieIfDue()
    return result
  }

  async regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void> {
    if (this.#response.hasHeadLeft) throw headersSent('regenerate')
    if (this.#failure) throw this.#failure
    // What cannot be read is left alone, unless its own visitor signs out, or in anew.
    if (this.#unreadable?.length) await this.#services.lifecycle.removeUnreadable(this.#unreadable)
    const next = await this.#services.lifecycle.regenerate(copy, options, this)
    this.#copy = next
    this.#mustSend = true
    this.#sendCookieIfDue()
  }

  async destroy(copy: WorkingCopy): Promise<void> {
    // The visitor's own session may live on: to clear the cookie now would only look like a logout.
    if (this.#failure) throw this.#failure
    if (this.#unreadable?.length) await this.#services.lifecycle.removeUnreadable(this.#unreadable)
    await this.#services.lifecycle.destroy(copy)
    this.#mustSend = false
    this.#response.clear()
  }

  signalOf(copy: WorkingCopy): AbortSignal {
    return this.#services.lifecycle.signalOf(copy)
  }

  sealedBy(copy: WorkingCopy): ReturnType<SessionHost['sealedBy']> {
    return this.#response.sealedBy(copy.found !== undefined)
  }
}
