import type { Found } from '../../store.ts'
import type { Instant, Milliseconds } from '../../units.ts'
import { notOurs } from '../envelope.ts'

/** Some stores cut off parts of a second, and would end a session early. */
const MARGIN: Milliseconds = 1000

/** The session object that an express-session store is given. Whatever else it adds to it is left alone. */
export interface ExpressSession {
  readonly cookie: ExpressCookie
  readonly record: string
  readonly version: number
  /** What counts; the cookie's end is only for the store, and a little later. */
  readonly expiresAt: Instant
}

/** What stores read to learn when a session ends: each reads another of these. */
class ExpressCookie {
  readonly originalMaxAge: Milliseconds
  readonly expires: Date
  readonly httpOnly = true
  readonly path = '/'

  constructor(expiresAt: Instant) {
    this.expires = new Date(expiresAt + MARGIN)
    this.originalMaxAge = this.maxAge
  }

  /** Not stored, as with express-session's own: it is true only now. */
  get maxAge(): Milliseconds {
    return this.expires.getTime() - Date.now()
  }
}

export function formatSession({ text, version, expiresAt }: Found): ExpressSession {
  return { cookie: new ExpressCookie(expiresAt), record: text, version, expiresAt }
}

export function parseSession(session: unknown): Found {
  const { record, version, expiresAt } = session as Partial<Record<string, unknown>>
  if (typeof record !== 'string' || !Number.isSafeInteger(version) || !Number.isFinite(expiresAt)) {
    throw notOurs()
  }
  return { text: record, version: version as number, expiresAt: expiresAt as number }
}
