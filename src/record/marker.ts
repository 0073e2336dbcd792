import { unreadable } from '../errors.ts'
import type { Found } from '../store.ts'
import { isKey, type Instant, type Key, type Milliseconds } from '../units.ts'
import { objectIn } from './object-in.ts'

/**
 * What stands under the key of a session that got a new id, for a minute; or of one that was ended by somebody who said
 * why, for a day. It holds nothing of the visitor's, and for everybody but a second sign-in it is no session.
 */
export interface Marker {
  readonly replacedAt: Instant
  /** The key of the session that took the place; `undefined` if nobody may follow it any more. */
  readonly successor: Key | undefined
  /** Whether the cookie of the replaced session had come back. Its id then says nothing about who carries an older one. */
  readonly wasHeld: boolean
  /** Whether the successor was still to be made when the marker was left. Absent means no. */
  readonly isPromise?: boolean
  /** Why the session was ended; `undefined` if it got a new id. */
  readonly endedBecause?: string | undefined
}

/** For how long a replaced id is known as replaced: the longest for which a browser's other requests are on their way. */
export const MARKER_LIFE: Milliseconds = 60_000

/** For how long a sign-in may take that finds its new session forbidden, or its place taken, when it is to be stored. */
export const PROMISE_LIFE: Milliseconds = 24 * 60 * 60_000

/** For how long a visitor can learn why the session has ended. */
export const END_MARKER_LIFE: Milliseconds = 24 * 60 * 60_000

/** No record begins with it. */
const HEAD = '{"replaced":'
const FORMAT = 1

/** Whether this is a marker, however old, and no record. */
export function isMarker({ text }: Found): boolean {
  return text.startsWith(HEAD)
}

/** The marker as text. */
export function formatMarker({ replacedAt, successor, wasHeld, isPromise = false, endedBecause }: Marker): string {
  const by = successor === undefined ? '' : `,"by":"${successor}"`
  const promise = isPromise ? ',"promise":true' : ''
  const because = endedBecause === undefined ? '' : `,"endedBecause":${JSON.stringify(endedBecause)}`
  return `${HEAD}${FORMAT},"at":${replacedAt}${by},"wasHeld":${wasHeld}${promise}${because}}`
}

/**
 * The marker of a session that was ended for this reason. It counts as one that was replaced long ago, so whoever knows
 * nothing of reasons finds no session, as if the record had been deleted.
 */
export function endMarker(endedBecause: string): Marker {
  return { replacedAt: 0, successor: undefined, wasHeld: false, endedBecause }
}

/** Why the session under this key was ended, if a marker says so. Never throws. */
export function endedBecauseIn(found: Found | undefined): string | undefined {
  if (!found || !isMarker(found)) return undefined
  try {
    return markerOf(found)?.endedBecause
  } catch {
    return undefined
  }
}

/** The key of the session that has taken this one's place, if a marker says so that still counts. */
export function successorIn(found: Found | undefined): Key | undefined {
  const marker = found && markerOf(found)
  return marker && isFresh(marker) ? marker.successor : undefined
}

/**
 * The marker that a store found; `undefined` if it is a record. Throws `ERR_SESSION_UNREADABLE` if it begins like a marker
 * and is none that this release knows.
 */
export function markerOf(found: Found): Marker | undefined {
  if (!isMarker(found)) return undefined
  const document = objectIn(found.text)
  if (!document) throw unreadable('it is a marker of a replaced session, and was cut short')
  const { replaced, at, by, wasHeld, promise, endedBecause } = document
  const isKnown =
    replaced === FORMAT &&
    typeof at === 'number' &&
    typeof wasHeld === 'boolean' &&
    (endedBecause === undefined || typeof endedBecause === 'string')
  if (!isKnown || !(by === undefined || isKey(by)))
    throw unreadable('it is a marker of a replaced session, and not as this release writes it')
  return { replacedAt: at, successor: by, wasHeld, isPromise: promise === true, endedBecause }
}

/**
 * Whether the marker still counts. The library judges by the marker's own instant, because a touch under way may have
 * extended it in the store. Clocks of nodes may disagree, so an instant that is far ahead counts no longer than one that
 * is as far back.
 */
export function isFresh({ replacedAt }: Marker): boolean {
  return Math.abs(Date.now() - replacedAt) < MARKER_LIFE
}
