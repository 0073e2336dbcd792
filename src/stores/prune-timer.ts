import type { Checks } from '../checks.ts'
import type { Milliseconds } from '../units.ts'

const LONGEST_INTERVAL = 7 * 24 * 60 * 60 * 1000
const JITTER = 0.2

/** The interval that was asked for, or the usual one. */
export function checkedInterval(checks: Checks, interval: unknown, usual: Milliseconds): Milliseconds {
  if (interval === undefined) return usual
  if (typeof interval === 'number' && interval >= 0 && interval <= LONGEST_INTERVAL) return interval
  throw checks.wrong('pruneInterval', `must be from 0 (never) to ${LONGEST_INTERVAL} milliseconds (a week)`, interval)
}

/**
 * Runs `prune` every `interval`, give or take a tenth, so that the processes of one host do not all prune at once.
 * The timer keeps no process alive, no run begins before the last one has ended, and a failure goes to `onError` and
 * nowhere else. With an interval of 0 it never runs. Returns the function that stops it.
 */
export function pruneRegularly(
  interval: Milliseconds,
  prune: () => Promise<unknown>,
  onError: (error: unknown) => void,
): () => void {
  if (interval === 0) return () => {}

  let stopped = false
  let timer = schedule()
  return () => {
    stopped = true
    clearTimeout(timer)
  }

  function schedule(): NodeJS.Timeout {
    return setTimeout(run, interval * (1 - JITTER / 2 + Math.random() * JITTER)).unref()
  }

  function run(): void {
    prune()
      .catch(onError)
      .finally(() => {
        if (!stopped) timer = schedule()
      })
  }
}
