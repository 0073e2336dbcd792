import type { Found } from '../../store.ts'
import type { Instant, Milliseconds } from '../../units.ts'
import { notOurs } from '../envelope.ts'

/** Some stores cut off parts of a second, and would end a session early. */
const MARGIN: Milliseconds = 1000

/** The session object that an express-session store keeps. What the store adds to it is left alone. */
export interface ExpressSession {
  readonly cookie: ExpressCookie
  readonly record: string
  readonly version: number
  /** The end that counts. The cookie's end is for the store only, and a little later. */
  readonly expiresAt: Instant
}

/** The members from which stores learn when a session ends. Each store reads another one. */
class ExpressCookie {
  readonly originalMaxAge: Milliseconds
  readonly expires: Date
  readonly httpOnly = true
  readonly path = '/'

  constructor(expiresAt: Instant) {
    this.expires = new Date(expiresAt + MARGIN)
    this.originalMaxAge = this.maxAge
  }

  /** Not stored, as in express-session itself, because it is true only now. */
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
