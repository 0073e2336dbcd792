import type { Version } from '../../units.ts'

let last: Version = 0

/**
 * A new version: the clock's milliseconds with three random digits behind them, above `after` and above every version
 * that this process has given.
 *
 * A number that the database counts would need a row that every save waits for. And after a restore, or after a failover
 * that lost its tail, the database would count the same numbers again, for other contents.
 */
export function freshVersion(after: Version = 0): Version {
  last = Math.max(last + 1, after + 1, Date.now() * 1000 + Math.floor(Math.random() * 1000))
  return last
}
