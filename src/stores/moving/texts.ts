import { unreadable } from '../../errors.ts'
import type { Found } from '../../store.ts'
import type { Instant } from '../../units.ts'

/** A record that is still to be stored. */
export interface Draft {
  readonly text: string
  readonly expiresAt: Instant
}

/**
 * What a move leaves in a store. None of them is a session by itself: see `protocol.ts`.
 *
 * - `claim`, in the old store: a session that somebody is about to make.
 * - `pending`, in the new store: what a session is going to be. It counts once the note with its id stands in the old one.
 * - `note`, in the old store: the session is in the new one.
 */
export type Stand =
  | ({ readonly moving: 'claim' } & Draft)
  | ({ readonly moving: 'pending'; readonly id: string } & Draft)
  | { readonly moving: 'note'; readonly id: string }

/**
 * All of them begin as the marker of a session that was replaced a moment ago does. So a node that knows one of the two
 * stores only takes them for a session that is elsewhere: it neither reads nor replaces them.
 */
const HEAD = '{"replaced":1,"moving":'

/** What stands there, as text. */
export function formatStand({ moving, ...rest }: Stand): string {
  return JSON.stringify({ replaced: 1, moving, ...rest, at: Date.now(), wasHeld: true })
}

/** Whether a move has left this, so that it is no record. */
export function isStand({ text }: Found): boolean {
  return text.startsWith(HEAD)
}

/** What a move has left; `undefined` if it is a record, or nothing. Throws `ERR_SESSION_UNREADABLE`. */
export function standOf(found: Found | undefined): Stand | undefined {
  if (!found || !isStand(found)) return undefined
  const { moving, id, text, expiresAt } = documentIn(found.text)
  const isDraft = typeof text === 'string' && typeof expiresAt === 'number'
  if (moving === 'claim' && isDraft) return { moving, text, expiresAt }
  if (moving === 'pending' && isDraft && typeof id === 'string') return { moving, id, text, expiresAt }
  if (moving === 'note' && typeof id === 'string') return { moving, id }
  throw unreadable('it is the note of a session that moves, and not as this release writes it')
}

function documentIn(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    throw unreadable('it is the note of a session that moves, and was cut short')
  }
}
