import { Checks } from '../../checks.ts'
import { lookUp } from '../../http/lookup.ts'
import { SocketHost } from '../../http/socket-host.ts'
import { described } from '../../session/described.ts'
import { Lifecycle } from '../../session/lifecycle.ts'
import { sessionOf } from '../../session/object.ts'
import type { SessionData } from '../../session/data.ts'
import type { Session } from '../../session/types.ts'
import type { Sessions } from '../../sessions.ts'
import { partsFor } from './parts.ts'

/**
 * The session that this cookie names, as it is stored now, past every cache; `undefined` if none lives. It does not count
 * as a use, so it extends nothing. Changes are stored by `update` and `save`.
 *
 * ```ts
 * const session = await readSession(sessions, ada)
 * assert.equal(session?.cart?.items.length, 1)
 * ```
 *
 * `cookie`: what `signIn` has given, a header Cookie, or the headers Set-Cookie of a response, such as
 * `response.headers.getSetCookie()` of fetch and `response.headers['set-cookie']` of supertest. Rejects with
 * `ERR_SESSION_OPTION` if it is anything else, or if the keys are the application's and no request has shown them yet,
 * and with `ERR_SESSION_STORE_UNAVAILABLE` if the store fails.
 */
export async function readSession<Data extends object = SessionData>(
  sessions: Sessions<Data>,
  cookie: string | readonly string[] | { readonly cookie: string } | undefined,
): Promise<Session<Data> | undefined> {
  const { options, services, stack } = partsFor('readSession', sessions)
  const { lifecycle, diagnostics, identity } = services
  const pastTheCache = new Lifecycle({ ...stack, front: stack.source, hit: () => undefined }, options, diagnostics)
  const visit = await lookUp({ ...services, lifecycle: pastTheCache }, headerOf(cookie))
  if (!visit || !('found' in visit)) return undefined
  const host = new SocketHost(lifecycle, diagnostics, identity.owner)
  return sessionOf(lifecycle.open(host, visit.cookie.key, visit.found)) as Session<Data>
}

/** A header Set-Cookie begins as a header Cookie does, and its attributes are no cookies of ours. */
function headerOf(cookie: unknown): string | undefined {
  if (cookie === undefined || typeof cookie === 'string') return cookie
  if (Array.isArray(cookie) && cookie.every((line) => typeof line === 'string')) return cookie.toReversed().join('; ')
  const { cookie: header } = (cookie ?? {}) as { cookie?: unknown }
  if (typeof header === 'string') return header
  throw new Checks('readSession').refusal(
    `the cookie must be what signIn has given, a header Cookie, or a list of headers Set-Cookie, not ${described(cookie)}.`,
  )
}
