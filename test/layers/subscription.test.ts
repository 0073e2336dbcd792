import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Diagnostics } from '../../src/diagnostics.ts'
import type { Link, Listener, Store } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { Subscription } from '../../src/layers/cached/subscription.ts'
import { clocksOf } from '../support/clocks.ts'

const KEY = 'a'.repeat(64)
const MINUTE = 60_000
/** The version under which this process is taken to have written. */
const OWN = 1_000_000

/** A store over which one can hear: what it is told to say, for as long as somebody listens. */
function audibleStore(): { store: Store; say(count: number): void; sayOwn(count: number): void; isHeard(): boolean } {
  let listener: Listener | undefined
  const link: Link = { generation: 1, vouches: () => true }
  const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
  return {
    store: {
      load,
      save,
      touch,
      delete: remove,
      watch(given) {
        listener = given
        return {
          linkOf: () => link,
          async close() {
            listener = undefined
          },
        }
      },
    },
    say(count) {
      for (let n = 0; n < count; n++) listener?.saved(KEY, n)
    },
    sayOwn(count) {
      for (let n = 0; n < count; n++) listener?.saved(KEY, OWN)
    },
    isHeard: () => listener !== undefined,
  }
}

function watch(store: Store, allowStale = false): { subscription: Subscription; stats: Diagnostics['stats'] } {
  const { stats } = new Diagnostics('sid')
  return {
    subscription: new Subscription(
      store,
      { saved() {}, deleted() {}, deaf() {}, isOwn: (_, version) => version === OWN },
      allowStale,
      stats,
    ),
    stats,
  }
}

describe('the cache’s ear at its store', () => {
  it('stops listening when a minute brought fewer hits than half the messages, and says so', (test) => {
    const clocks = clocksOf(test)
    const { store, say, isHeard } = audibleStore()
    const { subscription, stats } = watch(store)
    assert.ok(subscription.linkOf(KEY).vouches())
    stats.hits += 99
    say(199)
    clocks.pass(MINUTE)
    assert.equal(stats.cachePaused, false)
    say(1)
    assert.equal(stats.cachePaused, true)
    assert.equal(isHeard(), false)
    assert.equal(subscription.linkOf(KEY).vouches(), false)
  })

  it('listens again after five minutes', (test) => {
    const clocks = clocksOf(test)
    const { store, say, isHeard } = audibleStore()
    const { subscription, stats } = watch(store)
    say(200)
    clocks.pass(MINUTE)
    say(1)
    clocks.pass(5 * MINUTE - 1)
    assert.equal(subscription.linkOf(KEY).vouches(), false)
    clocks.pass(1)
    assert.equal(subscription.linkOf(KEY).vouches(), true)
    assert.equal(stats.cachePaused, false)
    assert.equal(isHeard(), true)
  })

  it('listens no more once it was closed while it rested', async (test) => {
    const clocks = clocksOf(test)
    const { store, say, isHeard } = audibleStore()
    const { subscription } = watch(store)
    say(200)
    clocks.pass(MINUTE)
    say(1)
    await subscription.close()
    clocks.pass(5 * MINUTE)
    assert.equal(subscription.linkOf(KEY).vouches(), false)
    assert.equal(isHeard(), false)
  })

  for (const [set, by] of [
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ] as const) {
    it(`rests for five minutes though the clock is set ${set} meanwhile`, (test) => {
      const clocks = clocksOf(test)
      const { store, say } = audibleStore()
      const { subscription } = watch(store)
      say(200)
      clocks.pass(MINUTE)
      say(1)
      clocks.set(by)
      clocks.pass(5 * MINUTE - 1)
      assert.equal(subscription.linkOf(KEY).vouches(), false)
      clocks.pass(1)
      assert.equal(subscription.linkOf(KEY).vouches(), true)
    })

    it(`compares a minute's hits and messages though the clock is set ${set} meanwhile`, (test) => {
      const clocks = clocksOf(test)
      const { store, say } = audibleStore()
      const { stats } = watch(store)
      clocks.set(by)
      say(200)
      clocks.pass(MINUTE - 1)
      say(1)
      assert.equal(stats.cachePaused, false)
      clocks.pass(1)
      say(1)
      assert.equal(stats.cachePaused, true)
    })
  }

  it('goes on where it pays, however many messages there are', (test) => {
    const clocks = clocksOf(test)
    const { store, say } = audibleStore()
    const { stats } = watch(store)
    for (let minute = 0; minute < 10; minute++) {
      stats.hits += 5_000
      say(9_999)
      clocks.pass(MINUTE)
      say(1)
      assert.equal(stats.cachePaused, false)
    }
  })

  it('does not count the echo of what this process writes itself', (test) => {
    const clocks = clocksOf(test)
    const { store, say, sayOwn } = audibleStore()
    const { stats } = watch(store)
    sayOwn(10_000)
    clocks.pass(MINUTE)
    say(1)
    assert.equal(stats.cachePaused, false)
  })

  it('does not mind a handful of messages without a hit', (test) => {
    const clocks = clocksOf(test)
    const { store, say } = audibleStore()
    const { stats } = watch(store)
    say(98)
    clocks.pass(MINUTE)
    say(1)
    assert.equal(stats.cachePaused, false)
  })

  it('takes the word of a store that answers for each entry, and no other store’s unless staleness is allowed', () => {
    const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
    const mute: Store = { load, save, touch, delete: remove }
    assert.equal(
      watch(memoryStore({ pruneInterval: 0 }))
        .subscription.linkOf(KEY)
        .vouches(),
      true,
    )
    assert.equal(watch(mute).subscription.linkOf(KEY).vouches(), false)
    assert.equal(watch(mute, true).subscription.linkOf(KEY).vouches(), true)
  })

  it('allows no staleness on account of a pause', (test) => {
    const clocks = clocksOf(test)
    const { store, say } = audibleStore()
    const { subscription } = watch(store, true)
    say(200)
    clocks.pass(MINUTE)
    say(1)
    assert.equal(subscription.linkOf(KEY).vouches(), false)
  })
})
