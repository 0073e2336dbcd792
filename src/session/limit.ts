import type { Committed } from './commit-queue.ts'
import { SessionError, gone } from '../errors.ts'
import { successorIn } from '../record/marker.ts'
import { lastEndOf, merge, type SessionRecord, type Terms } from '../record/record.ts'
import { lookAt, visitKeys } from '../record/scan.ts'
import { compareTurns, turnAfter, turnOf, type Turn } from '../record/turn.ts'
import { isOf, type Whose } from '../record/whose.ts'
import type { Store } from '../store.ts'
import type { Key } from '../units.ts'
import { SignInQueue } from './sign-in-queue.ts'
import type { Life, Subjects } from './subjects.ts'
import { tooBusy } from './successors.ts'
import type { WorkingCopy } from './working-copy.ts'

/** What `identify` says of a session. */
export type Identity = Pick<Terms, 'subject' | 'label' | 'also'> & { readonly subject: string }

/** How many sessions a user may have at once, and what happens if one more comes. */
export interface Limit {
  readonly max: number
  readonly over: 'endOldest' | 'refuse'
}

type Lives = Map<Turn, Life>

type Write = (copy: WorkingCopy, apply: (record: SessionRecord) => SessionRecord) => Promise<Committed>

const NOTHING = new Map<string, undefined>()
/** A session that has moved on so often between two looks is moved on by somebody who does nothing else. */
const MAX_MOVES = 100
/** What is said of a session that a limit has ended: see `SessionMembers.endedBecause`. */
const BECAUSE = 'limit'

/**
 * Sign-ins with a limit. All sign-ins of a user stand in one order, which their records tell (see `Turn`). A sign-in
 * stores the identity, and the note of it, first. Then it looks for all of the user's sessions, past the cache, and ends
 * those beyond the limit: all but the newest, or all but the oldest if newcomers are refused.
 *
 * So the limit is exact, whoever races. At most `max` are left, because the sign-in that looks last sees all others: each
 * was stored and noted before its own look. And no fewer: a session that is among the newest of all is among the newest
 * of those that anybody sees, so nobody ends it. If a process dies between the two steps, the next sign-in makes up for it.
 */
export class Limits {
  readonly #source: Store
  readonly #subjects: Subjects
  readonly #write: Write
  readonly #queue = new SignInQueue()

  /** `source`: the store past its cache. `write`: changes a working copy's record. */
  constructor(source: Store, subjects: Subjects, write: Write) {
    this.#source = source
    this.#subjects = subjects
    this.#write = write
  }

  /**
   * Stores whose session this is, and nothing else that the request has changed. If that is refused, or fails, the session
   * is what it was, and what the request has changed and not stored is dropped: it may be what a signed-in visitor has.
   */
  async identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void> {
    this.#subjects.notes.assertCanList()
    return this.#queue.run(identity.subject, () => this.#identify(copy, identity, limit))
  }

  async #identify(copy: WorkingCopy, identity: Identity, limit: Limit): Promise<void> {
    const whose = { subject: identity.subject }
    let undo: (() => Promise<void>) | undefined
    try {
      const others = await this.#livesOf(whose)
      for (const [turn, { keys }] of others)
        if (keys.includes(copy.key) || turn === copy.record.turn) others.delete(turn)
      if (limit.over === 'refuse' && others.size >= limit.max) throw refused(limit)
      const { turn, before } = await this.#store(copy, identity, turnAfter(others.keys(), copy.key))
      undo = () => this.#takeBack(copy, turn, before)
      const isOver = await this.#endTheRest(copy, whose, turn, limit)
      if (!isOver) return
      if (limit.over === 'refuse') throw refused(limit)
      undo = undefined
      copy.end()
      throw overtaken(limit)
    } catch (error) {
      if (copy.isOpen) copy.reset()
      await undo?.()
      throw error
    }
  }

  async #store(copy: WorkingCopy, identity: Identity, next: Turn): Promise<{ turn: Turn; before: Partial<Terms> }> {
    let before: Partial<Terms> = {}
    let turn = next
    const committed = await this.#commit(copy, (record) => {
      const { subject, label, also } = record
      before = { subject, label, also, turn: record.turn }
      // Whoever says again whose session it is has not signed in once more.
      turn = subject === identity.subject ? turnOf(record, copy.key) : next
      return merge(record, { entries: NOTHING, terms: { ...identity, turn } })
    })
    if (!committed) throw gone()
    return { turn, before }
  }

  /** Undoes the sign-in. If the store fails, it stands: without what the handler was about to store, and until the next one. */
  async #takeBack(copy: WorkingCopy, turn: Turn, before: Partial<Terms>): Promise<void> {
    if (!copy.isOpen) return
    try {
      await this.#commit(copy, (record) =>
        record.turn === turn ? merge(record, { entries: NOTHING, terms: before }) : record,
      )
    } catch {} // the guard has reported it
  }

  async #commit(copy: WorkingCopy, apply: (record: SessionRecord) => SessionRecord): Promise<boolean> {
    const committed = await this.#write(copy, apply)
    if (typeof committed === 'string') return false
    copy.committed(committed.found, committed.record)
    return true
  }

  /** Ends what is beyond the limit; `true`: this very sign-in is. */
  async #endTheRest(copy: WorkingCopy, whose: Whose, own: Turn, { max, over }: Limit): Promise<boolean> {
    const lives = await this.#livesOf(whose)
    addTo(lives, own, copy.key, copy.record)
    const order = [...lives.values()].sort((one, other) => compareTurns(one.turn, other.turn))
    const rest = over === 'refuse' ? order.slice(max) : order.slice(0, -max)
    const isOver = rest.some(({ turn }) => turn === own)
    // The newcomer that is refused goes on as what it was before.
    const toEnd = rest.filter(({ turn }) => turn !== own || over === 'endOldest')
    const ended = await Promise.allSettled(toEnd.map((life) => this.#subjects.endLife(life, whose, BECAUSE)))
    const failed = ended.find((outcome) => outcome.status === 'rejected')
    if (failed) throw failed.reason
    return isOver
  }

  /**
   * The user's sessions that live, by their turns. One that is moving to a new id counts once, with both keys if both
   * records were met. A record that cannot be read is nobody's session as long as it cannot, so it takes no place.
   */
  async #livesOf(whose: Whose): Promise<Lives> {
    const lives: Lives = new Map()
    await visitKeys(this.#subjects.notes.keys(whose), async (noted) => {
      let key: Key | undefined = noted
      for (let moves = 0; key !== undefined; moves++) {
        if (moves > MAX_MOVES) throw tooBusy()
        const { found, record } = await lookAt(this.#source, key)
        if (typeof record === 'object') {
          if (isOf(record, whose) && lastEndOf(record) > Date.now()) addTo(lives, turnOf(record, key), key, record)
          return
        }
        key = record === undefined ? successorIn(found) : undefined
      }
    })
    return lives
  }
}

function addTo(lives: Lives, turn: Turn, key: Key, record: SessionRecord): void {
  const keys = lives.get(turn)?.keys ?? []
  lives.set(turn, { turn, record, keys: keys.includes(key) ? keys : [...keys, key] })
}

function refused({ max }: Limit): SessionError {
  return new SessionError(
    'ERR_SESSION_LIMIT',
    `This user has ${counted(max)} already, and session.identify was told to refuse more. Nothing of this request was ` +
      'stored. Offer to end one of them (sessions.list, sessions.revoke), and let the visitor sign in again.',
  )
}

function overtaken({ max }: Limit): SessionError {
  return new SessionError(
    'ERR_SESSION_LIMIT',
    `This user has signed in so often at this very moment that ${counted(max)} are newer than this one, which has ended. ` +
      'Let the visitor sign in again.',
  )
}

function counted(max: number): string {
  return max === 1 ? 'one session' : `${max} sessions`
}
