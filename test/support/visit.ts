import { Diagnostics } from '../../src/diagnostics.ts'
import { gone } from '../../src/errors.ts'
import { Lifecycle, type CommitOutcome, type LifecycleOptions } from '../../src/session/lifecycle.ts'
import { sessionOf } from '../../src/session/object.ts'
import { EndWatcher } from '../../src/layers/ends.ts'
import type { SessionHost, WorkingCopy } from '../../src/session/working-copy.ts'
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
  state: WorkingCopy
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

export function visits(options: Partial<LifecycleOptions> & { store?: Store; source?: Store } = {}): Visits {
  const { store = memoryStore({ pruneInterval: 0 }), source, ...rest } = options
  const diagnostics = new Diagnostics('sid')
  const codec = new Codec()
  const signals = new EndWatcher(store, diagnostics)
  const front = signals.over(store)
  const lifecycle = new Lifecycle(
    { front, source: source ?? front, ends: signals },
    { idleTimeout: 60_000, absoluteTimeout: 600_000, persistent: false, maxRecordBytes: 65_536, codec, ...rest },
    diagnostics,
  )

  function visit(open: (actions: SessionHost) => WorkingCopy): Visit {
    const actions: SessionHost = {
      async save(state) {
        if ((await lifecycle.commit(state)) === 'gone') throw gone()
      },
      reload: (state) => lifecycle.reload(state),
      update: (state, change) => lifecycle.update(state, change),
      async regenerate(state, how) {
        made.state = await lifecycle.regenerate(state, how, actions)
      },
      destroy: (state) => lifecycle.destroy(state),
      signalOf: (state) => lifecycle.signalOf(state),
      sealedBy: () => made.seal,
    }
    const made: Visit = {
      state: open(actions),
      get session() {
        return sessionOf(made.state) as AnySession
      },
      end: async () => lifecycle.commit(made.state),
      seal: undefined,
    }
    return made
  }

  const made: Visits = {
    lifecycle,
    diagnostics,
    signals,
    store,
    stranger: () => visit((actions) => lifecycle.create(actions)),
    async returning(key) {
      const found = await lifecycle.load(key)
      if (!found) throw new Error('There is no such session.')
      return visit((actions) => lifecycle.open(actions, key, found))
    },
    async stored(data) {
      const visit = made.stranger()
      visit.state.mustCreate = true
      Object.assign(visit.session, data)
      await visit.end()
      return visit.state.key
    },
  }
  return made
}
