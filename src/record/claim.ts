import { unreadable } from '../errors.ts'
import type { Found } from '../store.ts'
import { objectIn } from './object-in.ts'
import { isKey, type Instant, type Key } from '../units.ts'

/**
 * What stands for a session of another library from when it is taken over: which session of ours takes its place, and how
 * far that is. It begins as a marker does, so that whoever looks through the records passes over it.
 */
export interface Claim {
  readonly at: Instant
  /** The key of the session that takes the place. */
  readonly key: Key
  /** What makes the token of that session another one at each attempt. It is no secret. */
  readonly nonce: string
  /**
   * - `begun`: one request makes the session. Nobody else may.
   * - `made`: the session is stored. The old one is to be ended, by whoever comes first.
   * - `done`: the old session has ended. From here on, the session may be handed out.
   */
  readonly stage: Stage
}

type Stage = (typeof STAGES)[number]

const STAGES = ['begun', 'made', 'done'] as const

/** The claim as text. */
export function formatClaim({ at, key, nonce, stage }: Claim): string {
  return JSON.stringify({ replaced: 1, at, by: key, wasHeld: true, nonce, stage })
}

/** The claim that a store found. Throws `ERR_SESSION_UNREADABLE` if it is none that this release knows. */
export function claimOf({ text }: Found): Claim {
  const { replaced, at, by, nonce, stage } = objectIn(text) ?? {}
  const isKnown = replaced === 1 && typeof at === 'number' && typeof nonce === 'string'
  if (isKnown && isKey(by) && isStage(stage)) return { at, key: by, nonce, stage }
  throw unreadable('it is no note of a session that was taken over from another library')
}

function isStage(stage: unknown): stage is Stage {
  return (STAGES as readonly unknown[]).includes(stage)
}
