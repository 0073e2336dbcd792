import type { Instant, Milliseconds } from '../../units.ts'

const SECOND: Milliseconds = 1000
/** The server takes a greater number than this for Unix seconds. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60
/** The server reads the time of expiry as a signed number of 32 bits. */
const LATEST_ABSOLUTE = 2 ** 31 - 1
const ENDED = -1
const NEVER = 0

/**
 * The end as the server is told of it: always a little late, because the server counts whole seconds by a clock that
 * ticks once a second. The digits in the value decide; this number only lets the server have its memory back.
 */
export function expiryForServer(expiresAt: Instant): number {
  const now = Date.now()
  if (expiresAt <= now) return ENDED
  const seconds = Math.ceil((expiresAt - now) / SECOND) + 1
  if (seconds <= LONGEST_RELATIVE) return seconds
  const absolute = Math.ceil(expiresAt / SECOND) + 1
  return absolute <= LATEST_ABSOLUTE ? absolute : NEVER
}
