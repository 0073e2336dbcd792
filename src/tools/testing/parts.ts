import { Checks } from '../../checks.ts'
import { keysNotSeenYet } from '../../http/keyring.ts'
import { partsOf, type Parts } from '../../sessions.ts'

/** What the middleware is made of, once it has its keys. Throws `ERR_SESSION_OPTION`. `asker`: for whom. */
export function partsFor(asker: string, sessions: unknown): Parts {
  const checks = new Checks(asker)
  const parts = typeof sessions === 'function' ? partsOf(sessions) : undefined
  if (!parts)
    throw checks.refusal(
      'it takes what session() returned: const sessions = session({ … }). If that is what you pass, it is of another ' +
        'version of this package (see npm ls koa-server-session).',
    )
  if (!parts.services.cookie.hasKeys) throw keysNotSeenYet(asker)
  return parts
}
