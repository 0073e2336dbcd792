import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import { CommitQueue, type Committed, type Write } from '../../src/session/commit-queue.ts'
import { SubjectNotes } from '../../src/session/subject-notes.ts'
import { Diagnostics } from '../../src/diagnostics.ts'
import { format, recordOf } from '../../src/record/format.ts'
import { merge, newRecord, type SessionRecord } from '../../src/record/record.ts'
import type { Found, Saved, Store } from '../../src/store.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { clocksOf } from '../support/clocks.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { flashOf, recordWith } from '../support/records/records.ts'
import { discreet } from '../support/secrecy.ts'

const KEY = 'a'.repeat(64)
const SECRET = 'the-value-nobody-may-read'
const codec = new Codec()
const initial = newRecord(Date.now(), { idleTimeout: 60_000, absoluteTimeout: 600_000, persistent: false })

function committing(store: Store, maxRecordBytes = 65_536): { commits: CommitQueue; diagnostics: Diagnostics } {
  const diagnostics = new Diagnostics('sid')
  return { commits: new CommitQueue(store, store, new SubjectNotes(store), maxRecordBytes, diagnostics), diagnostics }
}

function withValue(record: SessionRecord, name: string, value: unknown): SessionRecord {
  return merge(record, { entries: new Map([[name, new Entry(codec.encode(value, name))]]) })
}

function valueOf(record: SessionRecord, name: string): unknown {
  return record.entries.get(name)?.read(codec, name)
}

/** A write that sets this; on a record that is `found`, or one that is to be made. */
function setting(name: string, value: unknown, found?: Found, rest: Partial<Write> = {}): Write {
  return {
    found,
    mustRead: false,
    initial: found ? undefined : initial,
    apply: (record) => withValue(record, name, value),
    ...rest,
  }
}

function incrementing(name: string, found?: Found): Write {
  return {
    ...setting(name, 0, found),
    apply: (record) => withValue(record, name, Number(valueOf(record, name) ?? 0) + 1),
  }
}

/** The record as it stands after a write that was stored. */
function storedBy(committed: Committed): Exclude<Committed, string> {
  if (typeof committed === 'string') throw new Error(`It is ${committed}.`)
  return committed
}

/** A record that is in the store already. */
async function stored(store: RecordingStore, record: SessionRecord = initial): Promise<Found> {
  const { saved } = await store.elsewhere.save(KEY, format(record), Date.now() + 60_000, undefined)
  assert.ok(saved)
  return saved
}

async function nowIn(store: RecordingStore): Promise<SessionRecord | undefined> {
  const found = await store.elsewhere.load(KEY)
  return found && recordOf(found)
}

/** Another process writes, between two steps of this one. */
function elsewhere(store: RecordingStore, name: string, value: unknown): void {
  const found = store.elsewhere.load(KEY) as Found
  const { saved } = store.elsewhere.save(
    KEY,
    format(withValue(recordOf(found), name, value)),
    Date.now() + 60_000,
    found,
  ) as Saved
  assert.ok(saved)
}

describe('one writer', () => {
  it('makes a record that was not there, and changes one that was', async () => {
    const store = recordingStore()
    const { commits } = committing(store)
    const made = storedBy(await commits.commit(KEY, setting('a', 1)))
    const changed = storedBy(await commits.commit(KEY, setting('b', 2, made.found)))
    assert.deepEqual(changed.record, await nowIn(store))
    assert.deepEqual([valueOf(changed.record, 'a'), valueOf(changed.record, 'b')], [1, 2])
    assert.deepEqual(store.calls, ['save', 'save'])
  })

  it('makes a record with nothing in it, if that is asked for', async () => {
    const store = recordingStore()
    await committing(store).commits.commit(KEY, { ...setting('a', 1), apply: (record) => record })
    assert.equal((store.elsewhere.load(KEY) as Found).text, format(initial))
  })

  it('saves nothing if nothing changes', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const committed = await committing(store).commits.commit(KEY, {
      ...setting('a', 1, found),
      apply: (record) => record,
    })
    assert.equal(storedBy(committed).found, found)
    assert.deepEqual(store.calls, [])
  })

  it('asks for the newest record before it says that nothing changes, if that must be exact', async () => {
    const store = recordingStore()
    const found = await stored(store)
    elsewhere(store, 'a', 1)
    const seen: unknown[] = []
    const write = {
      ...setting('a', 1, found),
      isExact: true,
      apply: (record: SessionRecord) => (seen.push(valueOf(record, 'a')), record),
    }
    await committing(store).commits.commit(KEY, write)
    assert.equal(seen.at(-1), 1)
  })

  it('merges onto what another process wrote meanwhile', async () => {
    const store = recordingStore()
    const found = await stored(store)
    elsewhere(store, 'theirs', 1)
    const { commits, diagnostics } = committing(store)
    await commits.commit(KEY, setting('mine', 2, found))
    const record = (await nowIn(store)) as SessionRecord
    assert.deepEqual([valueOf(record, 'theirs'), valueOf(record, 'mine')], [1, 2])
    assert.deepEqual(store.calls, ['save', 'save'], 'without reading, because the conflict told what is there')
    assert.equal(diagnostics.stats.conflicts, 1)
  })

  it('leaves gone what is gone', async () => {
    const store = recordingStore()
    const found = await stored(store)
    await store.elsewhere.delete(KEY)
    const { commits } = committing(store)
    assert.equal(await commits.commit(KEY, setting('a', 1, found)), 'gone')
    assert.equal(await nowIn(store), undefined)
    const lost = setting('a', 1, found, { mustRead: true })
    assert.equal(await commits.commit(KEY, lost), 'gone')
    assert.equal(await nowIn(store), undefined)
  })

  it('keeps for the store the end that the timeouts give', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: initial.createdAt + 1000 })
    const store = recordingStore()
    assert.equal(
      storedBy(await committing(store).commits.commit(KEY, setting('a', 1))).found?.expiresAt,
      initial.createdAt + 61_000,
    )
  })
})

describe('many writers of one key in one process', () => {
  it('need two saves for two hundred, and none is lost', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits, diagnostics } = committing(store)
    await Promise.all(
      Array.from({ length: 200 }, (_, index) => commits.commit(KEY, setting(`key${index}`, index, found))),
    )
    const record = (await nowIn(store)) as SessionRecord
    for (let index = 0; index < 200; index++) assert.equal(valueOf(record, `key${index}`), index)
    assert.ok(store.count('save') <= 3, `${store.count('save')} saves`)
    assert.equal(diagnostics.stats.merges, 199)
  })

  it('are told of, each where it wrote, if their change goes out with the next save', async (t) => {
    const writers = new AsyncLocalStorage<number>()
    const heard: unknown[] = []
    const onMessage = (message: unknown): void => void heard.push([writers.getStore(), message])
    subscribe('koa-server-session:merge', onMessage)
    t.after(() => unsubscribe('koa-server-session:merge', onMessage))
    const { commits } = committing(recordingStore())
    await Promise.all([1, 2, 3].map((number) => writers.run(number, () => commits.commit(KEY, incrementing('count')))))
    assert.deepEqual(
      heard,
      [2, 3].map((number) => [number, { cookieName: 'sid' }]),
    )
  })

  it('make one record for two hundred, if there was none', async () => {
    const store = recordingStore()
    const { commits } = committing(store)
    await Promise.all(Array.from({ length: 200 }, () => commits.commit(KEY, incrementing('count'))))
    assert.equal(valueOf((await nowIn(store)) as SessionRecord, 'count'), 200)
    assert.ok(store.count('save') <= 3)
  })

  it('need few saves on a store that answers at once too', async () => {
    const store = recordingStore({ isSynchronous: true })
    const found = await stored(store)
    const { commits } = committing(store)
    await Promise.all(Array.from({ length: 200 }, () => commits.commit(KEY, incrementing('count', found))))
    assert.equal(valueOf((await nowIn(store)) as SessionRecord, 'count'), 200)
    assert.ok(store.count('save') <= 3)
  })

  it('lose nothing against another process that keeps writing', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    const others = (async () => {
      for (let index = 0; index < 50; index++) {
        elsewhere(store, `their${index}`, index)
        await new Promise(setImmediate)
      }
    })()
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 10 }, () => commits.commit(KEY, incrementing('count', found))))
    }
    await others
    const record = (await nowIn(store)) as SessionRecord
    assert.equal(valueOf(record, 'count'), 200)
    for (let index = 0; index < 50; index++) assert.equal(valueOf(record, `their${index}`), index)
  })

  it('are applied in the order in which they came', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    const append = (letter: string): Write => ({
      ...setting('letters', '', found),
      apply: (record) => withValue(record, 'letters', `${String(valueOf(record, 'letters') ?? '')}${letter}`),
    })
    await Promise.all([...'abcdefgh'].map((letter) => commits.commit(KEY, append(letter))))
    assert.equal(valueOf((await nowIn(store)) as SessionRecord, 'letters'), 'abcdefgh')
  })

  it('do not wait for the writers of other keys', async () => {
    const store = recordingStore()
    const { commits } = committing(store)
    const held = store.hold('save')
    const waiting = commits.commit(KEY, setting('a', 1))
    await held.arrived
    assert.ok(await commits.commit('b'.repeat(64), setting('a', 1)))
    held.release()
    assert.ok(await waiting)
  })

  it('do not hinder a deletion, and are told that all is gone', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    const held = store.hold('save')
    const writers = [1, 2, 3].map((value) => commits.commit(KEY, setting('a', value, found)))
    await held.arrived
    await store.delete(KEY)
    held.release()
    assert.deepEqual(await Promise.all(writers), ['gone', 'gone', 'gone'])
    assert.equal(await nowIn(store), undefined)
  })

  it('use the queue anew once it was empty', async () => {
    const store = recordingStore()
    const { commits } = committing(store)
    const first = await commits.commit(KEY, incrementing('count'))
    await commits.commit(KEY, incrementing('count', storedBy(first).found))
    assert.equal(valueOf((await nowIn(store)) as SessionRecord, 'count'), 2)
  })
})

describe('a writer that fails', () => {
  const failure = new Error('a reason')
  const throwing = (found: Found): Write => ({
    ...setting('a', 1, found),
    apply() {
      throw failure
    },
  })

  it('fails alone when its change throws', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    const outcomes = await Promise.allSettled([
      commits.commit(KEY, throwing(found)),
      commits.commit(KEY, setting('b', 1, found)),
      commits.commit(KEY, throwing(found)),
      commits.commit(KEY, setting('c', 1, found)),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((outcomes[2] as PromiseRejectedResult).reason, failure)
    const record = (await nowIn(store)) as SessionRecord
    assert.deepEqual([...record.entries.keys()], ['b', 'c'])
  })

  it('fails alone when its change is too large', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store, 1000)
    const large = SECRET.repeat(40)
    const writes = [
      setting('a', 1, found),
      setting('large', large, found),
      setting('b', 1, found),
      setting('huge', large + large, found),
      setting('c', 1, found),
    ]
    const held = store.hold('save')
    const first = commits.commit(KEY, setting('first', 1, found))
    const outcomes = writes.map((write) => commits.commit(KEY, write))
    held.release()
    await first
    for (const index of [1, 3])
      await assert.rejects(outcomes[index] as Promise<Committed>, discreet('ERR_SESSION_TOO_LARGE', SECRET))
    for (const index of [0, 2, 4]) assert.ok(await outcomes[index])
    assert.deepEqual([...((await nowIn(store)) as SessionRecord).entries.keys()], ['first', 'a', 'b', 'c'])
  })

  it('is counted in bytes, not in characters', async () => {
    const store = recordingStore()
    const overhead = Buffer.byteLength(format(withValue(initial, 'a', '')))
    const { commits } = committing(store, overhead + 300)
    const fits = storedBy(await commits.commit(KEY, setting('a', '€'.repeat(100))))
    await assert.rejects(
      commits.commit(KEY, setting('a', `${'€'.repeat(100)}x`, fits.found)),
      discreet('ERR_SESSION_TOO_LARGE'),
    )
  })

  it('finds room for data where notices wait that nobody asks for, and drops the oldest of them', async () => {
    const store = recordingStore()
    const texts = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(20)}`)
    const full = recordWith({ user: 'ada' }, [
      ...texts.map((text): [string, unknown] => ['error', text]),
      ['form', 'y'.repeat(300)],
    ])
    const found = await stored(store, { ...full, createdAt: initial.createdAt })
    const { commits, diagnostics } = committing(store, format(full).length)
    const warnings: string[] = []
    diagnostics.warn = (code) => void warnings.push(code)
    storedBy(await commits.commit(KEY, setting('small', 1, found)))
    const record = (await nowIn(store)) as SessionRecord
    assert.deepEqual(flashOf(record), { error: texts.slice(20), form: ['y'.repeat(300)] })
    assert.deepEqual([valueOf(record, 'user'), valueOf(record, 'small')], ['ada', 1])
    assert.deepEqual(warnings, ['SESSION_NOTICES_DROPPED'])
    await assert.rejects(
      commits.commit(KEY, setting('large', SECRET.repeat(1000), await store.elsewhere.load(KEY))),
      discreet('ERR_SESSION_TOO_LARGE', SECRET),
    )
    assert.deepEqual(flashOf((await nowIn(store)) as SessionRecord), flashOf(record), 'and none in vain')
  })

  it('is not refused for what the library notes of a session that nobody holds yet', async () => {
    const store = recordingStore()
    const data = { ...recordWith({ a: 1, b: 'x'.repeat(100) }), createdAt: initial.createdAt }
    const { commits } = committing(store, format(data).length)
    const put = (record: SessionRecord): Write => ({ ...setting('', 0), apply: () => record })
    const unheld = { ...data, unheld: ['a'.repeat(16), 'b'.repeat(16)] }
    const { found } = storedBy(await commits.commit(KEY, put(unheld)))
    assert.deepEqual((await nowIn(store))?.unheld, unheld.unheld)
    await assert.rejects(commits.commit(KEY, setting('c', 1, found)), { code: 'ERR_SESSION_TOO_LARGE' })
  })

  it('may find a record that is larger than is allowed now, and make it smaller', async () => {
    const store = recordingStore()
    const found = await stored(store, withValue(withValue(initial, 'a', 'x'.repeat(2000)), 'b', 1))
    const { commits } = committing(store, 1000)
    assert.ok(await commits.commit(KEY, { ...setting('b', 1, found) }), 'nothing is changed by it')
    await assert.rejects(commits.commit(KEY, setting('b', 2, found)), discreet('ERR_SESSION_TOO_LARGE'))
    assert.ok(await commits.commit(KEY, setting('a', 'small', found)))
  })

  it('takes all of its save with it when the store fails, and the next ones try for themselves', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    const down = new Error('down')
    const held = store.hold('save')
    const first = commits.commit(KEY, setting('a', 1, found))
    store.fail('save', down)
    const second = [commits.commit(KEY, setting('b', 1, found)), commits.commit(KEY, setting('c', 1, found))]
    const failures = Promise.all(second.map((outcome) => assert.rejects(outcome, down)))
    await held.arrived
    held.release()
    await first
    await failures
    assert.ok(await commits.commit(KEY, setting('d', 1, found)))
    assert.deepEqual([...((await nowIn(store)) as SessionRecord).entries.keys()], ['a', 'd'])
  })
})

describe('a writer that does not know what became of its last write', () => {
  it('reads first, and counts once what had been stored', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    store.fail('save', new Error('cut'), 'after')
    await assert.rejects(commits.commit(KEY, setting('a', 1, found)))
    store.calls.length = 0
    await commits.commit(KEY, setting('a', 1, found, { mustRead: true }))
    assert.deepEqual(store.calls, ['load'], 'it was stored, so there is nothing to save')
  })

  it('reads first, and stores what had not been stored', async () => {
    const store = recordingStore()
    const { commits } = committing(store)
    store.fail('save', new Error('cut'))
    await assert.rejects(commits.commit(KEY, setting('a', 1)))
    const committed = await commits.commit(KEY, setting('a', 1, undefined, { mustRead: true }))
    assert.equal(valueOf(storedBy(committed).record, 'a'), 1)
    assert.deepEqual(store.calls, ['save', 'load', 'save'])
  })

  it('does not keep those who wait in the same queue from the truth', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const { commits } = committing(store)
    store.fail('save', new Error('cut'), 'after')
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map((value) => commits.commit(KEY, setting(`key${value}`, value, found))),
    )
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled', 'fulfilled'],
    )
    assert.deepEqual([...((await nowIn(store)) as SessionRecord).entries.keys()], ['key1', 'key2', 'key3'])
  })

  it('fails if it cannot read either', async () => {
    const store = recordingStore()
    const found = await stored(store)
    const down = new Error('down')
    store.fail('load', down)
    await assert.rejects(committing(store).commits.commit(KEY, setting('a', 1, found, { mustRead: true })), down)
  })
})

describe('a writer that loses races', () => {
  /** A store in which somebody else is faster at each save, if `lose` says so: it is told how often that would be. */
  function contested(lose: (races: number) => boolean): { store: RecordingStore; unlucky: Store; races: () => number } {
    const store = recordingStore()
    let races = 0
    const unlucky: Store = {
      ...store,
      async save(key, text, expiresAt, expected) {
        if (lose(++races)) elsewhere(store, 'theirs', races)
        return store.save(key, text, expiresAt, expected)
      },
    }
    return { store, unlucky, races: () => races }
  }

  it('gives up after two seconds as busy, and has stored nothing, whatever is done to the clock meanwhile', async (t) => {
    const clocks = clocksOf(t)
    const { store, unlucky, races } = contested((number) => {
      clocks.pass(500)
      clocks.set(number % 2 ? 10_000 : -10_000)
      return true
    })
    const found = await stored(store)
    const { commits, diagnostics } = committing(unlucky)
    await assert.rejects(commits.commit(KEY, setting('mine', SECRET, found)), discreet('ERR_SESSION_BUSY', SECRET, KEY))
    assert.equal(races(), 6, 'the last one more than two seconds after the first')
    assert.equal(diagnostics.stats.conflicts, 6)
    assert.deepEqual([...((await nowIn(store)) as SessionRecord).entries.keys()], ['theirs'])
  })

  it('goes on if it was this process that stood still, and not the others that were fast', async (t) => {
    const clocks = clocksOf(t)
    const { store, unlucky, races } = contested((number) => {
      clocks.pass(5000)
      return number <= 4
    })
    const found = await stored(store)
    await committing(unlucky).commits.commit(KEY, setting('mine', 1, found))
    assert.equal(races(), 5)
    assert.deepEqual([...((await nowIn(store)) as SessionRecord).entries.keys()].toSorted(), ['mine', 'theirs'])
  })
})

describe('recordOf(found)', () => {
  it('decodes a record once', async () => {
    const found = await stored(recordingStore(), withValue(initial, 'a', 1))
    assert.equal(recordOf(found), recordOf(found))
    assert.throws(
      () => recordOf({ text: SECRET, version: 1, expiresAt: 1 }),
      discreet('ERR_SESSION_UNREADABLE', SECRET),
    )
  })
})
