import { SessionError } from '../errors.ts'
import { recordOf } from '../record/format.ts'
import { lastEndOf, lastSeenAt, longestPauseOf, TOUCH_AFTER, type SessionRecord } from '../record/record.ts'
import { lookAt } from '../record/scan.ts'
import { areSame, whoseIs, without, type Whose } from '../record/whose.ts'
import type { Found, Saved, Store, SubjectIndex } from '../store.ts'
import { isPromise, settle, type Awaitable, type Instant, type Key, type SubjectName } from '../units.ts'
import type { SubjectNames } from './subject-names.ts'

/**
 * Keeps the store's index of whose sessions there are, under each name that says so. Three rules hold whatever crashes
 * and whoever races:
 *
 * - A session that gets a name is noted before the save and after it. The first note is there if the process
 *   dies in between; the second one undoes whatever took the first one back because the record was not there yet.
 * - A note is written from the record that is committed, not from what a request knew of it, and again whenever the
 *   session is extended: an index that was lost is made anew by those who use their sessions.
 * - A note is taken back only for a session that certainly ended, or has certainly lost that name. Afterwards the store is
 *   asked once more, past every cache: if the session lives with that name after all, it is noted again.
 */
export class SubjectNotes {
  readonly #source: Pick<Store, 'load'>
  readonly #index: SubjectIndex | undefined
  #names: SubjectNames | undefined

  /** `source`: the store past its cache. */
  constructor(source: Store) {
    this.#source = source
    this.#index = source.subjects
  }

  /** How subjects are named from here on. Notes under names that are no longer among them are not found any more. */
  use(names: SubjectNames): void {
    this.#names = names
  }

  /**
   * Runs the save of `record` onto `base`, and keeps the notes right. A record that is nobody's costs nothing, and one
   * that keeps its names a renewal in each tenth of its idle timeout.
   */
  saving(key: Key, record: SessionRecord, base: Found | undefined, save: () => Awaitable<Saved>): Awaitable<Saved> {
    const before = base && recordOf(base)
    if (record.subject !== before?.subject || !areSame(record.also, before?.also))
      return this.#savingAnothers(key, record, before, save)
    return record.subject !== undefined && base && isDue(recordOf(base), base)
      ? this.#renewing(key, record, save)
      : save()
  }

  async #savingAnothers(
    key: Key,
    record: SessionRecord,
    before: SessionRecord | undefined,
    save: () => Awaitable<Saved>,
  ): Promise<Saved> {
    if (record.subject !== undefined) await this.#add(key, record)
    const result = await save()
    if (!result.saved) return result
    // It is stored, and noted: what fails from here on was reported by the guard, and fails nobody's request.
    await this.renew(key, record)
    if (before) await this.takeBack(key, before, without(whoseIs(before), whoseIs(record)))
    return result
  }

  async #renewing(key: Key, record: SessionRecord, save: () => Awaitable<Saved>): Promise<Saved> {
    const renewed = this.renew(key, record) // beside the save, because the note that counts is there already
    const result = await save()
    await renewed
    return result
  }

  /** Notes the session anew, under the newest key. Never fails; `false`: it could not be noted. */
  renew(key: Key, record: SessionRecord): Awaitable<boolean> {
    if (record.subject === undefined || !this.#index) return true
    return settle(
      () => this.#add(key, record),
      () => true,
      () => false,
    )
  }

  #add(key: Key, record: SessionRecord, whose: Whose = whoseIs(record)): Awaitable<void> {
    const index = this.#required()
    const until = lastEndOf(record)
    const added = Object.entries(whose).map(([kind, value]) => index.add(this.#newestNameOf(kind, value), key, until))
    return added.length > 1 ? Promise.all(added.filter(isPromise)).then(() => {}) : added[0]
  }

  /** Takes the notes of this record back, for a session that its own visitor has ended. What fails is cleared away later. */
  async forget(key: Key, record: SessionRecord, whose: Whose = whoseIs(record)): Promise<void> {
    if (!this.#index || !this.#names) return
    try {
      for (const [kind, value] of Object.entries(whose))
        for (const name of this.#names(value, kind)) await this.#index.remove(name, key)
    } catch {}
  }

  /** The same for anyone who cannot be sure that nobody has given the session such a name again meanwhile. */
  async takeBack(key: Key, record: SessionRecord, whose: Whose = whoseIs(record)): Promise<void> {
    if (Object.keys(whose).length === 0 || !this.#index || !this.#names) return
    await this.forget(key, record, whose)
    const kept = await this.#stillOf(key, whose)
    if (Object.keys(kept).length === 0) return
    try {
      await this.#add(key, record, kept)
    } catch {} // reported by the guard; it is noted again whenever the session is extended
  }

  /** Which of these names the session under this key has by now: all of them, as long as that is not known. */
  async #stillOf(key: Key, whose: Whose): Promise<Whose> {
    try {
      const { record } = await lookAt(this.#source, key)
      if (record !== 'unreadable') return without(whose, without(whose, record ? whoseIs(record) : {}))
    } catch {}
    return whose
  }

  /** The keys noted under the first of these names, each once. Some may have no record, or one with other names. */
  async *keys(whose: Whose): AsyncGenerator<Key> {
    const index = this.#required()
    const seen = new Set<Key>()
    const [first] = Object.entries(whose)
    if (!first) return
    const [kind, value] = first
    for (const name of this.#namesOf(kind, value)) {
      for await (const key of index.keys(name)) {
        if (seen.has(key)) continue
        seen.add(key)
        yield key
      }
    }
  }

  #newestNameOf(kind: string, value: string): SubjectName {
    return this.#namesOf(kind, value)[0] as SubjectName
  }

  #namesOf(kind: string, value: string): readonly SubjectName[] {
    if (this.#names) return this.#names(value, kind)
    throw new Error('The signing keys are not known yet.')
  }

  /** Throws `ERR_SESSION_OPTION` if the store cannot list. */
  assertCanList(): void {
    this.#required()
  }

  #required(): SubjectIndex {
    if (this.#index) return this.#index
    throw new SessionError(
      'ERR_SESSION_OPTION',
      'This session store cannot tell which sessions are a user’s, so identify, list and revokeAll do not work with it. ' +
        'Files, memory, Redis and SQL databases can; sessions.canList says whether this one can.',
    )
  }
}

/**
 * Whether this is the session's first save in a tenth of its idle timeout. Told by the record alone, so that no process
 * has to remember what it noted; near the absolute end, which hides when the session was used, it is each save.
 */
function isDue(record: SessionRecord, { expiresAt }: Found): boolean {
  const tenthOf = (at: Instant): number => Math.floor(at / (longestPauseOf(record) * TOUCH_AFTER))
  return tenthOf(lastSeenAt(record, expiresAt)) !== tenthOf(Date.now())
}
