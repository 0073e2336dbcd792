import type { SessionErrorCode } from '../errors.ts'
import type { Identity, Limit } from './limit.ts'
import type { Operation } from './operation.ts'
import type { DestroyOptions, RegenerateOptions } from './member-options.ts'
import type { Session } from './types.ts'
import type { WorkingCopy } from './working-copy.ts'

/** What a session asks of whoever opened it. The session itself does no I/O and knows no HTTP. */
export interface SessionHost {
  /** The middleware whose session it is, for its `get()`. */
  readonly owner?: object
  /** Whether the cookies of new sessions outlive the browser. Default: as the options say. */
  readonly persistent?: boolean
  /** Whether a commit is no use of the session, and so does not extend it. Default: it is a use. */
  readonly isPassive?: boolean
  /** The session that took the place of this host's own, if it was regenerated where no request hands the new one on. */
  readonly successor?: Session | undefined
  /** Why the session before this one was ended, if whoever ended it said so. */
  readonly endedBecause?: string | undefined
  save(copy: WorkingCopy): Promise<void>
  reload(copy: WorkingCopy): Promise<void>
  update<Result>(copy: WorkingCopy, change: (session: Session) => Result): Promise<Result>
  regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void>
  destroy(copy: WorkingCopy, options?: DestroyOptions): Promise<void>
  /** Stores whose session it is, if the limit of this user's sessions allows it. */
  identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void>
  signalOf(copy: WorkingCopy): AbortSignal
  /**
   * The empty session that begins where this one was ended by its own request, and is now written to. `undefined`: there
   * can be none.
   */
  startAnew?(copy: WorkingCopy): WorkingCopy | undefined
  /** Hears of each operation that a handler has begun, and may have forgotten to await. */
  begun?(operation: Operation<unknown>): void
  /** Why nothing can be changed any more, or `undefined` while it can. */
  sealedBy(
    copy: WorkingCopy,
  ): Extract<SessionErrorCode, 'ERR_SESSION_COMMITTED' | 'ERR_SESSION_HEADERS_SENT'> | undefined
}
