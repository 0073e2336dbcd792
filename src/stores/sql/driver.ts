import { createRequire } from 'node:module'
import type { Checks } from '../../checks.ts'
import { PLACES } from '../places.ts'

/**
 * A database's package, loaded synchronously, so that its absence is an error where the store is made and not a failed
 * request later. Throws `ERR_SESSION_OPTION` with `cure` if it is not installed.
 */
export function loadPackage(checks: Checks, name: string, cure: string): unknown {
  for (const place of PLACES) {
    try {
      return createRequire(place)(name)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') continue
      throw checks.refusal(`the package ${name} cannot be loaded; see the cause`, { cause })
    }
  }
  throw checks.refusal(cure)
}
