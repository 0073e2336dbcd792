import { Checks } from '../checks.ts'
import { warnOnce } from '../diagnostics.ts'
import { isProofKind } from '../record/proofs.ts'
import { TIMEOUT_RULE, inWords, isShort, isTimeout } from '../record/timeouts.ts'
import { isPromise, type Milliseconds } from '../units.ts'
import { described } from './described.ts'

/*
 * The arguments that name a proof and its age, checked where they are written. No message shows a kind: it may be a
 * password in the wrong place.
 */

const OF_PROVE = new Checks('session.prove')
const OF_PROVED_WITHIN = new Checks('session.provedWithin')
const KIND_RULE = 'of 1 to 64 visible characters of ASCII other than " and \\'

/** Throws unless `prove` can take it. */
export function checkProve(kinds: unknown): asserts kinds is string | readonly string[] {
  checkKinds(OF_PROVE, kinds, "prove('password')")
}

/** Throws unless it is what an option `proved` can be. */
export function checkProved(checks: Checks, kinds: unknown): asserts kinds is string | readonly string[] {
  checkKinds(checks, kinds, "proved: 'password'")
}

/** Throws unless `provedWithin` can take these. Warns of a length that was hardly meant. */
export function checkProvedWithin(kinds: unknown, within: unknown): void {
  checkRequired(OF_PROVED_WITHIN, 'session.provedWithin', kinds, within)
}

/** The same for whoever asks. `call`: how it is written. */
export function checkRequired(
  checks: Checks,
  call: string,
  kinds: unknown,
  within: unknown,
): asserts kinds is string | readonly string[] {
  const example = `${call}('password', 10 * 60_000)`
  if (typeof kinds === 'number' && within !== undefined)
    throw checks.refusal(`the kind of the proof comes first, and then its age. Write ${example}.`)
  checkKinds(checks, kinds, example)
  checkAge(checks, call, example, within)
}

function checkKinds(checks: Checks, kinds: unknown, example: string): void {
  if (isPromise(kinds)) throw checks.refusal('the kind is a promise. Await it first.')
  const each: readonly unknown[] = Array.isArray(kinds) ? kinds : [kinds]
  if (each.length === 0) throw checks.refusal(`the list of kinds is empty. Write ${example}.`)
  for (const kind of each) {
    if (typeof kind !== 'string' || kind === '')
      throw checks.refusal(`the kind of a proof must be a string, not ${described(kind)}. Write ${example}.`)
    if (!isProofKind(kind)) throw checks.refusal(`the kind of a proof must be a word ${KIND_RULE}. Write ${example}.`)
  }
}

function checkAge(checks: Checks, call: string, example: string, within: unknown): asserts within is Milliseconds {
  if (within === undefined)
    throw checks.refusal(`how old the proof may be is missing: a number of milliseconds. Write ${example}.`)
  if (!isTimeout(within)) throw checks.refusal(`how old the proof may be ${TIMEOUT_RULE}. Write ${example}.`)
  if (!isShort(within)) return
  const code = 'SESSION_PROOF_SHORT'
  warnOnce(
    `${code} ${call}`,
    code,
    `${call}: a proof counts for ${inWords(within)} only. Were seconds or minutes meant? Ten minutes are 10 * 60_000.`,
  )
}
