import type { Instant, Milliseconds } from '../../units.ts'

const SECOND: Milliseconds = 1000
/** The server reads a greater number than this as Unix seconds. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60
/** The server reads the time of expiry as a signed number of 32 bits. */
const LATEST_ABSOLUTE = 2 ** 31 - 1
const ENDED = -1
const NEVER = 0

/**
 * The expiry that the server is given. It is always a little late, because the server counts whole seconds by a clock
 * that ticks once a second. The instant in the value decides; this number only lets the server free the memory.
 */
export function expiryForServer(expiresAt: Instant): number {
  const now = Date.now()
  if (expiresAt <= now) return ENDED
  const seconds = Math.ceil((expiresAt - now) / SECOND) + 1
  if (seconds <= LONGEST_RELATIVE) return seconds
  const absolute = Math.ceil(expiresAt / SECOND) + 1
  return absolute <= LATEST_ABSOLUTE ? absolute : NEVER
}
