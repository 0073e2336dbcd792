import type Koa from 'koa'
import { Checks } from '../checks.ts'
import { unproved, type RequiredProof, type SessionError } from '../errors.ts'
import { inWords } from '../record/timeouts.ts'
import { checkRequired } from '../session/proof-arguments.ts'
import { kindsIn } from '../session/proving.ts'
import type { Milliseconds } from '../units.ts'
import { DEFAULT_PROPERTY, holderUnder, noSessionHere } from './context.ts'
import { checkProperty } from './property-name.ts'

/** Whose proofs `requireProof` asks for. */
export interface RequireProofOptions {
  /** The option `property` of the session middleware whose session it is. Default: that of `ctx.session`. */
  property?: string
}

const checks = new Checks('requireProof')

/**
 * A middleware for what only a visitor may do who has proved lately who they are (ASVS 5.0 7.5.1, 7.5.3): lets a request
 * through if `session.provedWithin(kinds, within)`, and answers 403 otherwise. Of several kinds, any one will do:
 *
 * ```ts
 * app.use(requireProof(['password', 'passkey'], 10 * 60_000))
 * ```
 *
 * It throws a `SessionError` with the code `ERR_SESSION_PROOF`, whose `proof` says which kinds and which age, so that a
 * middleware above can catch it and lead the visitor to the page that asks. If nobody catches it, Koa answers 403 with a
 * sentence, and with a header `WWW-Authenticate`, which scripts can read. It says `insufficient_user_authentication`,
 * `acr_values` (the kinds) and `max_age` (in seconds), in the words of RFC 9470.
 *
 * It must be below the session middleware. A request that has no session there, such as one that `skip` leaves out, is
 * answered with `ERR_SESSION_NO_CONTEXT`, because its visitor could never prove anything.
 *
 * Throws `ERR_SESSION_OPTION` if an argument is wrong. Warns once of a length below ten seconds.
 */
export function requireProof(
  kinds: string | readonly string[],
  within: Milliseconds,
  options: RequireProofOptions = {},
): (ctx: Koa.ParameterizedContext, next: Koa.Next) => Promise<void> {
  if (isContext(kinds))
    throw checks.refusal(
      "app.use(requireProof) passes the function itself. Write requireProof('password', 10 * 60_000).",
    )
  checkRequired(checks, 'requireProof', kinds, within)
  const property = propertyIn(options)
  const required: RequiredProof = Object.freeze({ kinds: Object.freeze([...kindsIn(kinds)]), within })

  return (ctx, next) => {
    const { session } = holderUnder(ctx, property) ?? noSessionHere(property)
    if (!session.provedWithin(required.kinds, required.within)) throw refusalOf(required)
    return next()
  }
}

function refusalOf(required: RequiredProof): SessionError {
  const { kinds, within } = required
  const message = `Prove who you are by ${kinds.join(' or ')}, and try again: it must be no longer than ${inWords(within)} ago.`
  const challenge =
    `Session error="insufficient_user_authentication", error_description="${message}", ` +
    `acr_values="${kinds.join(' ')}", max_age="${Math.ceil(within / 1000)}"`
  return unproved(message, required, { 'WWW-Authenticate': challenge })
}

function isContext(kinds: unknown): boolean {
  return typeof kinds === 'object' && kinds !== null && 'req' in kinds && 'res' in kinds
}

function propertyIn(options: RequireProofOptions): string {
  checks.object('the third argument', options, "must be an object: write { property: 'admin' } for ctx.admin")
  checks.names(options, ['property'])
  const { property = DEFAULT_PROPERTY } = options
  checkProperty(checks, property)
  return property
}
