import { Diagnostics } from '../../diagnostics.ts'
import { SocketHost } from '../../http/socket-host.ts'
import { storeStack } from '../../layers/stack.ts'
import { Codec } from '../../record/codec.ts'
import { format } from '../../record/format.ts'
import { endOf, merge } from '../../record/record.ts'
import { Lifecycle } from '../../session/lifecycle.ts'
import { sessionOf } from '../../session/object.ts'
import { subjectNames } from '../../session/subject-names.ts'
import type { SessionData } from '../../session/data.ts'
import type { RegenerateOptions } from '../../session/member-options.ts'
import type { Session } from '../../session/types.ts'
import type { WorkingCopy } from '../../session/working-copy.ts'
import type { Found } from '../../store.ts'
import { memoryStore } from '../../stores/memory.ts'
import { fill } from './fill.ts'
import { provedTerms, type Proved } from './proved.ts'

/** The same type, which the compiler does not guess from an argument: a fake has the data of all sessions, not of this one. */
type Exactly<Data> = [Data][Data extends unknown ? 0 : never]

const NAME = 'fake'
const HOUR = 60 * 60 * 1000
const OPTIONS = {
  idleTimeout: HOUR / 2,
  absoluteTimeout: 8 * HOUR,
  persistent: false,
  maxRecordBytes: 65_536,
  codec: new Codec(undefined),
}

/**
 * A session for the unit test of a service: no application, no request, no store to open or to close. All its members
 * work, in this process alone. What cannot be stored is refused as in production.
 *
 * ```ts
 * const visitor = fakeSession({ cart: { items: [] } })
 * await runWithSession(visitor, () => addToCart('tea'))
 * assert.equal(visitor.cart?.items.length, 1)
 * ```
 *
 * With data, it is the session of a visitor who comes back; without data, that of a new visitor (`isNew`). The data may
 * also be a function that gets the session, for `identify`, `remember` and `flash`.
 *
 * `{ proved: 'password' }`, or a list of kinds, makes it the session of a visitor who has proved who they are just now.
 *
 * After `regenerate`, this object is the old session, as in production. `runWithSession(visitor, getSession)` gives the
 * new one.
 *
 * Throws `ERR_SESSION_OPTION`, `ERR_SESSION_VALUE` or `ERR_SESSION_RESERVED_KEY` if the data cannot be a session's.
 */
export function fakeSession<Data extends object = SessionData>(
  data?: Partial<Exactly<Data>> | ((session: Session<Exactly<Data>>) => void),
  options: Proved = {},
): Session<Data> {
  const terms = provedTerms('fakeSession', options)
  const diagnostics = new Diagnostics(NAME)
  const stack = storeStack(memoryStore({ pruneInterval: 0 }), { encrypt: false, cache: undefined }, diagnostics)
  const lifecycle = new Lifecycle(stack, OPTIONS, diagnostics)
  lifecycle.subjects.notes.use(subjectNames(NAME, []))
  const host = new FakeHost(lifecycle, diagnostics)
  const copy = lifecycle.create(host, terms)
  if (data === undefined && !terms) return sessionOf(copy) as Session<Data>
  fill('fakeSession', copy, data ?? {})
  const changes = copy.changes()
  const record = changes ? merge(copy.record, changes) : copy.record
  // A store in memory answers at once.
  const { saved } = stack.front.save(copy.key, format(record), endOf(record, Date.now()), undefined) as { saved: Found }
  return sessionOf(lifecycle.open(host, copy.key, saved, copy.token)) as Session<Data>
}

/** As for a socket, and a new token needs no response: there is no browser. */
class FakeHost extends SocketHost {
  successor: Session | undefined
  readonly #lifecycle: Lifecycle

  constructor(lifecycle: Lifecycle, diagnostics: Diagnostics) {
    super(lifecycle, diagnostics, lifecycle)
    this.#lifecycle = lifecycle
  }

  override async regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void> {
    this.successor = sessionOf(await this.#lifecycle.regenerate(copy, options, this))
  }
}
