import { SessionError } from '../errors.ts'
import type { Milliseconds } from '../units.ts'

const LONGEST_INTERVAL = 7 * 24 * 60 * 60 * 1000
const JITTER = 0.2

/** Options that only some other version knows would be ignored in silence; say so instead. */
export function refuseUnknown(owner: string, unknown: object): void {
  const names = Object.keys(unknown)
  if (names.length > 0) throw new SessionError('ERR_SESSION_OPTION', `${owner} has no option ${names.join(', ')}.`)
}

/**
 * Runs `prune` every `interval`, give or take a tenth, so that the processes of one host do not all sweep at once.
 * The timer keeps no process alive, runs never overlap, and a failure goes to `onError` and nowhere else.
 * `interval` 0 means never. Returns what stops it.
 */
export function pruneRegularly(
  interval: Milliseconds,
  prune: () => Promise<unknown>,
  onError: (error: unknown) => void,
): () => void {
  if (!(interval >= 0 && interval <= LONGEST_INTERVAL)) {
    throw new SessionError(
      'ERR_SESSION_OPTION',
      `pruneInterval must be from 0 (never) to ${LONGEST_INTERVAL} milliseconds (a week), not ${String(interval)}.`,
    )
  }
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
