import { SessionError } from '../errors.ts'
import { merge, type Changes, type SessionRecord } from '../record/record.ts'
import type { SessionHost } from './host.ts'
import { sessionOf } from './object.ts'
import type { Session } from './types.ts'
import { WorkingCopy } from './working-copy.ts'

/** What one run of the function of an update has made. */
export interface Updated<Result> {
  readonly record: SessionRecord
  readonly result: Result
  /** What the function has worked on. Its objects become the session's own once the record is stored. */
  readonly draft: WorkingCopy
  readonly changed: Changes['entries'] | undefined
}

/** One step of an update: what `change` makes of a record. */
export function applyUpdate<Result>(
  { key, found, codec }: WorkingCopy,
  record: SessionRecord,
  change: (session: Session) => Result,
): Updated<Result> {
  const draft = new WorkingCopy(record, codec, NOT_IN_UPDATE, { key, found })
  const result = change(sessionOf(draft))
  if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
    throw new SessionError(
      'ERR_SESSION_OPTION',
      'session.update: the function returned a promise. It runs again when another writer was faster, so it must be synchronous.',
    )
  }
  const changes = draft.changes()
  RETURNED.add(draft)
  return { record: changes ? merge(record, changes) : record, result, draft, changed: changes?.entries }
}

/** The drafts whose function has returned: what is set there from then on would go nowhere. */
const RETURNED = new WeakSet<WorkingCopy>()

function refuse(): never {
  throw new SessionError(
    'ERR_SESSION_OPTION',
    'session.update: the function may only read and set data. What it sets is stored by update itself, so no save() is ' +
      'needed; call regenerate(), destroy() and the like before or after `await session.update(…)`.',
  )
}

const NOT_IN_UPDATE: SessionHost = {
  save: refuse,
  reload: refuse,
  update: refuse,
  regenerate: refuse,
  destroy: refuse,
  identify: refuse,
  signalOf: refuse,
  // At once, because nobody can await anything there.
  begun: refuse,
  sealedBy: (draft) => (RETURNED.has(draft) ? 'ERR_SESSION_COMMITTED' : undefined),
}
