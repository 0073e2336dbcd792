import { randomBytes } from 'node:crypto'
import { setTimeout as after } from 'node:timers/promises'
import type { Absence } from './absence.ts'
import { keyOf } from './token.ts'
import { claimOf, formatClaim, type Claim } from '../record/claim.ts'
import { recordOf } from '../record/format.ts'
import { lastEndOf } from '../record/record.ts'
import { tooBusy } from './successors.ts'
import type { Found, Store } from '../store.ts'
import type { Awaitable, Instant, Key, Milliseconds } from '../units.ts'

/** A session of another library, whose cookie has come and is verified. */
export interface OldSession {
  /** Which session of which library it is, as text: the same whenever its cookie comes. */
  readonly id: string
  /** Until when the cookie could be shown again, if nothing but the cookie knows of the session. */
  readonly until?: Instant | undefined
  /** What is in it; `undefined` if it has ended. */
  load(): Awaitable<object | undefined>
  /** Ends it. Again is harmless. */
  end(): Awaitable<void>
}

/** How a session of ours is made of an old one. */
export interface Maker {
  /** The tokens that this text may lead to, by each signing key, newest first. */
  tokensFor(text: string): readonly string[]
  /** Stores a new session with this token and this data. */
  make(token: string, data: object): Promise<Found>
}

/** A session that took the place of an old one. */
export interface Arrived {
  readonly token: string
  readonly key: Key
  readonly found: Found
}

/** There is no session in the place of the old one. `key`: the one that was there. */
export interface NotArrived {
  readonly absence: Absence
  readonly key?: Key
}

/** How long a request that makes a session is waited for, before another one takes its place. */
const WAIT_FOR_MAKER: Milliseconds = 1000
const PAUSE: Milliseconds = 20
/** How long a request goes on before it gives up. */
const MAX_TIME: Milliseconds = 5000
/** What is left of an attempt that nobody finished. */
const ATTEMPT_LIFE: Milliseconds = 600_000

/**
 * Takes sessions of other libraries over, each exactly once, whoever races and whoever crashes.
 *
 * A claim in our own store says what has become of an old session. Whoever makes the claim makes the session, and nobody
 * looks at that session before the old one has ended. So an old cookie that comes later leads to the one session that was
 * made, or, once that one has ended, to none: nothing is made of the same old session again.
 */
export class Arrivals {
  readonly #store: Store
  readonly #source: Pick<Store, 'load'>
  readonly #load: (key: Key) => Awaitable<Found | Absence>
  readonly #underWay = new Map<Key, Promise<Arrived | NotArrived>>()

  /** `source`: where the newest state is read, past all caches. `load`: see `Lifecycle.load`. */
  constructor(store: Store, source: Pick<Store, 'load'>, load: (key: Key) => Awaitable<Found | Absence>) {
    this.#store = store
    this.#source = source
    this.#load = load
  }

  /** The session in the place of the old one. Rejects with what the stores' failures became, and with what `make` does. */
  takeOver(old: OldSession, maker: Maker): Promise<Arrived | NotArrived> {
    const at = keyOf(`old session ${old.id}`)
    const underWay = this.#underWay.get(at)
    if (underWay) return underWay
    const arrival = this.#takeOver(at, old, maker).finally(() => this.#underWay.delete(at))
    this.#underWay.set(at, arrival)
    return arrival
  }

  async #takeOver(at: Key, old: OldSession, maker: Maker): Promise<Arrived | NotArrived> {
    const startedAt = performance.now()
    for (;;) {
      const elapsed = performance.now() - startedAt
      if (elapsed > MAX_TIME) throw tooBusy()
      const found = await this.#source.load(at)
      const claim = found && claimOf(found)
      if (claim?.stage === 'done') return this.#arrived(claim, old, maker)
      if (found && claim?.stage === 'made') await this.#finish(at, found, claim, old)
      else if (claim && elapsed < WAIT_FOR_MAKER) await after(PAUSE)
      else if ((await this.#begin(at, found, claim, old, maker)) === 'missing') return { absence: 'missing' }
    }
  }

  /** Makes the session. `found`, `claim`: of an attempt that was given up. `missing`: there is nothing to make it of. */
  async #begin(
    at: Key,
    found: Found | undefined,
    claim: Claim | undefined,
    old: OldSession,
    maker: Maker,
  ): Promise<'missing' | undefined> {
    const data = await old.load()
    // Another request may have ended it meanwhile, by taking it over.
    if (data === undefined) return found === undefined && (await this.#source.load(at)) ? undefined : 'missing'
    const nonce = randomBytes(16).toString('base64url')
    const token = maker.tokensFor(`${old.id} ${nonce}`)[0] as string
    const now = Date.now()
    const own: Claim = { at: now, key: keyOf(token), nonce, stage: 'begun' }
    const { saved } = await this.#store.save(at, formatClaim(own), now + ATTEMPT_LIFE, found)
    if (!saved) return undefined
    try {
      // Nobody can hold what the attempt before has made, because it was never handed out.
      if (claim) await this.#store.delete(claim.key)
      const made = await maker.make(token, data)
      if ((await old.load()) === undefined) {
        await this.#takeBack(at, saved, own)
        return undefined
      }
      const until = Math.max(lastEndOf(recordOf(made)), old.until ?? 0)
      const next = await this.#store.save(at, formatClaim({ ...own, stage: 'made' }), until, saved)
      if (!next.saved) await this.#store.delete(own.key)
      return undefined
    } catch (error) {
      await this.#takeBack(at, saved, own).catch(() => {}) // then another request waits, and takes it back
      throw error
    }
  }

  /** Takes an attempt back, unless it has gone further than this. */
  async #takeBack(at: Key, begun: Found, own: Claim): Promise<void> {
    const deleted = await this.#store.delete(at, begun)
    const isFurther = typeof deleted === 'object' && claimOf(deleted).nonce === own.nonce
    if (!isFurther) await this.#store.delete(own.key)
  }

  async #finish(at: Key, found: Found, claim: Claim, old: OldSession): Promise<void> {
    await old.end()
    await this.#store.save(at, formatClaim({ ...claim, stage: 'done' }), found.expiresAt, found)
  }

  async #arrived({ key, nonce }: Claim, old: OldSession, maker: Maker): Promise<Arrived | NotArrived> {
    const token = maker.tokensFor(`${old.id} ${nonce}`).find((candidate) => keyOf(candidate) === key)
    // Made by a node with a key that this one does not have: the visitor's browser gets its cookie from there.
    if (token === undefined) return { absence: 'replaced', key }
    const found = await this.#load(key)
    return typeof found === 'object' ? { token, key, found } : { absence: found, key }
  }
}
