import { storeStack } from '../../src/layers/stack.ts'
import { Diagnostics } from '../../src/diagnostics.ts'
import { isSessionError } from '../../src/errors.ts'
import { recordOf } from '../../src/record/format.ts'
import { isMarker } from '../../src/record/marker.ts'
import { Lifecycle } from '../../src/session/lifecycle.ts'
import { sessionOf } from '../../src/session/object.ts'
import { subjectNames } from '../../src/session/subject-names.ts'
import type { SessionHost } from '../../src/session/host.ts'
import type { WorkingCopy } from '../../src/session/working-copy.ts'
import { revokedOf } from '../../src/session/subjects.ts'
import type { RegenerateOptions } from '../../src/session/member-options.ts'
import type { Store } from '../../src/store.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { Codec } from '../../src/record/codec.ts'
import type { Content, HistoryWriter, Outcome } from './history.ts'

const HOUR: Milliseconds = 3_600_000
const COUNTER = 'counter'

type Data = Record<string, unknown>

/**
 * One node of an imaginary web site: the library below HTTP, put together as `src/middleware.ts` does it, with every
 * operation written into the history before it begins and after it ends.
 */
export class CheckedNode {
  readonly diagnostics: Diagnostics = new Diagnostics('sid')
  readonly #store: Store
  readonly #source: Store
  readonly #lifecycle: Lifecycle
  readonly #history: HistoryWriter
  readonly #name: string
  #values = 0

  /** `audit`: which share of what its cache answers is audited. */
  constructor(store: Store, deadline: Milliseconds, name: string, history: HistoryWriter, audit = 0) {
    const cache = { max: 10_000, maxBytes: 32 * 1024 * 1024, maxAge: 60_000, allowStale: false, audit }
    const stack = storeStack({ ...store, deadline }, { encrypt: false, cache }, this.diagnostics)
    this.#store = stack.front
    this.#source = stack.source
    const options = {
      idleTimeout: HOUR,
      absoluteTimeout: 8 * HOUR,
      persistent: false,
      maxRecordBytes: 65_536,
      codec: new Codec(),
    }
    this.#lifecycle = new Lifecycle(stack, options, this.diagnostics)
    this.#lifecycle.subjects.notes.use(subjectNames('sid', []))
    this.#history = history
    this.#name = name
  }

  /** A request's view of this session, with all of it read. */
  async read(session: Key): Promise<WorkingCopy | 'absent' | 'failed'> {
    let state: WorkingCopy | undefined
    const outcome = await this.#observed({ kind: 'read', session }, async () => {
      let found = await this.#lifecycle.load(session)
      // As the look-up of a cookie does it.
      if (typeof found === 'object' && recordOf(found).unheld) found = await this.#lifecycle.hold(session, found)
      if (typeof found === 'string') return { outcome: 'absent' }
      const isHeld = recordOf(found).unheld === undefined
      state = this.#lifecycle.open(ACTIONS, session, found)
      const data: Data = { ...dataOf(state) }
      const texts = Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)])
      return { outcome: 'done', version: found.version, content: Object.fromEntries(texts) as Content, isHeld }
    })
    return state ?? (outcome === 'absent' ? 'absent' : 'failed')
  }

  /** What the middleware does after a request that changed nothing. */
  touchIfDue(state: WorkingCopy): void {
    if (state.found) this.#lifecycle.touch(state.key, state.found)
  }

  /** `user`: whose session it is. `idle`: its idle timeout, if that may pass. */
  async create({ user, idle }: { user?: string | undefined; idle?: Milliseconds } = {}): Promise<Key | undefined> {
    const state = this.#lifecycle.create(ACTIONS)
    const value = this.#newValue()
    dataOf(state).origin = value
    if (user !== undefined) sessionOf(state).identify(user)
    if (idle !== undefined) state.remember({ idleTimeout: idle })
    const about = { ...(user !== undefined && { name: user }), ...(idle !== undefined && { idle }) }
    const outcome = await this.#observed(
      { kind: 'create', session: state.key, value: JSON.stringify(value), ...about },
      () => this.#commit(state),
    )
    return outcome === 'done' ? state.key : undefined
  }

  async set(state: WorkingCopy, name: string): Promise<void> {
    const session = dataOf(state)
    const value = this.#newValue()
    // Some of the changes are inside of a value, where only a comparison finds them.
    const inner = session[name]
    if (typeof inner === 'object' && inner !== null) (inner as { by: string }).by = value
    else session[name] = name.startsWith('nested') ? { by: value } : value
    await this.#observed({ kind: 'set', session: state.key, name, value: JSON.stringify(session[name]) }, () =>
      this.#commit(state),
    )
  }

  /** Does nothing if the name is not there. */
  async delete(state: WorkingCopy, name: string): Promise<void> {
    const session = dataOf(state)
    if (!(name in session)) return
    delete session[name]
    await this.#observed({ kind: 'delete', session: state.key, name }, () => this.#commit(state))
  }

  async increment(state: WorkingCopy): Promise<void> {
    await this.#observed({ kind: 'increment', session: state.key, name: COUNTER }, async () => {
      const result = await this.#lifecycle.update(state, (session) => {
        const data = session as unknown as Data
        return (data[COUNTER] = ((data[COUNTER] as number | undefined) ?? 0) + 1)
      })
      return { ...this.#committed(state), result }
    })
  }

  async touch(session: Key, expiresIn: Milliseconds): Promise<void> {
    await this.#observed({ kind: 'touch', session }, async () => {
      const isTouched = await this.#store.touch(session, Date.now() + expiresIn)
      const found = isTouched ? await this.#source.load(session) : undefined
      // A marker is no session, whatever its end.
      return { outcome: isTouched && !(found && isMarker(found)) ? 'done' : 'absent' }
    })
  }

  async regenerate(state: WorkingCopy): Promise<Key | undefined> {
    return (await this.carryOn(state))?.key
  }

  /** The same; resolves to the new session as the request that has made it sees it. */
  async carryOn(state: WorkingCopy): Promise<WorkingCopy | undefined> {
    let heir: WorkingCopy | undefined
    await this.#observed({ kind: 'regenerate', session: state.key }, async () => {
      heir = await this.#lifecycle.regenerate(state, { keep: true }, ACTIONS)
      return { ...this.#committed(heir), heir: heir.key }
    })
    return heir
  }

  /** A visitor whose cookie has a replaced id signs in, and keeps what these names have. */
  async signIn(session: Key, keep: readonly string[]): Promise<void> {
    await this.#observed({ kind: 'signIn', session }, async () => {
      if ((await this.#lifecycle.load(session)) !== 'replaced') return { outcome: 'refused' }
      const stranger = { replaced: session, unreadable: [] }
      const state = this.#lifecycle.create(ACTIONS)
      const options = { keep } as RegenerateOptions
      const heir = await this.#lifecycle.regenerate(state, options, ACTIONS, stranger)
      return heir.found ? { ...this.#committed(heir), heir: heir.key } : { outcome: 'refused' }
    })
  }

  async list(user: string): Promise<void> {
    await this.#observed({ kind: 'list', session: '', name: user }, async () => {
      const summaries = await this.#lifecycle.subjects.list(user, undefined)
      return { outcome: 'done', keys: summaries.map(({ id }) => id) }
    })
  }

  /** Of which nothing is written down, because the clock of this node may be wrong. */
  async look(user: string): Promise<void> {
    await this.#lifecycle.subjects.list(user, undefined)
  }

  async revokeAll(user: string): Promise<void> {
    await this.#observed({ kind: 'revokeAll', session: '', name: user }, async () => {
      revokedOf(await this.#lifecycle.subjects.revokeAll(user, []))
      return { outcome: 'done' }
    })
  }

  /** Whether it was acknowledged. */
  async destroy(state: WorkingCopy): Promise<boolean> {
    const outcome = await this.#observed({ kind: 'destroy', session: state.key }, async () => {
      await this.#lifecycle.destroy(state)
      return { outcome: 'done' }
    })
    return outcome === 'done'
  }

  report(): void {
    this.#history.statistics(this.diagnostics.stats)
  }

  async close(): Promise<void> {
    await this.#lifecycle.settled()
    await this.#store.close?.()
  }

  async #commit(state: WorkingCopy): Promise<Ending> {
    const outcome = await this.#lifecycle.commit(state)
    return outcome === 'gone' ? { outcome: 'absent' } : this.#committed(state)
  }

  #committed(state: WorkingCopy): Ending {
    const texts = [...state.record.entries].map(([name, { text }]) => [name, text])
    return { outcome: 'done', version: state.found!.version, content: Object.fromEntries(texts) as Content }
  }

  #newValue(): string {
    return `${this.#name}/${++this.#values}`
  }

  async #observed(begun: Parameters<HistoryWriter['begin']>[0], work: () => Promise<Ending>): Promise<Outcome> {
    // `work` runs up to its first await here, so the order of the numbers is the order of the commits.
    const number = this.#history.begin(begun)
    let ending: Ending
    try {
      ending = await work()
    } catch (error) {
      ending = this.#failed(error)
    }
    this.#history.end(number, ending, ending.heir ?? begun.session)
    return ending.outcome
  }

  #failed(error: unknown): Ending {
    if (isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE')) return { outcome: 'unknown' }
    if (isSessionError(error, 'ERR_SESSION_GONE')) return { outcome: 'absent' }
    if (isSessionError(error, 'ERR_SESSION_BUSY')) return { outcome: 'refused' }
    return { outcome: 'broken', error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

type Ending = Parameters<HistoryWriter['end']>[1]

function dataOf(state: WorkingCopy): Data {
  return sessionOf(state) as unknown as Data
}

async function notHere(): Promise<never> {
  throw new Error('the checker calls the lifecycle, not the session')
}

const ACTIONS: SessionHost = {
  save: notHere,
  reload: notHere,
  update: notHere,
  regenerate: notHere,
  destroy: notHere,
  identify: notHere,
  signalOf: () => new AbortController().signal,
  sealedBy: () => undefined,
}
