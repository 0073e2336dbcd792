import { Checks, isOptions } from '../../checks.ts'
import { described } from '../../session/described.ts'
import { replaceData, sessionOf } from '../../session/object.ts'
import type { WorkingCopy } from '../../session/working-copy.ts'

/** Puts data into a session, or lets a function do it. `asker`: whose argument it is. Throws `ERR_SESSION_OPTION`. */
export function fill(asker: string, copy: WorkingCopy, data: unknown): void {
  if (typeof data === 'function') {
    const result: unknown = data(sessionOf(copy))
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function')
      throw new Checks(asker).refusal('the function returned a promise. It must put its data into the session at once.')
  } else if (isOptions(data)) replaceData(copy, data)
  else
    throw new Checks(asker).refusal(
      `the data must be an object, or a function that gets the session, not ${described(data)}.`,
    )
}
