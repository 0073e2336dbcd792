import type { Milliseconds } from '../../units.ts'

/** Longest wait between two attempts to connect. */
const SLOWEST_RETRY: Milliseconds = 1000

/** How long to wait before the next attempt to connect, after so many that have failed. */
export function retryDelay(attempts: number): Milliseconds {
  return Math.min(20 * 2 ** Math.min(attempts - 1, 10), SLOWEST_RETRY) * (0.75 + Math.random() / 2)
}
