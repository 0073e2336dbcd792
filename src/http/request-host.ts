import type Koa from 'koa'
import type { CheckedCookie } from './attributes.ts'
import { isPrefixedFor } from './cookie-names.ts'
import type { Verified } from './cookie.ts'
import { mayWithholdCookie } from './cross-site.ts'
import type { Services, Visit } from './lookup.ts'
import type { Stranger } from '../session/absence.ts'
import { PassingHost, type WhyPassing } from './passing.ts'
import { endOfCookie } from './renewal.ts'
import { SessionResponse } from './response.ts'
import { isUpgrade } from './upgrade.ts'
import { committed, gone, headersSent, withoutResponse } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import type { SessionRecord } from '../record/record.ts'
import type { CommitOutcome } from '../session/lifecycle.ts'
import type { Identity, Limit } from '../session/limit.ts'
import { Operations, reportForgotten, type Operation } from '../session/operation.ts'
import type { DestroyOptions, RegenerateOptions } from '../session/member-options.ts'
import type { Session } from '../session/types.ts'
import type { SessionHost } from '../session/host.ts'
import type { WorkingCopy } from '../session/working-copy.ts'
import { isPromise, type Awaitable, type Instant, type Key } from '../units.ts'

const NO_RESPONSE =
  'A visitor without a session opened a WebSocket, and the handler wrote to the session. It was not stored, because the ' +
  'answer to an upgrade carries no cookie, so nobody could ever come back to it. Let visitors begin their session with a ' +
  'page, and refuse sockets without one.'

/** What handlers can do with the session of a request: the host of the request's working copies. */
export abstract class RequestHost implements SessionHost {
  readonly owner: object
  protected readonly services: Services
  protected readonly ctx: Koa.Context
  protected readonly attributes: CheckedCookie
  protected readonly response: SessionResponse
  /** The session that came, and its cookie. */
  protected visit: Visit | undefined
  /** What is known of a visitor whose cookies name no live session. */
  protected stranger: Stranger | undefined
  /** Why the session could not be loaded. */
  protected failure: unknown
  /** Made when the session is first touched. */
  protected copy: WorkingCopy | undefined
  /** The session that this request has ended, or is to end when the handlers are done. */
  protected ended: WorkingCopy | undefined
  /** The sessions that `ctx.session = null` is to end when the handlers are done. */
  protected toDestroy: Set<WorkingCopy> | undefined
  /** What handlers have begun by the session's members. */
  protected operations: Operations | undefined
  /** Whether the visitor's cookie is not the one that the session needs. */
  protected mustSend = false

  constructor(services: Services, ctx: Koa.Context, attributes: CheckedCookie) {
    this.owner = services.identity.owner
    this.services = services
    this.ctx = ctx
    this.attributes = attributes
    this.response = new SessionResponse(ctx, services, attributes)
  }

  /** Whether the cookie of this request has the prefix `__Host-`. */
  get isPrefixed(): boolean {
    return this.services.cookie.isAuto && isPrefixedFor(this.ctx, this.attributes)
  }

  /** The public id of the session that came or that was used. */
  get id(): Key | undefined {
    return this.copy?.key ?? this.visit?.cookie.key
  }

  /** Whether the cookies of new sessions outlive the browser. */
  get persistent(): boolean {
    return this.attributes.persistent ?? false
  }

  protected use(): WorkingCopy {
    this.response.use()
    if (this.copy) return this.copy
    const { lifecycle, onStoreError } = this.services
    if (this.failure && onStoreError === 'throw') throw this.failure
    const { visit } = this
    this.copy = visit ? lifecycle.open(this, visit.cookie.key, visit.found, visit.cookie.token) : this.startNew()
    return this.copy
  }

  protected startNew(): WorkingCopy {
    const { lifecycle, diagnostics } = this.services
    if (isUpgrade(this.ctx.req)) {
      const warn = (): void => diagnostics.warn('SESSION_UPGRADE', NO_RESPONSE)
      return lifecycle.create(new PassingHost(this, diagnostics, 'upgrade', warn))
    }
    const why = this.whyPassing
    return lifecycle.create(why ? new PassingHost(this, diagnostics, why) : this)
  }

  startAnew(copy: WorkingCopy): WorkingCopy | undefined {
    // Not after a logout elsewhere: what comes too late must not bring anything back.
    if (copy !== this.ended || this.sealedBy(copy)) return undefined
    this.copy = this.startNew()
    return this.copy
  }

  /** Why the browser may have a cookie of this name that it has not sent with this request. */
  get whyPassing(): Exclude<WhyPassing, 'upgrade'> | undefined {
    if (this.stranger?.replaced !== undefined || this.copy?.hasMoved) return 'replaced'
    const { req } = this.ctx
    // A cookie of this name that we did not sign says nothing of ours.
    const isWithheld = (): boolean => this.services.cookie.read(req.headers.cookie, this.isPrefixed).length === 0
    return mayWithholdCookie(this.attributes.sameSite, req) && isWithheld() ? 'withheld' : undefined
  }

  begun(operation: Operation<unknown>): void {
    if (this.response.isFinished) reportForgotten(operation, this.services.diagnostics)
    else (this.operations ??= new Operations()).add(operation)
  }

  protected commit(copy: WorkingCopy): Awaitable<CommitOutcome> {
    if (copy.host instanceof PassingHost) {
      copy.host.drop(copy)
      return 'unchanged'
    }
    const { hasHeadLeft } = this.response
    if ((this.failure || (hasHeadLeft && !copy.found)) && copy.isOpen && copy.changes()) {
      // The store could not say who this is: a new session would take the place of the visitor's own.
      if (this.failure) throw this.failure
      this.response.lose()
      return 'unchanged'
    }
    const outcome = this.services.lifecycle.commit(copy)
    if (hasHeadLeft && outcome !== 'unchanged')
      this.services.diagnostics.report('error', { reason: 'committed after the headers' })
    if (!isPromise(outcome)) return outcome
    const { found, record } = copy
    return outcome.then((settled) => {
      if (settled === 'saved') this.#stored(copy, { found, record })
      return settled
    })
  }

  /** The cookie may have to change with what was stored, and the session may end earlier than before. */
  #stored(copy: WorkingCopy, before: Pick<WorkingCopy, 'found' | 'record'>): void {
    if (!before.found || endOfCookie(before.record) !== endOfCookie(copy.record)) this.mustSend = true
    if (copy === this.copy) this.keepAlive()
  }

  /**
   * Before the cookie is signed anew: whether its session still lives. A dead one, sent late, could take the place of
   * the one that the visitor has signed in with meanwhile.
   */
  protected async confirm(): Promise<CommitOutcome> {
    const key = this.id
    if (key === undefined || (this.copy && !this.copy.isOpen)) return 'unchanged'
    try {
      return typeof (await this.services.lifecycle.load(key)) === 'object' ? 'unchanged' : 'gone'
    } catch {
      this.mustSend = false // reported by the guard; the next request signs it anew
      return 'unchanged'
    }
  }

  protected sendCookieIfDue(): void {
    if (!this.mustSend) return
    const { copy, visit } = this
    if (!copy && visit) this.#send(visit.cookie, recordOf(visit.found))
    else if (copy?.isOpen && copy.found) this.#send(copy, copy.record)
  }

  #send({ token, key }: Pick<Verified, 'token' | 'key'>, record: SessionRecord): void {
    this.mustSend = false
    const { cookie } = this.visit ?? {}
    if (cookie?.token === token) this.services.diagnostics.countResigned(cookie.keyIndex)
    this.response.send(token, key, endOfCookie(record))
    this.keepAlive()
  }

  /** The request has a session, which must live for as long as the request does. */
  protected abstract keepAlive(now?: Instant): void

  async save(copy: WorkingCopy): Promise<void> {
    if (this.response.hasHeadLeft && !copy.found && copy.changes()) throw headersSent('save')
    const outcome = await this.commit(copy)
    if (outcome === 'gone') throw gone()
    if (outcome === 'unchanged' && this.mustSend && (await this.confirm()) === 'gone') return
    this.sendCookieIfDue()
  }

  async reload(copy: WorkingCopy): Promise<void> {
    if (this.failure) throw this.failure
    await this.services.lifecycle.reload(copy)
  }

  async update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result> {
    if (this.response.hasHeadLeft && !copy.found) throw headersSent('update')
    if (this.failure) throw this.failure
    const { found, record } = copy
    const result = await this.services.lifecycle.update(copy, change)
    if (copy.found) this.#stored(copy, { found, record })
    this.sendCookieIfDue()
    return result
  }

  async regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void> {
    const method = options.keep === true && options.proved ? 'prove' : 'regenerate'
    if (this.response.hasHeadLeft) throw headersSent(method)
    if (this.response.isFinished) throw committed(method)
    if (isUpgrade(this.ctx.req)) throw withoutResponse('this is an upgrade')
    if (this.failure) throw this.failure
    this.copy = await this.services.lifecycle.regenerate(copy, options, this, this.stranger)
    this.stranger = undefined
    this.mustSend = true
    this.sendCookieIfDue()
  }

  async destroy(copy: WorkingCopy, { clear = [] }: DestroyOptions = {}): Promise<void> {
    // The visitor's own session may live on: to clear the cookie now would only look like a logout.
    if (this.failure) throw this.failure
    // `ctx.session = null` has only announced the end: the store was not asked so far.
    if (this.toDestroy?.delete(copy)) copy.reopen()
    await this.services.lifecycle.destroy(copy, this.stranger)
    this.ended = copy
    this.mustSend = false
    if (copy.hasMoved) return this.response.withdraw()
    this.stranger = undefined
    // Another site must not sign a visitor out.
    if (this.whyPassing === 'withheld') this.response.withdraw()
    else this.response.clear(clear)
    // A session that has begun in its place, and is stored already.
    if (!this.copy?.isOpen || !this.copy.found) return
    this.mustSend = true
    this.sendCookieIfDue()
  }

  async identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void> {
    if (this.response.hasHeadLeft && !copy.found) throw headersSent('identify')
    if (this.failure) throw this.failure
    const { found } = copy
    await this.services.lifecycle.identify(copy, identity, limit)
    if (!found) this.mustSend = true
    this.sendCookieIfDue()
  }

  get endedBecause(): string | undefined {
    return this.stranger?.endedBecause
  }

  signalOf(copy: WorkingCopy): AbortSignal {
    return this.services.lifecycle.signalOf(copy)
  }

  sealedBy(copy: WorkingCopy): ReturnType<SessionHost['sealedBy']> {
    return this.response.sealedBy(copy.found !== undefined)
  }
}
