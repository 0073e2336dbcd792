import { SessionError } from '../errors.ts'
import { isProved, withProofs } from '../record/proofs.ts'
import type { Terms } from '../record/record.ts'
import type { Milliseconds } from '../units.ts'
import type { RegenerateOptions } from './member-options.ts'
import type { WorkingCopy } from './working-copy.ts'

/**
 * Gives the terms of the session that a regenerate makes, each time that it makes one: others may have written meanwhile.
 * All have one instant for what was proved: that of the call. Throws `ERR_SESSION_GONE` if a proof would be another user's,
 * because somebody has identified the session meanwhile.
 */
export function termsToCarry(
  copy: WorkingCopy,
  keep: RegenerateOptions['keep'],
  proved: RegenerateOptions['proved'],
): () => Partial<Terms> | undefined {
  const kept = (): Terms | undefined => (keep === true ? copy.terms : undefined)
  if (proved === undefined) return kept
  const kinds = kindsIn(proved)
  const provedAt = Date.now()
  const whose = kept()?.subject
  return () => {
    const terms = kept()
    if (terms?.subject !== whose) throw anothers()
    return { ...terms, proofs: withProofs(terms?.proofs, kinds, provedAt) }
  }
}

/** See `SessionMembers.provedWithin`. */
export function hasProved(copy: WorkingCopy, kinds: string | readonly string[], within: Milliseconds): boolean {
  return copy.phase !== 'destroyed' && isProved(copy.terms.proofs, kindsIn(kinds), within)
}

/** One kind, or a list of kinds, as a list. */
export function kindsIn(kinds: string | readonly string[]): readonly string[] {
  return typeof kinds === 'string' ? [kinds] : kinds
}

function anothers(): SessionError {
  return new SessionError(
    'ERR_SESSION_GONE',
    'Another request has made this session another user’s meanwhile, so the proof was not noted. Load the page again.',
  )
}
