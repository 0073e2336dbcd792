import { lastSeenAt } from '../record/record.ts'
import { visitRecords, type Sighting } from '../record/scan.ts'
import { isOf, type Whose } from '../record/whose.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import { NOT_FOUND, type Call, type ExitCode } from './command.ts'
import type { Progress } from './progress.ts'
import type { OpenStore, StoredFound } from './store.ts'

/** One session, as `--json` prints it. What could not be read is absent. */
export interface SessionLine {
  readonly id: Key
  readonly createdAt?: Instant
  readonly lastSeenAt?: Instant
  readonly expiresAt?: Instant
  readonly subject?: string
  readonly label?: string
  readonly also?: Readonly<Record<string, string>>
  /** The length of the record in the store. */
  readonly bytes?: number
  readonly state?: 'encrypted' | 'unreadable'
}

/** Everything about a session except for its data; `undefined` if there is no such session. */
export function lineOf({ key, found, record }: Sighting): SessionLine | undefined {
  if (record === undefined) return undefined
  const stored = found as StoredFound | undefined
  const known = stored && { expiresAt: stored.expiresAt, bytes: stored.bytes }
  if (record === 'unreadable') {
    return { id: key, ...known, state: stored?.whyEncrypted === undefined ? 'unreadable' : 'encrypted' }
  }
  const { createdAt, subject, label, also } = record
  return {
    id: key,
    createdAt,
    ...(known && { lastSeenAt: lastSeenAt(record, known.expiresAt) }),
    ...known,
    ...(subject !== undefined && { subject }),
    ...(label !== undefined && { label }),
    ...(also !== undefined && { also }),
  }
}

/** How long ago the session was created; `undefined` if its record cannot be read. */
export function ageOf({ createdAt }: SessionLine): Milliseconds | undefined {
  return createdAt === undefined ? undefined : Math.max(0, Date.now() - createdAt)
}

/**
 * Visits the sessions that have all of these names, and the records that cannot be read and may have them. With the index
 * of an application, only its notes are visited; without, all records of the store.
 */
export async function visitWhose(
  store: OpenStore,
  whose: Whose,
  signal: AbortSignal,
  progress: Progress | undefined,
  visit: (sighting: Sighting) => Promise<void>,
): Promise<void> {
  if (store.hasIndex) return store.subjects.visit(whose, visit)
  return visitAll(store, signal, progress, 'Looking at sessions', async (sighting) => {
    const { record } = sighting
    if (record === 'unreadable' || (record && isOf(record, whose))) await visit(sighting)
  })
}

/** Visits all sessions of the store. If somebody sees the bar, they are counted first. */
export async function visitAll(
  { store }: OpenStore,
  signal: AbortSignal,
  progress: Progress | undefined,
  label: string,
  visit: (sighting: Sighting) => Promise<void>,
): Promise<void> {
  const keys = (): AsyncIterable<Key> => store.keys?.() ?? nothing()
  if (progress?.isSeen) {
    let total = 0
    for await (const _ of keys()) {
      if (signal.aborted) return
      progress.step()
      total++
    }
    progress.next(label, total)
  }
  const visitOne = async (sighting: Sighting): Promise<void> => {
    await visit(sighting)
    progress?.step()
  }
  await visitRecords(store, keys(), visitOne, signal)
}

async function* nothing(): AsyncGenerator<Key> {}

/** Whether the store can list its sessions. */
export function canList({ store }: OpenStore): boolean {
  return store.keys !== undefined
}

/** Says that the store cannot list its sessions, and which commands work with it. */
export function cannotList({ terminal }: Call, { name }: OpenStore): ExitCode {
  terminal.say(
    `koa-server-session: ${name} cannot tell which sessions it holds. What works with it: show ID, revoke ID, secret.`,
  )
  return NOT_FOUND
}

/** The sentence for a store without sessions, or without a session that has all of these names. */
export function noneIn({ name, hasIndex }: OpenStore, whose: Whose | undefined): string {
  if (whose === undefined) return `There is no live session in ${name}.`
  const isUser = Object.keys(whose).join() === 'subject'
  const where = isUser
    ? `This user has no live session in ${name}`
    : `No live session in ${name} has all of these names`
  return hasIndex
    ? `${where}, if --cookie is the application’s cookie.name and SESSION_KEY its key. Without --cookie, all sessions are looked at.`
    : `${where}.`
}
