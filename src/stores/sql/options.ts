import type { Checks } from '../../checks.ts'
import { warn } from '../../diagnostics.ts'
import type { Milliseconds } from '../../units.ts'
import { checkedInterval } from '../prune-timer.ts'
import { checkedDeadline, numberIn } from '../store-options.ts'

/** What all SQL stores can be told. */
export interface SqlOptions {
  readonly table?: string
  readonly deadline?: Milliseconds
  readonly pruneInterval?: Milliseconds
  readonly onError?: (error: unknown) => void
}

export interface CheckedSqlOptions {
  readonly table: string
  readonly deadline: Milliseconds
  readonly pruneInterval: Milliseconds
  readonly onError: (error: unknown) => void
}

const QUARTER_OF_AN_HOUR: Milliseconds = 15 * 60_000
const TABLE = /^[a-z_]\w{0,47}$/i
const TABLE_IN_SCHEMA = /^(?:[a-z_]\w{0,47}\.)?[a-z_]\w{0,47}$/i

/** `query`: what the URL said. An argument takes precedence over the URL. `schemas`: whether a schema may be named. */
export function checkedSqlOptions(
  checks: Checks,
  name: string,
  options: SqlOptions,
  query: ReadonlyMap<string, string> | undefined,
  schemas: boolean,
): CheckedSqlOptions {
  const { table = query?.get('table') ?? 'sessions', onError = warnOf(name) } = options
  if (typeof table !== 'string' || !(schemas ? TABLE_IN_SCHEMA : TABLE).test(table)) {
    const form = schemas ? 'sessions or app.sessions' : 'sessions'
    throw checks.wrong('table', `must be a name like ${form}: letters, digits and _, at most 48`, table)
  }
  checks.callable('onError', onError)
  return {
    table,
    deadline: checkedDeadline(checks, options.deadline ?? numberIn(query, 'deadline')),
    pruneInterval: checkedInterval(
      checks,
      options.pruneInterval ?? numberIn(query, 'pruneInterval'),
      QUARTER_OF_AN_HOUR,
    ),
    onError,
  }
}

/** The number of connections of a pool of our own. */
export function checkedPoolSize(checks: Checks, poolSize: unknown = 10): number {
  if (Number.isSafeInteger(poolSize) && (poolSize as number) > 0 && (poolSize as number) <= 1000)
    return poolSize as number
  throw checks.wrong('poolSize', 'must be a whole number from 1 to 1000', poolSize)
}

/** A URL without the options that are ours, and these. No message repeats any part of it, since it may hold a password. */
export function parseServerUrl(
  checks: Checks,
  text: string,
  ours: readonly string[],
  form: string,
): { url: string; query: ReadonlyMap<string, string> } {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw checks.refusal(`the URL is not of a known form: ${form} (a password goes percent-encoded before the @)`)
  }
  const query = new Map<string, string>()
  for (const name of ours) {
    const value = url.searchParams.get(name)
    if (value !== null) query.set(name, value)
    url.searchParams.delete(name)
  }
  return { url: url.href, query }
}

function warnOf(name: string): (error: unknown) => void {
  return (error) =>
    warn('SESSION_PRUNE_FAILED', `${name} could not remove what has expired: ${(error as Error).message}`)
}
