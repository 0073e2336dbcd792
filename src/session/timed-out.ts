import type { Diagnostics } from '../diagnostics.ts'
import { SessionError } from '../errors.ts'
import { lastEndOf } from '../record/record.ts'
import { inWords } from '../record/timeouts.ts'
import type { WorkingCopy } from './working-copy.ts'

/** Reports that a change was dropped because the session's time was over before it was stored, if that is the reason. */
export function reportIfTimedOut({ record, found }: WorkingCopy, diagnostics: Diagnostics): void {
  const now = Date.now()
  const { absoluteTimeout, idleTimeout } = record
  let why: string | undefined
  if (lastEndOf(record) <= now)
    why =
      `absoluteTimeout (${inWords(absoluteTimeout)}) had passed since the session began. Raise absoluteTimeout, or let ` +
      'visitors sign in anew before they begin what takes so long.'
  else if (found && found.expiresAt <= now)
    why =
      `idleTimeout (${inWords(idleTimeout)}) had passed, and nothing had extended the session. A request keeps its session ` +
      'alive unless it is passive, or the store fails; other code may call `await session.reload()` in time.'
  if (why === undefined) return
  const message = `A change was dropped, because its session had ended before it was stored: ${why}`
  diagnostics.report('error', { reason: 'timed out', error: new SessionError('ERR_SESSION_GONE', message) })
  diagnostics.warn('SESSION_TIMED_OUT', message)
}
