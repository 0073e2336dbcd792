import { Diagnostics } from '../../src/diagnostics.ts'
import { gone } from '../../src/errors.ts'
import { Lifecycle, type CommitOutcome, type LifecycleOptions } from '../../src/session/lifecycle.ts'
import { sessionOf } from '../../src/session/object.ts'
import type { CacheBounds } from '../../src/layers/cached.ts'
import type { EndWatcher } from '../../src/layers/ends.ts'
import { storeStack } from '../../src/layers/stack.ts'
import { subjectNames } from '../../src/session/subject-names.ts'
import type { SessionHost } from '../../src/session/host.ts'
import type { WorkingCopy } from '../../src/session/working-copy.ts'
import type { Store } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import type { Session } from '../../src/session/types.ts'
import type { Key } from '../../src/units.ts'
import { Codec } from '../../src/record/codec.ts'

/** A session whose data nobody described. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnySession = Session<Record<string, any>>

/** What a request does with its session, without the request. */
export interface Visit {
  copy: WorkingCopy
  readonly session: AnySession
  /** What the end of a request does. */
  end(): Promise<CommitOutcome>
  /** Set to seal the session, as the end of a request does. */
  seal: ReturnType<SessionHost['sealedBy']>
}

export interface Visits {
  readonly lifecycle: Lifecycle
  readonly diagnostics: Diagnostics
  readonly signals: EndWatcher
  readonly store: Store
  /** A visitor without a session. */
  stranger(): Visit
  /** A visitor with this session; throws if there is none. */
  returning(key: Key): Promise<Visit>
  /** A session with this data in the store; resolves to its key. */
  stored(data: object): Promise<Key>
}

/** Where the visitors' sessions are kept, and how. */
interface VisitsOptions extends Partial<LifecycleOptions> {
  readonly store?: Store
  /** Default: none. */
  readonly cache?: CacheBounds
}

export function visits(options: VisitsOptions = {}): Visits {
  const { store = memoryStore({ pruneInterval: 0 }), cache, ...rest } = options
  const diagnostics = new Diagnostics('sid')
  const codec = new Codec()
  const stack = storeStack(store, { encrypt: false, cache }, diagnostics)
  const lifecycle = new Lifecycle(
    stack,
    { idleTimeout: 60_000, absoluteTimeout: 600_000, persistent: false, maxRecordBytes: 65_536, codec, ...rest },
    diagnostics,
  )

  lifecycle.subjects.notes.use(subjectNames('sid', []))

  function visit(open: (host: SessionHost) => WorkingCopy): Visit {
    const host: SessionHost = {
      async save(copy) {
        if ((await lifecycle.commit(copy)) === 'gone') throw gone()
      },
      reload: (copy) => lifecycle.reload(copy),
      update: (copy, change) => lifecycle.update(copy, change),
      async regenerate(copy, how) {
        made.copy = await lifecycle.regenerate(copy, how, host)
      },
      destroy: (copy) => lifecycle.destroy(copy),
      identify: (copy, identity, limit) => lifecycle.identify(copy, identity, limit),
      signalOf: (copy) => lifecycle.signalOf(copy),
      sealedBy: () => made.seal,
    }
    const made: Visit = {
      copy: open(host),
      get session() {
        return sessionOf(made.copy) as AnySession
      },
      end: async () => lifecycle.commit(made.copy),
      seal: undefined,
    }
    return made
  }

  const made: Visits = {
    lifecycle,
    diagnostics,
    signals: stack.ends,
    store,
    stranger: () => visit((host) => lifecycle.create(host)),
    async returning(key) {
      const found = await lifecycle.load(key)
      if (found === undefined || typeof found === 'string') throw new Error(`There is no such session: ${found}.`)
      return visit((host) => lifecycle.open(host, key, found))
    },
    async stored(data) {
      const visit = made.stranger()
      visit.copy.demandRecord()
      Object.assign(visit.session, data)
      await visit.end()
      return visit.copy.key
    },
  }
  return made
}

/** Resolves once the clock shows a later instant. Sign-ins of one instant are in the order of their keys. */
export async function nextInstant(): Promise<void> {
  const now = Date.now()
  while (Date.now() <= now) await new Promise(setImmediate)
}
