import { randomBytes } from 'node:crypto'
import { digestOf } from './digest.ts'
import type { Entry } from './entry.ts'

/*
 * The notices of a session: what `flash` left for the request that asks for it.
 *
 * A notice has an id. So a request takes away those that it was shown, and never one with the same text that was left
 * meanwhile; and a save that is repeated, because nobody knows whether the first one was stored, leaves none twice.
 */

export interface Notice {
  readonly id: string
  readonly entry: Entry
}

/** By key, oldest first. No list is empty. */
export type Notices = ReadonlyMap<string, readonly Notice[]>

/** How many notices of one key wait at most. */
const MOST_OF_A_KEY = 100
const ID_BYTES = 6

export function newNoticeId(): string {
  return randomBytes(ID_BYTES).toString('base64url')
}

/** A notice as releases wrote it that knew no ids. All readers give it the same one. */
export function noticeWithoutId(key: string, entry: Entry): Notice {
  return { id: digestOf(key, entry), entry }
}

/** What a request did to the notices of a record. */
export interface NoticeChanges {
  /** What it left, for each key in the order of leaving. */
  readonly flash?: Notices
  /** The ids of those that it was shown. */
  readonly flashSeen?: ReadonlySet<string>
}

/** The notices with these changes; the very same ones if nothing is changed. */
export function mergeNotices(notices: Notices, { flash: left, flashSeen: seen }: NoticeChanges): Notices {
  if (!left && !seen) return notices
  const merged = new Map(notices)
  let isSame = true
  const put = (key: string, list: readonly Notice[]): void => {
    if (list.length === merged.get(key)?.length) return
    isSame = false
    if (list.length > 0) merged.set(key, list)
    else merged.delete(key)
  }
  if (seen) for (const [key, list] of notices) put(key, without(list, seen))
  for (const [key, added] of left ?? []) {
    const list = merged.get(key) ?? []
    put(key, [...list, ...without(added, idsOf(list))])
  }
  if (isSame) return notices
  for (const [key, list] of merged) if (list.length > MOST_OF_A_KEY) merged.set(key, list.slice(-MOST_OF_A_KEY))
  return merged
}

function without(list: readonly Notice[], ids: ReadonlySet<string>): readonly Notice[] {
  return list.filter(({ id }) => !ids.has(id))
}

function idsOf(list: readonly Notice[]): ReadonlySet<string> {
  return new Set(list.map(({ id }) => id))
}

/** The newer half of the notices of each key; `undefined` if no key has several. */
export function newerHalf(notices: Notices): Notices | undefined {
  const halves = new Map(Array.from(notices, ([key, list]) => [key, list.slice(Math.floor(list.length / 2))] as const))
  return [...notices].some(([, list]) => list.length > 1) ? halves : undefined
}

/** Whether the next notice of some key drops its oldest one. */
export function isFull(notices: Notices): boolean {
  if (notices.size === 0) return false
  for (const list of notices.values()) if (list.length >= MOST_OF_A_KEY) return true
  return false
}
