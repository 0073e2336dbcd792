import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { Diagnostics, type SessionStats } from '../../src/diagnostics.ts'
import { storeStack } from '../../src/layers/stack.ts'
import type { Found, Link, Listener, Store } from '../../src/store.ts'
import type { Milliseconds } from '../../src/units.ts'
import { mutate, type MutantName } from '../checker/mutants.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { recordingStore, type RecordingOptions, type RecordingStore } from '../support/stores/recording-store.ts'
import { collectWarnings } from '../support/warnings.ts'

const KEY = 'a'.repeat(64)
const OTHER = 'b'.repeat(64)
const BOUND = 100
const MINUTE = 60_000
const HOUR = 60 * MINUTE

interface Options extends RecordingOptions {
  readonly mutant?: MutantName | undefined
  readonly audit?: number
  readonly maxAge?: Milliseconds
  /** What the cache is over, made of the recording store. */
  readonly seenAs?: (store: RecordingStore) => Store
  readonly inRealTime?: boolean
}

interface Audited {
  /** The store behind the cache. */
  readonly store: RecordingStore
  /** The cache, all of whose answers are audited. */
  readonly cache: Store
  readonly stats: SessionStats
  readonly clock: SimulatedClock
  /** What is published of stale answers. */
  readonly told: unknown[]
  /** What another process does, and says so or not. */
  writeElsewhere(options?: { silently?: boolean }): void
  deleteElsewhere(options?: { silently?: boolean }): void
  close(): Promise<void>
}

/** A cache that has the session KEY, over a store whose link has the bound BOUND, in simulated time. */
async function audited(test: TestContext, options: Options = {}): Promise<Audited> {
  const {
    mutant,
    audit = 1,
    maxAge = MINUTE,
    power = 'watch',
    seenAs = (store) => store,
    inRealTime,
    ...rest
  } = options
  const clock = new SimulatedClock()
  if (!inRealTime) clock.install()
  test.after(() => clock.restore())
  const store = recordingStore({ power, ...rest })
  store.link.bound = BOUND
  const diagnostics = new Diagnostics('sid')
  const cache = { max: 100, maxBytes: 1_000_000, maxAge, allowStale: false, audit }
  const stack = storeStack(mutate(seenAs(store), mutant), { encrypt: false, cache }, diagnostics)
  const told: unknown[] = []
  const onMessage = (message: unknown): void => void told.push(message)
  subscribe('koa-server-session:stale', onMessage)
  test.after(() => unsubscribe('koa-server-session:stale', onMessage))
  await store.elsewhere.save(KEY, 'text', Date.now() + HOUR, undefined)
  await stack.front.load(KEY)
  return {
    store,
    cache: stack.front,
    stats: diagnostics.stats,
    clock,
    told,
    writeElsewhere({ silently = false } = {}) {
      const found = store.elsewhere.load(KEY) as Found
      const { saved } = store.elsewhere.save(KEY, 'new text', Date.now() + HOUR, found) as { saved: Found }
      if (!silently) for (const listener of store.listeners) listener.saved(KEY, saved.version)
    },
    deleteElsewhere({ silently = false } = {}) {
      assert.equal(store.elsewhere.delete(KEY), true)
      if (!silently) for (const listener of store.listeners) listener.deleted(KEY)
    },
    close: () => stack.close(),
  }
}

/** Asks, and waits until every audit of it must be over. */
async function answered({ cache, clock }: Audited): Promise<Found | undefined> {
  const found = await cache.load(KEY)
  await clock.pass(2 * BOUND)
  return found
}

describe('an answer of the cache that is audited', () => {
  it('is true if the store shows the same', async (t) => {
    const made = await audited(t)
    await answered(made)
    const { audited: count, stale, worstAge } = made.stats
    assert.deepEqual([count, stale, worstAge], [1, 0, 0])
    assert.equal(made.store.count('load'), 2, 'one to fill the cache, and one to compare')
  })

  it('is stale if it is given for longer than the bound after the store has shown a newer version', async (t) => {
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    assert.equal((await made.cache.load(KEY))?.text, 'text')
    await made.clock.pass(BOUND - 10)
    assert.equal(made.stats.stale, 0)
    await made.clock.pass(20)
    const { audited: count, stale, worstAge } = made.stats
    assert.deepEqual([count, stale], [1, 1])
    assert.ok(worstAge > BOUND && worstAge < 2 * BOUND, `${worstAge} ms`)
    assert.deepEqual(made.told, [{ cookieName: 'sid', reason: 'replaced' }])
  })

  it('is stale if it is given for longer than the bound after the store had no record any more', async (t) => {
    const made = await audited(t)
    made.deleteElsewhere({ silently: true })
    await answered(made)
    assert.equal(made.stats.stale, 1)
    assert.deepEqual(made.told, [{ cookieName: 'sid', reason: 'gone' }])
  })

  it('is looked at for a minute, so that the age of the worst one is known, unless it ends before', async (t) => {
    const made = await audited(t, { maxAge: HOUR })
    made.writeElsewhere({ silently: true })
    await answered(made)
    await made.clock.pass(10_000)
    assert.ok(made.stats.worstAge > 9_000 && made.stats.worstAge < 11_000, `${made.stats.worstAge} ms`)
    await made.clock.pass(10 * MINUTE)
    assert.ok(made.stats.worstAge > MINUTE && made.stats.worstAge < MINUTE + 2_000, `${made.stats.worstAge} ms`)
    assert.deepEqual([made.stats.audited, made.stats.stale], [1, 1])
  })

  it('is warned of once, without a word about the session', async (t) => {
    const warnings = await collectWarnings(t)
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    await made.cache.load(KEY)
    await answered(made)
    assert.equal(made.stats.stale, 2)
    made.clock.restore()
    const [warning, ...more] = await warnings()
    assert.deepEqual([warning?.code, more.length], ['SESSION_CACHE_STALE', 0])
    assert.match(warning!.message, /more than 100 ms before/)
    for (const text of [warning!.message, JSON.stringify(made.told)]) assert.doesNotMatch(text, /aaaa|text/)
  })
})

describe('an honest cache is not accused', () => {
  async function isTrue(made: Audited, between: () => unknown, counted = 1): Promise<void> {
    await made.cache.load(KEY)
    await between()
    await made.clock.pass(10 * BOUND)
    assert.deepEqual([made.stats.audited, made.stats.stale, made.told], [counted, 0, []])
  }

  it('if the session is written between the answer and its audit', async (t) => {
    const made = await audited(t)
    await isTrue(made, () => made.writeElsewhere())
  })

  it('if the session is destroyed between the answer and its audit, here or elsewhere', async (t) => {
    const made = await audited(t)
    await isTrue(made, () => made.deleteElsewhere())
    const other = await audited(t)
    await isTrue(other, () => other.cache.delete(KEY))
  })

  it('if what was written is heard of within the bound', async (t) => {
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    await isTrue(made, async () => {
      await made.clock.pass(BOUND - 5)
      const { version } = made.store.elsewhere.load(KEY) as Found
      for (const listener of made.store.listeners) listener.saved(KEY, version)
    })
  })

  it('if it has read the session again, whatever the store gave it then', async (t) => {
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    await isTrue(made, async () => {
      await made.clock.pass(BOUND / 2)
      made.store.link.generation++
      await made.cache.load(KEY)
    })
  })

  it('if it serves nothing while the link does not vouch', async (t) => {
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    await isTrue(made, () => (made.store.link.isVouching = false))
  })

  it('if this process writes meanwhile', async (t) => {
    const made = await audited(t)
    await isTrue(made, async () =>
      made.cache.save(KEY, 'mine', Date.now() + HOUR, await made.store.elsewhere.load(KEY)),
    )
  })

  it('if the store has taken back what it had shown, as a failover does', async (t) => {
    let takenBack: Found | undefined
    const made = await audited(t, {
      seenAs: (store) => ({ ...store, load: (key) => takenBack ?? store.load(key) }),
    })
    const before = made.store.elsewhere.load(KEY) as Found
    made.writeElsewhere({ silently: true })
    await isTrue(made, async () => {
      await made.clock.pass(BOUND / 2)
      takenBack = before
    })
  })

  it('if the session has ended by its timeout, whatever the clock says meanwhile', async (t) => {
    for (const step of [0, HOUR, -HOUR]) {
      const made = await audited(t, { maxAge: 10 * HOUR })
      await made.clock.pass(HOUR - 2 * BOUND)
      await isTrue(made, async () => {
        // The store counts by its own clock.
        made.deleteElsewhere({ silently: true })
        made.clock.set(step)
      })
    }
  })

  it('if the clock is set forward or back', async (t) => {
    for (const step of [HOUR / 2, -HOUR / 2]) {
      const made = await audited(t)
      made.writeElsewhere({ silently: true })
      await isTrue(made, async () => {
        made.clock.set(step)
        await made.clock.pass(BOUND / 2)
        const { version } = made.store.elsewhere.load(KEY) as Found
        for (const listener of made.store.listeners) listener.saved(KEY, version)
      })
      await made.cache.load(KEY)
      await made.cache.load(KEY)
      await made.clock.pass(10 * BOUND)
      assert.deepEqual([made.stats.audited, made.stats.stale], [2, 0])
    }
  })

  it('if the store fails during the audit, of which nothing is then known', async (t) => {
    const made = await audited(t)
    made.store.fail('load', new Error('down'))
    await isTrue(made, () => {}, 0)
    const later = await audited(t)
    later.writeElsewhere({ silently: true })
    await isTrue(later, () => later.clock.pass(BOUND / 2).then(() => later.store.fail('load', new Error('down'))), 0)
    assert.equal(later.stats.errors, 1, 'that is counted as what it is')
  })
})

describe('an audit', () => {
  it('is of the share of answers that was asked for', async (t) => {
    const { cache, clock, stats } = await audited(t, { audit: 0.25 })
    const drawn = [0.1, 0.3, 0.2, 0.9]
    t.mock.method(Math, 'random', () => drawn.shift() ?? 1)
    for (let n = 0; n < 4; n++) await cache.load(KEY)
    await clock.pass(BOUND)
    assert.equal(stats.audited, 2)
  })

  it('is also of the answers that requests get without a promise', async (t) => {
    const clock = new SimulatedClock()
    clock.install()
    t.after(() => clock.restore())
    const store = recordingStore({ power: 'isCurrent', isSynchronous: true })
    void store.elsewhere.save(KEY, 'text', Date.now() + HOUR, undefined)
    const diagnostics = new Diagnostics('sid')
    const cache = { max: 1, maxBytes: 10_000, maxAge: MINUTE, allowStale: false, audit: 1 }
    const { front, hit } = storeStack(store, { encrypt: false, cache }, diagnostics)
    void front.load(KEY)
    assert.equal(hit(KEY, Date.now())?.text, 'text')
    assert.equal(store.count('load'), 1, 'the request does not wait for it')
    await clock.pass(1)
    assert.deepEqual([store.count('load'), diagnostics.stats.audited], [2, 1])
  })

  it('asks the store eight questions at once at most', async (t) => {
    const { cache, clock, store, stats } = await audited(t)
    store.holdAll('load')
    for (let n = 0; n < 100; n++) await cache.load(KEY)
    await clock.pass(BOUND)
    assert.equal(store.count('load'), 1 + 8)
    store.mend()
    await clock.pass(BOUND)
    assert.equal(stats.audited, 8)
    await cache.load(KEY)
    await clock.pass(BOUND)
    assert.equal(stats.audited, 9)
  })

  it('fails no request, however the store fails', async (t) => {
    let isDown = false
    const failing = (store: RecordingStore): Store => ({
      ...store,
      load(key) {
        if (isDown) throw new Error('down')
        return store.load(key)
      },
    })
    const made = await audited(t, { seenAs: failing })
    isDown = true
    assert.equal((await answered(made))?.text, 'text')
    assert.deepEqual([made.stats.audited, made.stats.errors], [0, 1])
  })

  it('belongs to no request', async (t) => {
    const request = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const made = await audited(t, {
      seenAs: (store) => ({ ...store, load: (key) => (seen.push(request.getStore()), store.load(key)) }),
    })
    made.writeElsewhere({ silently: true })
    await request.run('a request', () => made.cache.load(KEY))
    await made.clock.pass(2 * BOUND)
    assert.deepEqual(seen, [undefined, undefined, undefined])
  })

  it('ends with the sessions: nothing is asked after close', async (t) => {
    const made = await audited(t)
    made.writeElsewhere({ silently: true })
    await made.cache.load(KEY)
    await made.clock.pass(BOUND / 2)
    const held = made.store.hold('load')
    await made.cache.load(KEY)
    await made.clock.pass(1)
    const before = made.store.count('load')
    await made.cache.load(KEY)
    await made.close()
    held.release()
    await made.clock.pass(MINUTE)
    assert.equal(made.store.count('load'), before)
    assert.equal(made.stats.stale, 0)
  })

  it('keeps no process alive', async (t) => {
    const made = await audited(t, { inRealTime: true })
    // Longer than a machine can be busy: the audit must still wait when it is looked at.
    made.store.link.bound = MINUTE
    made.writeElsewhere({ silently: true })
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate').length
    const before = timers()
    await made.cache.load(KEY)
    assert.equal(timers(), before)
    const loads = made.store.count('load')
    await new Promise(setImmediate)
    await made.store.idle()
    assert.equal(made.store.count('load'), loads + 1, 'it has asked, and waits')
    assert.equal(timers(), before)
    await made.close()
  })

  it('leaves out what a link vouches for that does not say within which bound', async (t) => {
    const made = await audited(t)
    for (const bound of [undefined, Infinity, -1, NaN]) {
      made.store.link.bound = bound
      await answered(made)
    }
    assert.deepEqual([made.stats.audited, made.store.count('load')], [0, 1])
  })
})

describe('the audit finds each way to break the cache, in which the honest cache is not accused', () => {
  interface Scene extends Audited {
    /** The links to two masters; at first the session is with the first one. */
    readonly links: readonly [TestLink, TestLink]
    /** The session is with the second one from now on. */
    move(): void
  }

  interface TestLink {
    generation: number
    isVouching: boolean
  }

  const SCENES: Partial<Record<MutantName, { power?: Options['power']; perform: (scene: Scene) => unknown }>> = {
    /** Nothing is heard of the server any more. */
    noLease: {
      perform({ links, writeElsewhere }) {
        links[0].isVouching = false
        writeElsewhere({ silently: true })
      },
    },
    /** Nothing is heard of one server any more, but of the other. */
    sharedLease: {
      perform({ links, writeElsewhere }) {
        links[0].isVouching = false
        writeElsewhere({ silently: true })
      },
    },
    /** The session is with another server by now, which is not heard. */
    stickyOwner: {
      async perform({ links, move, cache, writeElsewhere }) {
        links[1].isVouching = false
        move()
        await cache.load(KEY)
        writeElsewhere({ silently: true })
      },
    },
    /** Messages were missed. */
    keptGeneration: {
      perform({ links, writeElsewhere }) {
        writeElsewhere({ silently: true })
        links[0].generation++
      },
    },
    /** The news of a write overtakes the answer to a read. */
    noToken: {
      async perform({ cache, store, links, writeElsewhere }) {
        links[0].generation++
        const held = store.hold('load', 'after')
        const loading = cache.load(KEY)
        await held.arrived
        writeElsewhere()
        held.release()
        await loading
      },
    },
    alwaysCurrent: { power: 'isCurrent', perform: ({ writeElsewhere }) => writeElsewhere({ silently: true }) },
    believeKnown: { perform: ({ writeElsewhere }) => writeElsewhere({ silently: true }) },
  }

  /** Two masters that tell of what is written, of which the session is with one. */
  function withTwoMasters(links: Scene['links'], master: { index: number }): (store: RecordingStore) => Store {
    const seen = links.map((link): Link => {
      return {
        get generation() {
          return link.generation
        },
        vouches: () => link.isVouching,
        bound: BOUND,
      }
    })
    return (store) => ({
      ...store,
      watch(listener: Listener) {
        store.listeners.add(listener)
        // The checker's way to all masters goes over keys of its own.
        const linkOf = (key: string): Link => seen[key === KEY ? master.index : 1]!
        return { linkOf, close: async () => void store.listeners.delete(listener) }
      },
    })
  }

  async function staleIn(test: TestContext, name: MutantName, mutant?: MutantName): Promise<number> {
    const links: Scene['links'] = [
      { generation: 1, isVouching: true },
      { generation: 2, isVouching: true },
    ]
    const master = { index: 0 }
    const { power, perform } = SCENES[name]!
    const isHeard = power === undefined && name !== 'believeKnown'
    const made = await audited(test, {
      mutant,
      ...(power && { power }),
      ...(isHeard ? { seenAs: withTwoMasters(links, master) } : !power && { seenAs: withoutPowers }),
    })
    const move = (): void => {
      links[0].generation++
      master.index = 1
    }
    await perform({ ...made, links, move })
    for (let n = 0; n < 3; n++) await answered(made)
    assert.ok(made.stats.audited > 0 || made.stats.hits === 0, 'something was audited, if something was answered')
    return made.stats.stale
  }

  const withoutPowers = ({ load, save, touch, delete: remove }: RecordingStore): Store => {
    return { load, save, touch, delete: remove }
  }

  for (const name of Object.keys(SCENES) as MutantName[]) {
    it(name, async (t) => {
      assert.equal(await staleIn(t, name), 0)
      assert.ok((await staleIn(t, name, name)) > 0)
    })
  }

  it('and of another key, nothing', async (t) => {
    const made = await audited(t)
    made.deleteElsewhere({ silently: true })
    await made.store.elsewhere.save(OTHER, 'text', Date.now() + HOUR, undefined)
    await made.cache.load(OTHER)
    await made.cache.load(OTHER)
    await made.clock.pass(10 * BOUND)
    assert.deepEqual([made.stats.audited, made.stats.stale], [1, 0])
  })
})
