import type { Instant, Milliseconds } from '../units.ts'

/** When the visitor of a session has last proved who they are, by the kind of the proof, such as `password`. */
export type Proofs = ReadonlyMap<string, Instant>

/** How far the clock of the node that noted a proof may be ahead of the clock of the node that asks. */
const MOST_AHEAD: Milliseconds = 60_000

/** A kind as it can stand in a header and in a list: a scope-token of RFC 6749, section 3.3. */
const KIND = /^[\x21\x23-\x5B\x5D-\x7E]{1,64}$/

/** Whether proofs can have this kind. */
export function isProofKind(value: unknown): value is string {
  return typeof value === 'string' && KIND.test(value)
}

/** The proofs, and those of these kinds made at this instant. The latest proof of a kind counts, whatever the clocks say. */
export function withProofs(proofs: Proofs | undefined, kinds: readonly string[], at: Instant): Proofs {
  return new Map([...(proofs ?? []), ...kinds.map((kind) => [kind, at] as const)])
}

/**
 * Whether there is a proof of one of these kinds that is no older than this. An instant ahead of this clock counts if the
 * clocks of two nodes may differ by so much, and no longer than one that is as far back.
 */
export function isProved(proofs: Proofs | undefined, kinds: readonly string[], within: Milliseconds): boolean {
  if (!proofs) return false
  const now = Date.now()
  return kinds.some((kind) => {
    const at = proofs.get(kind)
    return at !== undefined && now - at <= within && at - now <= Math.min(within, MOST_AHEAD)
  })
}
