import { createRequire } from 'node:module'
import type { Checks } from '../../checks.ts'
import { PLACES } from '../places.ts'

/** A package, and what of it is asked for. */
export interface Wanted {
  /** What is loaded: the package, or a file of it such as `mysql2/promise`. */
  readonly module: string
  /** The first release that will do. An older one may be installed for something else. */
  readonly least: readonly [major: number, minor: number]
  /** What is said if there is none. */
  readonly cure: string
}

/**
 * A database's package, loaded synchronously, so that its absence is an error where the store is made and not a failed
 * request later. Throws `ERR_SESSION_OPTION` if it is not installed, or if only an older release is.
 */
export function loadPackage(
  checks: Checks,
  { module, least, cure }: Wanted,
  places: readonly string[] = PLACES,
): unknown {
  const [name = module] = module.split('/')
  let isOld = false
  for (const place of places) {
    const require = createRequire(place)
    try {
      if (isOlder(require, name, least)) isOld = true
      else return require(module)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') continue
      throw checks.refusal(`the package ${name} cannot be loaded; see the cause`, { cause })
    }
  }
  throw checks.refusal(isOld ? `${name} is older than ${least.join('.')}; npm i ${name}@${least[0]}` : cure)
}

/** `false` as well if nobody can tell. */
function isOlder(require: NodeJS.Require, name: string, [leastMajor, leastMinor]: Wanted['least']): boolean {
  let version: string
  try {
    version = (require(`${name}/package.json`) as { version: string }).version
  } catch {
    return false
  }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < leastMajor || (major === leastMajor && minor < leastMinor)
}
