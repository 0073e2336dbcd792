import { SessionError, isSessionError } from '../../errors.ts'
import type { Deleted, Found, Saved, Store } from '../../store.ts'
import { thisMoment, timeSince, type Instant, type Key, type Milliseconds, type Moment } from '../../units.ts'
import { isLocated, located, type Located, type StorePlace } from './located.ts'
import { formatStand, isStand, standOf, type Draft, type Stand } from './texts.ts'

/*
 * One session in two stores, each of which replaces one version by another in one step, and neither of which knows the
 * other. At each moment the session is one of:
 *
 * - the record in `to`, if there is one;
 * - the record in `from`, if there is one; never are there both;
 * - what is pending in `to`, if the note with the same id stands in `from`.
 *
 * A save moves a session in three steps:
 *
 * 1. In `to`, a pending record is made, with the new text and an id that nobody has used before. So far nothing has
 *    happened: the record in `from` is the session.
 * 2. In `from`, the note with this id takes the place of the record, if that is still the version which the save knows.
 *    This is the save. From here on the pending record is the session, and whoever meets both finishes the move.
 * 3. In `to`, the text takes the place of the pending record, if that is still there.
 *
 * A process may stop for good, or for a long time, between any two of them:
 *
 * - Nobody brings a session back, because a pending record is made once, by the one who invented its id, and step 3
 *   replaces that very record. An end waits for nobody: it does step 3 itself, and then deletes the record.
 * - No session is lost, because a pending record is removed only by someone who has seen it, and has then replaced or
 *   removed the record in `from`. Its step 2 can then never succeed any more.
 * - Whoever finds another's pending record in the way saves in `from` instead, and the session moves another time. So
 *   nobody waits for anybody, and nobody else takes step 2 of a save, whose own process could not tell then whether it
 *   had happened.
 *
 * A session is made by a claim, which is created in `from`, and by a save as above in its place: of the version that the
 * claim has. So all creators of one key meet in `from`, whichever store they write to. A claim is no session, and holds
 * the text of what is to be made. If another creator meets it, that one makes the session from it. A claim is removed by
 * its own creator only, who has seen a record in `to`. Therefore a creator who finds it gone knows that the session was
 * made from it.
 *
 * The note stays for twice as long as the session would live if nobody used it: it keeps the session in the list of its
 * user's in `from` until the library has noted it anew, which it does whenever a session is extended.
 */

/** For how long a claim counts. A creator that took longer cannot know what has become of it. */
const CLAIM_LIFE: Milliseconds = 60_000

/** What became of a write onto what is in `from`: done, or what was in its way. */
type Written =
  | { readonly saved: Located; readonly note?: Found }
  | { readonly saved?: never; readonly there: Found }
  | { readonly saved?: never; readonly there?: never; readonly here: Found | undefined }

/** The sessions of two stores: see above. */
export class TwoStores {
  readonly #from: Store
  readonly #to: Store
  readonly #moves: boolean
  readonly #newId: () => string

  /** `writesTo`: where new sessions are made, and whether those of `from` move. */
  constructor(from: Store, to: Store, writesTo: StorePlace, newId: () => string) {
    this.#from = from
    this.#to = to
    this.#moves = writesTo === 'to'
    this.#newId = newId
  }

  /** See `Store.load`. */
  async load(key: Key, known?: Located, largest: number = Infinity): Promise<Located | undefined> {
    const knownIn = (place: StorePlace): Found | undefined => (known?.place === place ? known.inner : undefined)
    // A text takes up to twice its length in a pending record, because it is quoted.
    let there = await this.#to.load(key, knownIn('to'), largest * 2)
    for (;;) {
      if (there && !isStand(there)) return located('to', there, known)
      const here = await this.#from.load(key, knownIn('from'), largest * 2)
      if (here && !isStand(here)) return located('from', here, known)
      const left = standOf(here)
      const finished = there && (await this.#finish(key, there, left))
      if (finished) return finished
      // It may have moved between the two questions.
      const again: Found | undefined = await this.#to.load(key, undefined, largest * 2)
      if (again?.text === there?.text) return undefined
      there = again
    }
  }

  /** See `Store.save`. */
  async save(key: Key, text: string, expiresAt: Instant, expected: Found | undefined): Promise<Saved> {
    if (!expected) return this.#create(key, { text, expiresAt })
    if (!isLocated(expected)) return this.#insteadOf(key, 'to', undefined)
    if (expected.place === 'from') {
      const written = await this.#write(key, { text, expiresAt }, expected.inner)
      if (written.saved) return { saved: written.saved }
      if (written.there) return { conflict: located('to', written.there) }
      return this.#insteadOf(key, 'from', written.here)
    }
    const { saved, conflict } = await this.#to.save(key, text, expiresAt, expected.inner)
    return saved ? { saved: located('to', saved) } : this.#insteadOf(key, 'to', conflict)
  }

  /** See `Store.touch`. A touch of what is no session any more comes before what has made it so. */
  async touch(key: Key, expiresAt: Instant): Promise<boolean> {
    for (;;) {
      const found = await this.load(key)
      if (!found) return false
      if (await this.#at(found.place).touch(key, expiresAt)) return true
    }
  }

  /** See `Store.delete`. */
  async delete(key: Key, expected?: Found): Promise<Deleted> {
    if (expected && !isLocated(expected)) return (await this.load(key)) ?? false
    let known: Located | undefined
    try {
      known = expected ?? (await this.load(key))
    } catch (error) {
      if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
      const there = await this.#to.delete(key)
      const here = await this.#from.delete(key)
      return there === true || here === true
    }
    while (known) {
      const left = known.place === 'to' ? await this.#deleteThere(key, known.inner) : await this.#deleteHere(key, known)
      if (left === true || expected) return left ?? false
      known = left
    }
    return false
  }

  /** Removes a record of `to`: `true`, or the session as it now stands. */
  async #deleteThere(key: Key, inner: Found): Promise<true | Located | undefined> {
    const beside = await this.#from.load(key)
    const deleted = await this.#to.delete(key, inner)
    if (deleted === true) {
      // The note; or a record, if somebody has copied the sessions before they moved, which would bring this one back.
      if (beside && standOf(beside)?.moving !== 'claim') await this.#from.delete(key, beside)
      return true
    }
    return deleted && !isStand(deleted) ? located('to', deleted) : this.load(key)
  }

  /** Removes a record of `from`: as above. */
  async #deleteHere(key: Key, { inner }: Located): Promise<true | Located | undefined> {
    const beside = await this.#to.load(key)
    const deleted = await this.#from.delete(key, inner)
    if (deleted === true) {
      // A move that has not happened, and cannot any more. What it was to write is not kept for longer than the session.
      if (beside && isStand(beside)) await this.#to.delete(key, beside)
      return true
    }
    return deleted && !isStand(deleted) ? located('from', deleted) : this.load(key)
  }

  #at(place: StorePlace): Store {
    return place === 'to' ? this.#to : this.#from
  }

  /** The answer to a save that met this instead of what it knew. */
  async #insteadOf(key: Key, place: StorePlace, met: Found | undefined): Promise<Saved> {
    const conflict = met && !isStand(met) ? located(place, met) : await this.load(key)
    return conflict ? { conflict } : { gone: true }
  }

  /** The third step of a move, if this note belongs to it. `undefined`: it is not to be taken, or somebody was faster. */
  async #finish(key: Key, pending: Found, note: Stand | undefined): Promise<Located | undefined> {
    const draft = standOf(pending)
    if (draft?.moving !== 'pending' || note?.moving !== 'note' || note.id !== draft.id) return undefined
    const { saved, conflict } = await this.#to.save(key, draft.text, draft.expiresAt, pending)
    const found = saved ?? conflict
    return found && !isStand(found) ? located('to', found) : undefined
  }

  /** Writes onto what is in `from`, a record or a claim, and moves it if that is due. */
  async #write(key: Key, draft: Draft, here: Found): Promise<Written> {
    let inTheWay: Found | undefined
    if (this.#moves) {
      const id = this.#newId()
      const { text, expiresAt } = draft
      const pendingText = formatStand({ moving: 'pending', id, text, expiresAt })
      const { saved: pending, conflict } = await this.#to.save(key, pendingText, expiresAt, undefined)
      if (pending) return this.#move(key, draft, here, pending, id)
      inTheWay = conflict
    } else if (isStand(here)) inTheWay = await this.#to.load(key)
    if (inTheWay && !isStand(inTheWay)) return { there: inTheWay }
    const { saved, conflict } = await this.#from.save(key, draft.text, draft.expiresAt, here)
    if (!saved) return { here: conflict }
    if (inTheWay) await this.#tidy(this.#to, key, inTheWay)
    return { saved: located('from', saved) }
  }

  /** The second and the third step of a move. */
  async #move(key: Key, draft: Draft, here: Found, pending: Found, id: string): Promise<Written> {
    const now = Date.now()
    const end = now + 2 * (draft.expiresAt - now)
    const { saved: note, conflict } = await this.#from.save(key, formatStand({ moving: 'note', id }), end, here)
    if (!note) {
      await this.#tidy(this.#to, key, pending)
      return { here: conflict }
    }
    const { text, expiresAt } = draft
    const { saved, conflict: other } = await this.#to.save(key, text, expiresAt, pending)
    // Somebody else may have finished it, and others may have written since. This save then is what was pending.
    const found = saved ?? (other?.text === text ? other : { ...pending, text })
    return { saved: located('to', found), note }
  }

  async #create(key: Key, draft: Draft): Promise<Saved> {
    const claimText = formatStand({ moving: 'claim', ...draft })
    for (;;) {
      const began = thisMoment()
      const end = Math.min(began.wall + CLAIM_LIFE, draft.expiresAt)
      const { saved: claim, conflict: here } = await this.#from.save(key, claimText, end, undefined)
      if (claim) return this.#createFrom(key, draft, claim, began)
      const found = here && (await this.#resolve(key, here))
      if (found) return { conflict: found }
    }
  }

  async #createFrom(key: Key, draft: Draft, claim: Found, began: Moment): Promise<Saved> {
    const written = await this.#write(key, draft, claim)
    if (written.saved) {
      if (written.note) await this.#tidy(this.#from, key, written.note)
      return { saved: written.saved }
    }
    if (written.there && (await this.#from.delete(key, claim)) === true)
      return { conflict: located('to', written.there) }
    if (timeSince(began) >= CLAIM_LIFE)
      throw new SessionError(
        'ERR_SESSION_STORE_UNAVAILABLE',
        'a process was held up for a minute while it made a session',
      )
    // Somebody else has made it from the claim, and others may have written since, or ended it.
    const found = await this.load(key)
    return { saved: found?.text === draft.text ? found : located('from', { ...claim, ...draft }) }
  }

  /** The session that is in the way of a creator, after what was left half done is done. `undefined`: none any more. */
  async #resolve(key: Key, here: Found): Promise<Located | undefined> {
    const stand = standOf(here)
    if (!stand) return located('from', here)
    if (stand.moving === 'claim') {
      const written = await this.#write(key, stand, here)
      if (written.saved) return written.saved
      return written.there && located('to', written.there)
    }
    const found = await this.load(key)
    // The session that has moved has ended since.
    if (!found) await this.#from.delete(key, here)
    return found
  }

  /** Removes what means nothing any more. What stays ends by itself. */
  async #tidy(store: Store, key: Key, found: Found): Promise<void> {
    try {
      await store.delete(key, found)
    } catch {} // what was to be done is done
  }
}
