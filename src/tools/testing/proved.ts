import { Checks } from '../../checks.ts'
import { withProofs } from '../../record/proofs.ts'
import type { Terms } from '../../record/record.ts'
import { checkProved } from '../../session/proof-arguments.ts'
import { kindsIn } from '../../session/proving.ts'

/** What the visitor of a test has proved. */
export interface Proved {
  /** What the visitor has proved just now, such as `'password'`, or a list: see `session.prove`. Default: nothing. */
  proved?: string | readonly string[]
}

/** What a session begins with whose visitor has proved this; `undefined`: nothing. Throws `ERR_SESSION_OPTION`. */
export function provedTerms(asker: string, options: Proved): Partial<Terms> | undefined {
  const checks = new Checks(asker)
  checks.object('the last argument', options, "must be an object: write { proved: 'password' }")
  checks.names(options, ['proved'])
  const { proved } = options
  if (proved === undefined) return undefined
  checkProved(checks, proved)
  return { proofs: withProofs(undefined, kindsIn(proved), Date.now()) }
}
