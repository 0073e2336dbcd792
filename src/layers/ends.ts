import { Place } from '../deadline.ts'
import { DueQueue, type Task } from './ends/due-queue.ts'
import { recordOf } from '../record/format.ts'
import { endedBecauseIn, isMarker } from '../record/marker.ts'
import { lastEndOf } from '../record/record.ts'
import type { Diagnostics } from '../diagnostics.ts'
import type { EndSignal, Hold } from './ends/end-signal.ts'
import { isSessionError } from '../errors.ts'
import type { Found, Link, Saved, Store, Watch } from '../store.ts'
import { settle, type Awaitable, type Instant, type Key, type Milliseconds, type Version } from '../units.ts'

/** How often the store is asked about a session if nobody tells what other processes do. */
const CHECK_INTERVAL: Milliseconds = 1000
/** The same if somebody tells. It finds what is never told, such as an eviction or a DEL by hand. */
const LONG_CHECK_INTERVAL: Milliseconds = 60_000
/** One check in each millisecond at most. With many sessions, the pauses grow instead. */
const TIME_OF_CHECK: Milliseconds = 1
/** Saves of one session that follow each other faster than this lead to one check. */
const PAUSE_OF_CHECKS: Milliseconds = 100
/** How many checks run at once. */
const BATCH = 50

/** Of a session that was not looked at yet. */
const UNSEEN = { version: undefined, lastEnd: Infinity, askedAt: 0, saving: 0, heardOf: 0, due: NaN }

/** A session whose end somebody waits for. */
interface Watched extends Task {
  readonly key: Key
  readonly holds: Set<Hold>
  /** The version that was last seen. A record is decoded only if it has another one. */
  version: Version | undefined
  lastEnd: Instant
  /** When the store was asked last. */
  askedAt: Instant
  /** How many saves of this process are under way, and the newest version that was heard of meanwhile. */
  saving: number
  heardOf: Version
}

/**
 * Tells the holders of `session.signal` when their sessions end. An end by this process is seen on its way to the store
 * (`over`). An end by another process is told by the store, over a subscription that exists only while there are signals.
 * What nobody tells is found by asking the store: the end of a timeout, and every end on stores that push nothing.
 */
export class EndWatcher {
  readonly #store: Store
  readonly #diagnostics: Diagnostics
  readonly #watched = new Map<Key, Watched>()
  readonly #dueQueue = new DueQueue<Watched>()
  readonly #forgotten = new FinalizationRegistry<() => void>((forget) => forget())
  #watch: Watch | undefined
  /** The generation under which each link vouches for what is watched; `undefined` while it does not vouch. */
  readonly #links = new Map<Link, number | undefined>()
  #timer: NodeJS.Timeout | undefined
  // A check serves all signals, so it runs in no request: the timer would otherwise keep the request that set it.
  readonly #place = new Place('EndWatcher')
  #wakesAt: Instant = Infinity
  #ranAt: Instant = 0
  #restsUntil: Instant = 0
  #isChecking = false
  #isFailing = false
  #isClosed = false

  /** `store`: the store that is asked, with no cache in front of it. */
  constructor(store: Store, diagnostics: Diagnostics) {
    this.#store = store
    this.#diagnostics = diagnostics
  }

  /** The same store, in which this object sees the answers about sessions that are watched. */
  over(store: Store): Store {
    const seen = <Answer>(key: Key, answer: Awaitable<Answer>, see: (answer: Answer) => void): Awaitable<Answer> => {
      if (!this.#watched.has(key)) return answer
      return settle(
        () => answer,
        (value) => {
          see(value)
          return value
        },
      )
    }
    return {
      ...store,
      load: (key) => seen(key, store.load(key), (found) => isSession(found) || this.#end(key, found)),
      save: (key, text, expiresAt, expected) => {
        const watched = this.#watched.get(key)
        const save = (): Awaitable<Saved> => store.save(key, text, expiresAt, expected)
        return watched ? this.#saving(watched, save) : save()
      },
      touch: (key, expiresAt) =>
        seen(key, store.touch(key, expiresAt), (isAlive) => (isAlive ? this.#endsAt(key, expiresAt) : this.#end(key))),
      delete: (key, expected) =>
        seen(key, store.delete(key, expected), (deleted) => typeof deleted === 'object' || this.#end(key)),
    }
  }

  #saving(watched: Watched, save: () => Awaitable<Saved>): Awaitable<Saved> {
    const { key } = watched
    watched.saving++
    return settle(
      save,
      (result) => {
        watched.saving--
        const found = result.saved ?? result.conflict
        if (!isSession(found)) this.#end(key, found)
        else if (result.saved) {
          this.#endsAt(key, found.expiresAt)
          if (watched.heardOf > found.version) this.#look(key, PAUSE_OF_CHECKS)
          watched.heardOf = Math.max(watched.heardOf, found.version)
        }
        return result
      },
      (error) => {
        watched.saving--
        this.#look(key, PAUSE_OF_CHECKS)
        throw error
      },
    )
  }

  /** Aborts this signal when the session of this key ends. The session has a record, so others can end it. */
  watch(key: Key, endSignal: EndSignal): void {
    if (this.#isClosed) return
    this.#listen()
    const watched = this.#watched.get(key) ?? this.#begin(key)
    const { hold } = endSignal
    watched.holds.add(hold)
    this.#forgotten.register(endSignal, () => {
      watched.holds.delete(hold)
      if (watched.holds.size === 0 && this.#watched.get(key) === watched) this.#remove(watched)
    })
  }

  #begin(key: Key): Watched {
    const watched: Watched = { key, holds: new Set(), ...UNSEEN }
    this.#watched.set(key, watched)
    this.#diagnostics.stats.signals = this.#watched.size
    const link = this.#watch?.linkOf(key)
    if (link && !this.#links.has(link)) this.#links.set(link, undefined)
    // At once, because the session may have ended between its load and the first message that would be heard.
    this.#dueQueue.put(watched, Date.now())
    this.#schedule()
    return watched
  }

  #remove(watched: Watched): void {
    this.#watched.delete(watched.key)
    this.#dueQueue.remove(watched)
    this.#diagnostics.stats.signals = this.#watched.size
    if (this.#watched.size === 0) this.#rest()
  }

  /** `instead`: what is found in its place, which may say why. */
  #end(key: Key, instead?: Found): void {
    const watched = this.#watched.get(key)
    if (!watched) return
    this.#remove(watched)
    const endedBecause = endedBecauseIn(instead)
    for (const { endSignal } of watched.holds) endSignal.deref()?.end(endedBecause)
  }

  /** A nearer end is put into the queue. A later one is found when the known one has come. */
  #endsAt(key: Key, expiresAt: Instant): void {
    const watched = this.#watched.get(key)
    if (!watched || watched.due <= expiresAt) return
    this.#dueQueue.put(watched, expiresAt)
    this.#schedule()
  }

  #listen(): void {
    this.#watch ??= this.#store.watch?.({
      saved: (key, version) => this.#heard(key, version),
      deleted: (key) => this.#look(key),
    })
  }

  /** Another process has saved it, perhaps to say that it has a new id by now. */
  #heard(key: Key, version: Version): void {
    const watched = this.#watched.get(key)
    if (!watched || watched.heardOf >= version) return
    watched.heardOf = version
    // It may be the echo of this process's own save, which comes before the answer.
    if (watched.saving === 0) this.#look(key, PAUSE_OF_CHECKS)
  }

  /**
   * A message only says where to look: whoever may send one must not be able to end a session by it. `pause`: at least
   * so long after the check before.
   */
  #look(key: Key, pause: Milliseconds = 0): void {
    const watched = this.#watched.get(key)
    if (!watched) return
    const due = Math.max(Date.now(), watched.askedAt + pause)
    if (watched.due <= due) return
    this.#dueQueue.put(watched, due)
    this.#schedule()
  }

  /** Nobody waits for anything, so there is no timer and no subscription. */
  #rest(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#dueQueue.clear()
    this.#links.clear()
    const watch = this.#watch
    this.#watch = undefined
    // The store reports a connection that does not end well.
    watch?.close().catch(() => {})
  }

  #schedule(): void {
    if (this.#isChecking || this.#watched.size === 0) return
    const now = Date.now()
    // At least once a second, so that the links are looked at and a clock that was set back is noticed.
    const at = now + Math.min(CHECK_INTERVAL, Math.max(0, this.#dueQueue.next - now, this.#restsUntil - now))
    if (this.#timer && this.#wakesAt <= at) return
    clearTimeout(this.#timer)
    this.#wakesAt = at
    this.#timer = this.#place.runInAsyncScope(() => setTimeout(() => void this.#run(), at - now).unref())
  }

  async #run(): Promise<void> {
    this.#timer = undefined
    this.#isChecking = true
    const now = Date.now()
    if (this.#haveLinksChanged() || now < this.#ranAt) this.#doAllAgain(now)
    this.#ranAt = now
    // While the store fails, one session is enough to find out whether it still does.
    const batch = this.#dueQueue.take(now, this.#isFailing ? 1 : BATCH)
    const answers = await Promise.all(batch.map((watched) => this.#check(watched)))
    if (batch.length > 0) this.#isFailing = answers.includes(false)
    this.#restsUntil = now + (this.#isFailing ? CHECK_INTERVAL : batch.length * TIME_OF_CHECK)
    this.#isChecking = false
    this.#schedule()
  }

  /** Whether messages were missed, or are heard again, since the last time. */
  #haveLinksChanged(): boolean {
    let haveChanged = false
    for (const [link, vouched] of this.#links) {
      const vouches = link.vouches() ? link.generation : undefined
      if (vouches === vouched) continue
      this.#links.set(link, vouches)
      haveChanged = true
    }
    return haveChanged
  }

  #doAllAgain(now: Instant): void {
    this.#dueQueue.clear()
    for (const watched of this.#watched.values()) this.#dueQueue.put(watched, now)
  }

  /** Finds out whether the session still lives; `false` if the store cannot say. */
  async #check(watched: Watched): Promise<boolean> {
    const { key } = watched
    const isTold = this.#isTold(key)
    const askedAt = Date.now()
    watched.askedAt = askedAt
    let found: Found | undefined
    let instead: Found | undefined
    try {
      found = await this.#store.load(key)
      if (found && isMarker(found)) [instead, found] = [found, undefined]
      if (found && found.version !== watched.version) {
        watched.lastEnd = lastEndOf(recordOf(found))
        watched.version = found.version
      }
    } catch (error) {
      // For requests, too, a record that cannot be read is no session.
      if (!isSessionError(error, 'ERR_SESSION_UNREADABLE')) {
        this.#again(watched, Date.now() + CHECK_INTERVAL)
        return false
      }
      found = undefined
    }
    const now = Date.now()
    const end = found ? Math.min(found.expiresAt, watched.lastEnd) : -Infinity
    // By the instant of the question: what ended while the answer was on its way may have been extended meanwhile.
    if (end <= askedAt) this.#end(key, instead)
    else this.#again(watched, Math.min(end, now + (isTold ? LONG_CHECK_INTERVAL : CHECK_INTERVAL)))
    return true
  }

  #again(watched: Watched, due: Instant): void {
    // Not if it has ended or nobody waits for it any more, and not later than was learned meanwhile.
    if (this.#watched.get(watched.key) === watched && !(watched.due <= due)) this.#dueQueue.put(watched, due)
  }

  /** Whether what other processes do to this session is certainly told. */
  #isTold(key: Key): boolean {
    const link = this.#watch?.linkOf(key)
    if (!link) return false
    // A key may have come under another link than when it began. From the next run on, that one is looked at too.
    if (!this.#links.has(link)) this.#links.set(link, undefined)
    return link.vouches() && this.#links.get(link) === link.generation
  }

  /** Ends the timer and the subscription. A signal that has not been aborted never is. */
  async close(): Promise<void> {
    this.#isClosed = true
    const watch = this.#watch
    this.#watch = undefined
    this.#watched.clear()
    this.#diagnostics.stats.signals = 0
    this.#rest()
    await watch?.close()
  }
}

/** Whether there is a session, and not only the marker of one that has another id by now. */
function isSession(found: Found | undefined): found is Found {
  return found !== undefined && !isMarker(found)
}
