import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { cached, type CacheOptions } from '../../src/layers/cached.ts'
import type { CachingStore } from '../../src/layers/cached/caching-store.ts'
import { Diagnostics, type SessionStats } from '../../src/diagnostics.ts'
import type { Found, Store } from '../../src/store.ts'
import { clocksOf } from '../support/clocks.ts'
import { recordingStore, type RecordingOptions, type RecordingStore } from '../support/stores/recording-store.ts'

const KEY = 'a'.repeat(64)
const HOUR = 3_600_000

interface Cached {
  /** The store behind the cache. */
  store: RecordingStore
  /** The cache. */
  cache: CachingStore
  stats: SessionStats
  /** What another process has written as the newest version, and said so or not. */
  writeElsewhere(options?: { silently?: boolean }): Found
  deleteElsewhere(options?: { silently?: boolean }): void
  /** Whether a load is answered without asking the store. */
  isHit(key?: string): Promise<boolean>
}

interface Options extends Omit<RecordingOptions, 'power'>, CacheOptions {
  power?: RecordingOptions['power'] | 'none'
  allowStale?: boolean
  /** Nothing is in the store yet. */
  isEmpty?: boolean
}

function cachedStore({
  power = 'watch',
  isSynchronous = false,
  allowStale = false,
  isEmpty = false,
  ...bounds
}: Options = {}): Cached {
  const store = recordingStore({ ...(power !== 'none' && { power }), isSynchronous })
  const diagnostics = new Diagnostics('sid')
  const cache = cached(store, { max: 100, maxBytes: 1_000_000, maxAge: 60_000, allowStale, ...bounds }, diagnostics)
  if (!isEmpty) void store.elsewhere.save(KEY, 'text', Date.now() + HOUR, undefined)
  return {
    store,
    cache,
    stats: diagnostics.stats,
    writeElsewhere({ silently = false } = {}) {
      const found = store.elsewhere.load(KEY) as Found | undefined
      const { saved } = store.elsewhere.save(KEY, `text ${Math.random()}`, Date.now() + HOUR, found) as { saved: Found }
      if (!silently) for (const listener of store.listeners) listener.saved(KEY, saved.version)
      return saved
    },
    deleteElsewhere({ silently = false } = {}) {
      assert.equal(store.elsewhere.delete(KEY), true)
      if (!silently) for (const listener of store.listeners) listener.deleted(KEY)
    },
    async isHit(key = KEY) {
      const before = store.count('load')
      await cache.load(key)
      return store.count('load') === before
    },
  }
}

function mockDate(test: TestContext): void {
  test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
}

describe('a key that is not in the cache', () => {
  it('is loaded, and then served without the store', async () => {
    const { cache, isHit, stats, store } = cachedStore()
    const found = await cache.load(KEY)
    assert.equal(found?.text, 'text')
    assert.equal(await isHit(), true)
    assert.equal(await cache.load(KEY), found, 'the same object, with what was decoded of it')
    assert.equal(store.count('load'), 1)
    assert.equal(stats.hits, 2)
  })

  it('is served at once from the cache, and at once from a store that answers at once', () => {
    const { cache } = cachedStore({ isSynchronous: true })
    assert.equal((cache.load(KEY) as Found).text, 'text')
    assert.equal((cache.load(KEY) as Found).text, 'text')
  })

  it('is asked for at every load while there is none', async () => {
    const { cache, isHit } = cachedStore({ isEmpty: true })
    assert.equal(await cache.load(KEY), undefined)
    assert.equal(await isHit(), false)
  })

  it('is in the cache once it was saved through it', async () => {
    const { cache, isHit } = cachedStore({ isEmpty: true })
    const { saved } = await cache.save(KEY, 'mine', Date.now() + HOUR, undefined)
    assert.equal(await isHit(), true)
    assert.equal(await cache.load(KEY), saved)
  })

  it('passes failures on, and keeps nothing', async () => {
    const { cache, store, isHit } = cachedStore()
    store.fail('load', new Error('down'))
    await assert.rejects(async () => cache.load(KEY), /down/)
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), true)
  })
})

describe('a load under way', () => {
  it('is not kept if a newer version is told of meanwhile', async () => {
    const { cache, store, writeElsewhere, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    writeElsewhere()
    held.release()
    assert.equal((await loading)?.text, 'text', 'the answer is given to who asked')
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), true)
  })

  it('is kept if it is itself the version that is told of', async () => {
    const { cache, store, writeElsewhere, isHit } = cachedStore()
    const held = store.hold('load')
    const loading = cache.load(KEY)
    await held.arrived
    const newest = writeElsewhere()
    held.release()
    assert.equal((await loading)?.text, newest.text)
    assert.equal(await isHit(), true)
  })

  it('is not kept if a deletion is told of meanwhile', async () => {
    const { cache, store, deleteElsewhere, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    deleteElsewhere()
    held.release()
    assert.equal((await loading)?.text, 'text')
    assert.equal(await isHit(), false)
    assert.equal(await cache.load(KEY), undefined)
  })

  it('is not kept if this process saved meanwhile; the own save is', async () => {
    const { cache, store, isHit } = cachedStore()
    const before = store.elsewhere.load(KEY) as Found
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    await cache.save(KEY, 'mine', Date.now() + HOUR, before)
    held.release()
    assert.equal((await loading)?.text, 'text')
    assert.equal(await isHit(), true)
    assert.equal((await cache.load(KEY))?.text, 'mine')
  })

  it('is not kept if this process deleted meanwhile', async () => {
    const { cache, store, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    await cache.delete(KEY)
    held.release()
    await loading
    assert.equal(await isHit(), false)
  })

  it('is not kept if a write of this process failed meanwhile', async () => {
    const { cache, store, isHit } = cachedStore()
    const before = store.elsewhere.load(KEY) as Found
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    store.fail('save', new Error('cut'), 'after')
    await assert.rejects(async () => cache.save(KEY, 'mine', Date.now() + HOUR, before))
    held.release()
    await loading
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, 'mine')
  })

  it('is not kept if messages may have been missed meanwhile', async () => {
    const { cache, store, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    store.link.generation++
    held.release()
    await loading
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), true)
  })

  it('hears nothing of other keys', async () => {
    const { cache, store, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const loading = cache.load(KEY)
    await held.arrived
    for (const listener of store.listeners) {
      listener.deleted('b'.repeat(64))
      listener.saved('c'.repeat(64), 1e9)
    }
    held.release()
    await loading
    assert.equal(await isHit(), true)
  })
})

describe('what a request of this process has been shown, by a way on which the message of the change has not come', () => {
  for (const change of ['a write', 'an end'] as const) {
    /** Changes the record without a word of it; what it then is. */
    function changed({ writeElsewhere, deleteElsewhere }: Cached): string | undefined {
      if (change === 'a write') return writeElsewhere({ silently: true }).text
      deleteElsewhere({ silently: true })
      return undefined
    }

    it(`is not followed by anything older: ${change}, shown by an answer that another link was asked for`, async () => {
      const site = cachedStore()
      const { cache, store, isHit } = site
      const held = store.hold('load')
      const slow = cache.load(KEY)
      await held.arrived
      store.link.generation++
      await cache.load(KEY)
      assert.equal(await isHit(), true)
      const newest = changed(site)
      held.release()
      assert.equal((await slow)?.text, newest)
      assert.equal((await cache.load(KEY))?.text, newest)
    })

    it(`is not followed by anything older: ${change}, shown while an older answer is on its way`, async () => {
      const site = cachedStore()
      const { cache, store } = site
      const slow = store.hold('load')
      const first = cache.load(KEY)
      await slow.arrived
      store.link.generation++
      const late = store.hold('load', 'after')
      const second = cache.load(KEY)
      await late.arrived
      const newest = changed(site)
      slow.release()
      assert.equal((await first)?.text, newest)
      late.release()
      await second
      assert.equal((await cache.load(KEY))?.text, newest)
    })

    it(`is not followed by anything older: ${change}, shown to somebody who asked past the cache`, async () => {
      const site = cachedStore()
      const { cache, isHit } = site
      await cache.load(KEY)
      assert.equal(await isHit(), true)
      const newest = changed(site)
      assert.equal((await cache.behind.load(KEY))?.text, newest)
      assert.equal((await cache.load(KEY))?.text, newest)
    })
  }

  it('leaves what is newer in the cache', async () => {
    const { cache, store, writeElsewhere, isHit } = cachedStore()
    const held = store.hold('load', 'after')
    const asking = cache.behind.load(KEY)
    await held.arrived
    writeElsewhere()
    await cache.load(KEY)
    held.release()
    assert.equal((await asking)?.text, 'text')
    assert.equal(await isHit(), true)
  })
})

describe('a load that comes while another of its key is under way', () => {
  async function second(
    options: Options,
    between: (cached: Cached, test: TestContext) => void,
    test: TestContext,
  ): Promise<number> {
    const made = cachedStore(options)
    const held = made.store.hold('load', 'after')
    const first = made.cache.load(KEY)
    await held.arrived
    between(made, test)
    const later = made.cache.load(KEY)
    held.release()
    await Promise.all([first, later])
    return made.store.count('load')
  }

  it('waits for the same answer', async (t) => {
    clocksOf(t)
    assert.equal(await second({}, () => {}, t), 1)
  })

  it('asks for itself if something was told of the key meanwhile', async (t) => {
    assert.equal(await second({}, ({ writeElsewhere }) => void writeElsewhere(), t), 2)
    assert.equal(await second({}, ({ deleteElsewhere }) => deleteElsewhere(), t), 2)
  })

  it('asks for itself if messages may have been missed meanwhile', async (t) => {
    assert.equal(await second({}, ({ store }) => store.link.generation++, t), 2)
  })

  it('asks for itself if the first has been under way for a second, whatever the wall clock says', async (t) => {
    const clocks = clocksOf(t)
    for (const by of [0, -HOUR, HOUR]) {
      for (const [length, loads] of [[999, 1] as const, [1000, 2] as const]) {
        const passes = (): void => {
          clocks.set(by)
          clocks.pass(length)
        }
        assert.equal(await second({}, passes, t), loads)
        clocks.set(-by)
      }
    }
  })

  it('asks for itself while the link does not vouch, or there is none', async (t) => {
    assert.equal(await second({}, ({ store }) => (store.link.isVouching = false), t), 2)
    const { cache, store } = cachedStore()
    const bare = cached(
      { load: store.load, save: store.save, touch: store.touch, delete: store.delete },
      { max: 5, maxBytes: 5000, maxAge: 5, allowStale: false },
      new Diagnostics('sid'),
    )
    await Promise.all([bare.load(KEY), bare.load(KEY)])
    assert.equal(store.count('load'), 2)
    await cache.close?.()
  })

  it('asks for itself where isCurrent promises the newest state', async (t) => {
    assert.equal(await second({ power: 'isCurrent' }, () => {}, t), 2)
  })

  it('is not told the failure of a load that began after it', async () => {
    const { cache, store } = cachedStore()
    const held = store.hold('load')
    const first = cache.load(KEY)
    await held.arrived
    store.link.generation++
    store.fail('load', new Error('down'))
    await assert.rejects(async () => cache.load(KEY), /down/)
    held.release()
    assert.equal((await first)?.text, 'text')
  })
})

describe('a key that is in the cache', () => {
  async function filled(options: Options = {}): Promise<Cached> {
    const made = cachedStore(options)
    await made.cache.load(KEY)
    assert.equal(await made.isHit(), true)
    return made
  }

  it('is forgotten when a newer version is told of', async () => {
    const { writeElsewhere, isHit, cache } = await filled()
    const newest = writeElsewhere()
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, newest.text)
  })

  it('stays when a version is told of that it is already at, or beyond', async () => {
    const { store, isHit, cache } = await filled()
    const { version } = (await cache.load(KEY)) as Found
    for (const listener of store.listeners) {
      listener.saved(KEY, version)
      listener.saved(KEY, version - 1)
    }
    assert.equal(await isHit(), true)
  })

  it('is forgotten when a deletion is told of', async () => {
    const { deleteElsewhere, cache } = await filled()
    deleteElsewhere()
    assert.equal(await cache.load(KEY), undefined)
  })

  it('is forgotten before a deletion is sent, and after it was answered', async () => {
    const { cache, store, isHit } = await filled()
    const held = store.hold('delete')
    const deleting = cache.delete(KEY)
    await held.arrived
    assert.equal(await isHit(), false, 'nobody is served from the cache while it travels')
    held.release()
    assert.equal(await deleting, true)
    assert.equal(await cache.load(KEY), undefined, 'nor what was loaded meanwhile')
  })

  it('is forgotten by a deletion that failed', async () => {
    const { cache, store, isHit } = await filled()
    store.fail('delete', new Error('cut'), 'after')
    await assert.rejects(async () => cache.delete(KEY))
    assert.equal(await isHit(), false)
  })

  it('is forgotten by a deletion that failed at once', async () => {
    const { store, isHit } = await filled()
    const diagnostics = new Diagnostics('sid')
    const throwing = cached(
      {
        ...store,
        delete() {
          throw new Error('down')
        },
        save() {
          throw new Error('down')
        },
      },
      { max: 5, maxBytes: 5000, maxAge: HOUR, allowStale: false },
      diagnostics,
    )
    for (const write of [() => throwing.delete(KEY), () => throwing.save(KEY, 'x', 1, undefined)]) {
      await throwing.load(KEY)
      assert.throws(write, /down/)
      assert.equal(diagnostics.stats.cacheSize, 0)
    }
    assert.equal(await isHit(), true)
  })

  it('becomes what this process saved', async () => {
    const { cache, isHit } = await filled()
    const { saved } = await cache.save(KEY, 'mine', Date.now() + HOUR, await cache.load(KEY))
    assert.equal(await isHit(), true)
    assert.equal(await cache.load(KEY), saved)
  })

  it('becomes what a lost race told of', async () => {
    const { cache, writeElsewhere, isHit } = await filled()
    const before = (await cache.load(KEY)) as Found
    const newest = writeElsewhere({ silently: true })
    const { conflict } = await cache.save(KEY, 'mine', Date.now() + HOUR, before)
    assert.equal(conflict?.text, newest.text)
    assert.equal(await isHit(), true)
    assert.equal(await cache.load(KEY), conflict)
  })

  it('is forgotten when a save learns that it is gone', async () => {
    const { cache, deleteElsewhere } = await filled()
    const before = (await cache.load(KEY)) as Found
    deleteElsewhere({ silently: true })
    assert.deepEqual(await cache.save(KEY, 'mine', Date.now() + HOUR, before), { gone: true })
    assert.equal(await cache.load(KEY), undefined)
  })

  it('is not replaced by an own save of which something newer was told before the answer', async () => {
    const { cache, store, writeElsewhere, isHit } = await filled()
    const held = store.hold('save', 'after')
    const saving = cache.save(KEY, 'mine', Date.now() + HOUR, await cache.load(KEY))
    await held.arrived
    const newest = writeElsewhere()
    held.release()
    await saving
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, newest.text)
  })

  it('is not served on after an own save that cannot be kept', async () => {
    const { cache, store, isHit } = await filled()
    const before = (await cache.load(KEY)) as Found
    const held = store.hold('save')
    const saving = cache.save(KEY, 'mine', Date.now() + HOUR, before)
    await held.arrived
    store.link.generation++
    await cache.load(KEY) // the old version, and kept: it is newest still
    held.release()
    await saving
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, 'mine')
  })

  it('keeps the newer of two own saves, whichever is answered first', async () => {
    const { cache, store } = await filled()
    const held = store.hold('save', 'after')
    const first = cache.save(KEY, 'first', Date.now() + HOUR, await cache.load(KEY))
    await held.arrived
    const second = await cache.save(KEY, 'second', Date.now() + HOUR, store.elsewhere.load(KEY) as Found)
    held.release()
    await first
    assert.equal(await cache.load(KEY), second.saved)
  })

  it('is forgotten when the outcome of a save is unknown', async () => {
    const { cache, store, isHit } = await filled()
    store.fail('save', new Error('cut'), 'after')
    await assert.rejects(async () => cache.save(KEY, 'mine', Date.now() + HOUR, await cache.load(KEY)))
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, 'mine')
  })

  it('is forgotten when messages may have been missed', async () => {
    const { store, isHit } = await filled()
    store.link.generation++
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), true)
  })

  it('is not served while the link does not vouch, and is again when it does', async () => {
    const { store, isHit, stats } = await filled()
    store.link.isVouching = false
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), false)
    assert.equal(stats.bypasses, 2)
    store.link.isVouching = true
    assert.equal(await isHit(), true)
  })

  it('is not served if the store says by isCurrent that it is not the newest', async () => {
    const { writeElsewhere, deleteElsewhere, isHit, cache } = await filled({ power: 'isCurrent' })
    const newest = writeElsewhere()
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, newest.text)
    assert.equal(await isHit(), true)
    deleteElsewhere()
    assert.equal(await cache.load(KEY), undefined)
  })

  it('is served for maxAge, counted from when it was read and not from when it was last served', async (t) => {
    const clocks = clocksOf(t)
    const { isHit } = await filled({ maxAge: 1000 })
    clocks.pass(600)
    assert.equal(await isHit(), true)
    clocks.pass(400)
    assert.equal(await isHit(), true)
    clocks.pass(1)
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), true)
  })

  for (const by of [-500, -HOUR, 500]) {
    it(`is served for no longer than maxAge though the clock is set by ${by} ms meanwhile`, async (t) => {
      const clocks = clocksOf(t)
      for (const allowStale of [false, true]) {
        const { isHit, deleteElsewhere } = await filled({
          maxAge: 1000,
          allowStale,
          power: allowStale ? 'none' : 'watch',
        })
        clocks.pass(600)
        clocks.set(by)
        deleteElsewhere({ silently: true })
        clocks.pass(401)
        assert.equal(await isHit(), false)
      }
    })
  }

  it('is served no more after the machine was suspended for maxAge, during which the monotonic clock stands still', async (t) => {
    const clocks = clocksOf(t)
    const { isHit } = await filled({ maxAge: 1000 })
    clocks.set(1001)
    assert.equal(await isHit(), false)
  })

  it('is served on though the clock is set back, because its age is known', async (t) => {
    const clocks = clocksOf(t)
    const { isHit } = await filled({ maxAge: 1000 })
    clocks.set(-HOUR)
    assert.equal(await isHit(), true)
  })

  it('is not believed to be expired: another process may have extended it', async (t) => {
    mockDate(t)
    const { cache, store, isHit } = await filled({ maxAge: 10 * HOUR })
    await store.elsewhere.touch(KEY, Date.now() + 3 * HOUR)
    t.mock.timers.tick(2 * HOUR)
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text, 'text')
    assert.equal(await isHit(), true)
  })

  it('has the end that this process gave it by a touch', async (t) => {
    mockDate(t)
    const { cache, isHit } = await filled({ maxAge: 10 * HOUR })
    const before = (await cache.load(KEY)) as Found
    before.parsed = 'what was decoded'
    const end = Date.now() + 3 * HOUR
    assert.equal(await cache.touch(KEY, end), true)
    t.mock.timers.tick(2 * HOUR)
    assert.equal(await isHit(), true)
    assert.deepEqual(await cache.load(KEY), { ...before, expiresAt: end })
  })

  it('has the nearer end that a save has set while a touch was under way', async (t) => {
    mockDate(t)
    const { cache, store, isHit } = cachedStore()
    const found = await cache.load(KEY)
    const touch = store.hold('touch', 'after')
    const touching = cache.touch(KEY, Date.now() + 3 * HOUR)
    await touch.arrived
    const end = Date.now() + 1000
    await cache.save(KEY, 'ends soon', end, found)
    touch.release()
    assert.equal(await touching, true)
    assert.equal((await cache.load(KEY))?.expiresAt, end)
    t.mock.timers.tick(1000)
    assert.equal(await isHit(), false)
  })

  it('is forgotten by a touch that finds nothing', async () => {
    const { cache, deleteElsewhere } = await filled()
    deleteElsewhere({ silently: true })
    assert.equal(await cache.touch(KEY, Date.now() + HOUR), false)
    assert.equal(await cache.load(KEY), undefined)
  })

  it('keeps what was decoded of it when it is read again and is the same', async (t) => {
    mockDate(t)
    const { cache } = await filled({ maxAge: 1000 })
    const before = (await cache.load(KEY)) as Found
    before.parsed = 'what was decoded'
    t.mock.timers.tick(2000)
    assert.equal((await cache.load(KEY))?.parsed, 'what was decoded')
  })
})

describe('the echo of an own save that comes before its answer', () => {
  /** A cached session, an own save of it that the store has done and not yet answered, and what is told of dropping. */
  async function saving(test: TestContext): Promise<Cached & { answer(): Promise<void>; told: unknown[] }> {
    const made = cachedStore()
    const found = await made.cache.load(KEY)
    const told: unknown[] = []
    const onMessage = (message: unknown): void => void told.push(message)
    subscribe('koa-server-session:invalidate', onMessage)
    test.after(() => unsubscribe('koa-server-session:invalidate', onMessage))
    const held = made.store.hold('save', 'after')
    const saved = made.cache.save(KEY, 'mine', Date.now() + HOUR, found)
    await held.arrived
    return {
      ...made,
      told,
      async answer() {
        held.release()
        await saved
      },
    }
  }

  function echo({ store }: Cached): void {
    const { version } = store.elsewhere.load(KEY) as Found
    for (const listener of store.listeners) listener.saved(KEY, version)
  }

  it('drops nothing, so that the answer replaces the entry in place', async (t) => {
    const made = await saving(t)
    echo(made)
    assert.equal(made.stats.cacheSize, 1)
    await made.answer()
    assert.equal(await made.isHit(), true)
    assert.equal((await made.cache.load(KEY))?.text, 'mine')
    assert.deepEqual(made.told, [])
  })

  it('ends at once what the older entry may be served for: it may be the message of another process', async (t) => {
    const made = await saving(t)
    echo(made)
    assert.equal(await made.isHit(), false)
    await made.answer()
  })

  it('is told from what another process wrote', async (t) => {
    const made = await saving(t)
    echo(made)
    const theirs = made.writeElsewhere()
    await made.answer()
    assert.equal(made.told.length, 1)
    assert.equal(await made.isHit(), false)
    assert.equal((await made.cache.load(KEY))?.text, theirs.text)
  })

  it('is none if the save lost its race: what the other process wrote is told, once, and is then in the cache', async (t) => {
    const made = cachedStore()
    const found = await made.cache.load(KEY)
    const told: unknown[] = []
    const onMessage = (message: unknown): void => void told.push(message)
    subscribe('koa-server-session:invalidate', onMessage)
    t.after(() => unsubscribe('koa-server-session:invalidate', onMessage))
    const held = made.store.hold('save')
    const saved = made.cache.save(KEY, 'mine', Date.now() + HOUR, found)
    await held.arrived
    const theirs = made.writeElsewhere()
    held.release()
    assert.ok((await saved).conflict)
    assert.equal(told.length, 1)
    assert.equal(await made.isHit(), true)
    assert.equal((await made.cache.load(KEY))?.text, theirs.text)
  })
})

describe('what this process changes itself', () => {
  it('is not told as what another process has changed', async (t) => {
    const { cache, store } = cachedStore()
    const told: unknown[] = []
    const onMessage = (message: unknown): void => void told.push(message)
    subscribe('koa-server-session:invalidate', onMessage)
    t.after(() => unsubscribe('koa-server-session:invalidate', onMessage))
    const found = await cache.load(KEY)
    store.fail('save', new Error('cut'))
    await assert.rejects(async () => cache.save(KEY, 'mine', Date.now() + HOUR, found))
    await cache.load(KEY)
    const held = store.hold('delete', 'after')
    const deleted = cache.delete(KEY)
    await held.arrived
    for (const listener of store.listeners) listener.deleted(KEY)
    held.release()
    assert.equal(await deleted, true)
    assert.deepEqual(told, [])
  })
})

describe('two caches over one store', () => {
  it('are apart: one that stops listening believes nothing that it holds, though the other keeps the link alive', async (test) => {
    const clocks = clocksOf(test)
    const { store, cache, stats, isHit, writeElsewhere } = cachedStore({ maxAge: HOUR })
    const bounds = { max: 100, maxBytes: 1_000_000, maxAge: HOUR, allowStale: false }
    const other = cached(store, bounds, new Diagnostics('other'))
    for (let hits = 0; hits < 200; hits++) await other.load(KEY)
    const hear = (): void => {
      for (const listener of store.listeners) listener.deleted('c'.repeat(64))
    }
    for (let messages = 0; messages < 200; messages++) hear()
    clocks.pass(59_000)
    await cache.load(KEY)
    clocks.pass(1_000)
    assert.equal(await isHit(), true)
    assert.equal(stats.cachePaused, false)
    hear() // too many for too few hits
    assert.equal(stats.cachePaused, true)
    assert.equal(store.listeners.size, 1, 'the other one goes on')
    const { text } = writeElsewhere()
    assert.equal((await cache.load(KEY))?.text, text)
    clocks.pass(300_000)
    assert.equal((await cache.load(KEY))?.text, text)
    assert.equal(stats.cachePaused, false)
  })
})

describe('a store that can say nothing about what is cached', () => {
  const bare = (store: RecordingStore): Store => ({
    load: store.load,
    save: store.save,
    touch: store.touch,
    delete: store.delete,
  })

  it('is asked every time', async () => {
    const store = recordingStore()
    const cache = cached(
      bare(store),
      { max: 5, maxBytes: 5000, maxAge: HOUR, allowStale: false },
      new Diagnostics('sid'),
    )
    await cache.save(KEY, 'text', Date.now() + HOUR, undefined)
    await cache.load(KEY)
    await cache.load(KEY)
    assert.equal(store.count('load'), 2)
  })

  it('is asked once in maxAge if the user accepts that', async (t) => {
    const clocks = clocksOf(t)
    const store = recordingStore()
    const cache = cached(
      bare(store),
      { max: 5, maxBytes: 5000, maxAge: 1000, allowStale: true },
      new Diagnostics('sid'),
    )
    await cache.save(KEY, 'text', Date.now() + HOUR, undefined)
    await cache.load(KEY)
    assert.equal(store.count('load'), 0)
    clocks.pass(1001)
    await Promise.all([cache.load(KEY), cache.load(KEY)])
    assert.equal(store.count('load'), 1)
  })
})

describe('the size of the cache', () => {
  const keyOf = (index: number): string => String(index).padStart(64, '0')

  it('is bounded by a number of sessions, of which the last used stay', async () => {
    const { cache, isHit, stats } = cachedStore({ max: 10, isEmpty: true })
    for (let index = 0; index < 50; index++) {
      await cache.save(keyOf(index), 'text', Date.now() + HOUR, undefined)
      assert.equal(await isHit(keyOf(0)), true)
      assert.ok(stats.cacheSize <= 10)
    }
    assert.equal(stats.cacheSize, 10)
    assert.equal(await isHit(keyOf(49)), true)
    assert.equal(await isHit(keyOf(1)), false)
  })

  it('is bounded by bytes', async () => {
    const { cache, stats } = cachedStore({ max: 1000, maxBytes: 50_000, isEmpty: true })
    for (let index = 0; index < 100; index++) {
      await cache.save(keyOf(index), 'x'.repeat(1000), Date.now() + HOUR, undefined)
      assert.ok(stats.cacheBytes <= 50_000)
    }
    assert.ok(stats.cacheSize > 5 && stats.cacheSize < 20)
  })

  it('has no room for a session that is larger than all of it, which is loaded each time', async () => {
    const { cache, isHit } = cachedStore({ maxBytes: 5000, isEmpty: true })
    await cache.save(KEY, 'x'.repeat(10_000), Date.now() + HOUR, undefined)
    assert.equal(await isHit(), false)
    assert.equal(await isHit(), false)
    assert.equal((await cache.load(KEY))?.text.length, 10_000)
  })

  it('is nothing after it was closed; the store behind lives on, and is told no more', async () => {
    const { cache, store, stats } = cachedStore()
    await cache.load(KEY)
    await cache.close?.()
    assert.equal(store.listeners.size, 0)
    assert.deepEqual([stats.cacheSize, stats.cacheBytes], [0, 0])
    assert.equal((await cache.load(KEY))?.text, 'text')
  })
})

describe('the cache as a store', () => {
  it('has the powers of the store behind it, and no others', () => {
    const { cache } = cachedStore({ power: 'isCurrent' })
    assert.equal(typeof cache.isCurrent, 'function')
    assert.equal(cachedStore().cache.isCurrent, undefined)
    assert.equal(cache.keys, undefined)
  })
})
