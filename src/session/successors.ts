import { SessionError, isSessionError } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import {
  END_MARKER_LIFE,
  MARKER_LIFE,
  PROMISE_LIFE,
  endMarker,
  formatMarker,
  isFresh,
  markerOf,
  type Marker,
} from '../record/marker.ts'
import type { SessionRecord } from '../record/record.ts'
import type { Found, Saved, Store } from '../store.ts'
import type { Instant, Key, Milliseconds } from '../units.ts'
import { LostRaces } from './lost-races.ts'

/** A session that was made in the place of another one, and whose cookie has not come back. */
export interface Unheld {
  readonly key: Key
  readonly found: Found
  readonly record: SessionRecord
}

/** A session that a marker leads to, and of which there is no record: it is still to be made, or has ended already. */
export interface Promised {
  readonly key: Key
  readonly found: undefined
  readonly record: undefined
}

/** What a marker leads to. `held`: a session that its visitor has, and that the replaced id can do nothing to. */
type Fate = Unheld | Promised | 'held' | 'missing'

/** A store that let us wait for longer before it failed is not asked again. */
const ASK_AGAIN_WITHIN: Milliseconds = 1000
/** More sign-ins than this with one replaced id within a minute are nobody's double click. */
const MAX_STEPS = 20

/** The markers of replaced sessions: left, followed, and taken away. */
export class Successors {
  readonly #store: Store
  readonly #source: Pick<Store, 'load'>

  /** `source`: where the newest state is read, past all caches. */
  constructor(store: Store, source: Pick<Store, 'load'>) {
    this.#store = store
    this.#source = source
  }

  /**
   * Puts a marker in the place of a record, if it is still at this version, or where there is none, if there is still
   * none: `true` if the marker is there, `false` if the record is gone, or what is there instead.
   *
   * A save that failed is tried once more: it replaces one version only, so to repeat it does no harm, and the answer
   * tells what became of the first one.
   */
  leave(key: Key, expected: Found | undefined, marker: Omit<Marker, 'replacedAt'>): Promise<boolean | Found> {
    const replacedAt = Date.now()
    // Whoever was promised a session may take long to make it. Until then it must find the marker, which nobody follows
    // for longer than a minute all the same.
    const life = expected === undefined ? PROMISE_LIFE : MARKER_LIFE
    return this.#put(key, expected, formatMarker({ replacedAt, ...marker }), replacedAt + life)
  }

  /**
   * Ends the session by a marker that says why, if its record is still at this version; answers as `leave`. Nobody takes
   * the marker for a session, and a save that comes too late finds another version: it is as final as a delete.
   */
  leaveReason(key: Key, expected: Found, endedBecause: string): Promise<boolean | Found> {
    const expiresAt = Math.min(expected.expiresAt, Date.now() + END_MARKER_LIFE)
    return this.#put(key, expected, formatMarker(endMarker(endedBecause)), expiresAt)
  }

  async #put(key: Key, expected: Found | undefined, text: string, expiresAt: Instant): Promise<boolean | Found> {
    const startedAt = performance.now()
    let result: Saved
    try {
      result = await this.#store.save(key, text, expiresAt, expected)
    } catch (error) {
      if (performance.now() - startedAt > ASK_AGAIN_WITHIN) throw error
      result = await this.#store.save(key, text, expiresAt, expected)
    }
    const { saved, conflict } = result
    if (saved) return true
    return conflict ? conflict.text === text || conflict : false
  }

  /** Sees to it that no session is made under this key; what is there already, or instead, if it is too late for that. */
  forbid(key: Key): Promise<boolean | Found> {
    return this.leave(key, undefined, { successor: undefined, wasHeld: false })
  }

  /** Makes a marker lead nowhere; `false`: it did so already. */
  async close(key: Key, found: Found): Promise<boolean> {
    const marker = markerOf(found)
    if (!marker || !isFresh(marker) || marker.successor === undefined) return false
    await this.#store.save(key, formatMarker({ ...marker, successor: undefined }), found.expiresAt, found)
    return true
  }

  /** The marker that counts under this key. */
  async markerAt(key: Key): Promise<Marker | undefined> {
    const found = await this.#source.load(key)
    const marker = found && markerOf(found)
    return marker && isFresh(marker) ? marker : undefined
  }

  /**
   * Puts the session `successor` in the place of the one that the marker leads to, if nobody holds that one. `prepare`
   * runs before, and again if another sign-in was faster; with `false` it refuses.
   */
  async takePlace(
    marker: Marker,
    successor: Key,
    prepare: (unheld: Unheld | Promised) => Promise<boolean>,
  ): Promise<'taken' | 'held' | 'missing'> {
    const lost = new LostRaces()
    for (;;) {
      const fate = await this.#follow(marker)
      if (typeof fate === 'string') return fate
      if (!(await prepare(fate))) return 'missing'
      if ((await this.leave(fate.key, fate.found, { successor, wasHeld: false })) === true) return 'taken'
      if (lost.add()) throw tooBusy()
    }
  }

  /**
   * Ends the session under this key, for its own visitor; `moved` if it lives under another id, which a browser holds. If
   * the session has moved and nobody holds it yet, it is ended under its new id.
   */
  async end(key: Key, found: Found | undefined): Promise<'ended' | 'moved'> {
    let expected = found
    for (let tries = 1; expected && tries < MAX_STEPS; tries++) {
      const marker = markerOf(expected)
      if (marker && isFresh(marker) && (await this.#endUnheld(marker)) === 'held') return 'moved'
      const deleted = await this.#deleteVersion(key, expected)
      if (typeof deleted !== 'object') return 'ended'
      expected = deleted
    }
    await this.#store.delete(key)
    return 'ended'
  }

  /** The same for a visitor whose cookie came with the id that the session had before. */
  async endReplaced(key: Key): Promise<'ended' | 'moved'> {
    const found = await this.#source.load(key)
    return found && markerOf(found) ? this.end(key, found) : 'ended'
  }

  async #deleteVersion(key: Key, expected: Found): Promise<boolean | Found> {
    try {
      return await this.#store.delete(key, expected)
    } catch (error) {
      if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) throw error
      return this.#store.delete(key)
    }
  }

  async #endUnheld(marker: Marker): Promise<'held' | 'missing'> {
    for (;;) {
      const fate = await this.#follow(marker)
      if (typeof fate === 'string') return fate
      const { key, found } = fate
      const left = found ? await this.#store.delete(key, found) : await this.forbid(key)
      if (typeof left !== 'object') return 'missing'
    }
  }

  async #follow(marker: Marker): Promise<Fate> {
    let { successor: key, isPromise } = marker
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      if (key === undefined) return 'missing'
      let next: Marker | undefined
      try {
        const found = await this.#source.load(key)
        if (!found) return isPromise ? { key, found, record: undefined } : 'missing'
        next = markerOf(found)
        if (!next) {
          const record = recordOf(found)
          return record.unheld ? { key, found, record } : 'held'
        }
      } catch (error) {
        // What cannot be read is left alone.
        if (isSessionError(error, 'ERR_SESSION_UNREADABLE')) return 'held'
        throw error
      }
      if (next.wasHeld) return 'held'
      ;({ successor: key, isPromise } = next)
    }
    return 'held'
  }
}

/** The error for a regenerate that others' writes have overtaken for too long. */
export function tooBusy(): SessionError {
  return new SessionError(
    'ERR_SESSION_BUSY',
    'Too many writers of one session at once; the session has kept its id. Try again.',
  )
}
