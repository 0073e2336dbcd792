import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { isSessionError, memoryStore, movingStore, session, type Found, type Store } from '../../src/index.ts'
import { isStand } from '../../src/stores/moving/texts.ts'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Awaitable } from '../../src/units.ts'
import { clocksOf } from '../support/clocks.ts'
import { KEY, sessionOf, siteWith } from '../support/sites/http.ts'
import { collect, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'

interface Pair {
  readonly from: Store
  readonly to: Store
}

type Mode = 'from' | 'to'

const pairs = new WeakMap<Store, Pair>()

function pair(): Pair {
  return { from: memoryStore({ pruneInterval: 0 }), to: memoryStore({ pruneInterval: 0 }) }
}

function moving({ from, to }: Pair, writesTo: Mode = 'to'): Store {
  return movingStore(from, to, { writesTo })
}

for (const [name, own, peers] of [
  ['movingStore', 'to', 'to'],
  ['movingStore that writes to the old store', 'from', 'from'],
  ['movingStore that writes to the old store, beside one that moves', 'from', 'to'],
  ['movingStore that moves, beside one that writes to the old store', 'to', 'from'],
] as const) {
  storeConformance(test, {
    name,
    create() {
      const both = pair()
      const store = moving(both, own)
      pairs.set(store, both)
      return store
    },
    peer: (store) => moving(pairs.get(store) as Pair, peers),
  })
}

type Step = <Answer>(work: () => Awaitable<Answer>) => Promise<Answer>

/** The two stores as one process has them, each of whose calls goes through `step`. */
function stepped({ from, to }: Pair, step: Step, writesTo: Mode = 'to'): Store {
  const over = (store: Store): Store => ({
    ...store,
    load: (...of) => step(() => store.load(...of)),
    save: (...of) => step(() => store.save(...of)),
    touch: (...of) => step(() => store.touch(...of)),
    delete: (...of) => step(() => store.delete(...of)),
  })
  return movingStore(over(from), over(to), { writesTo })
}

interface Stop {
  readonly at: number
  readonly when: 'before' | 'after'
}

/** A process that stands still at one of its steps, before or after the step is done, until `release`. */
function stopAt({ at, when }: Stop) {
  let steps = 0
  let arrive!: () => void
  let release!: () => void
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const until = new Promise<void>((resolve) => (release = resolve))
  const step: Step = async (work) => {
    const isHere = steps++ === at
    if (isHere && when === 'before') await (arrive(), until)
    const answer = await work()
    if (isHere && when === 'after') await (arrive(), until)
    return answer
  }
  return { step, arrived, release, count: () => steps }
}

/** A session in the old store, as whoever loads it by both stores knows it. */
async function inOldStore(both: Pair): Promise<{ key: string; found: Found }> {
  const key = newKey()
  savedOf(await both.from.save(key, '1', later(), undefined))
  const found = await moving(both).load(key)
  assert.ok(found)
  return { key, found }
}

/** Each place at which a process can stop that does this. */
async function stopsOf(work: (process: Store, both: Pair) => Promise<unknown>, writesTo: Mode = 'to'): Promise<Stop[]> {
  const both = pair()
  const { step, count } = stopAt({ at: Infinity, when: 'before' })
  await work(stepped(both, step, writesTo), both)
  return Array.from({ length: count() }, (_, at) => at).flatMap((at) => [
    { at, when: 'before' as const },
    { at, when: 'after' as const },
  ])
}

/** The steps of a move: the pending record, the note, the record. */
const NOTE = 1

/** A process that moves a session by a save, and stands still at one of its steps. */
async function whileMoving(
  play: (scene: {
    both: Pair
    key: string
    found: Found
    other: Store
    /** Whether the save has happened. */
    isSaved: boolean
    title: string
    /** Lets the process go on; the answer to its save. */
    goOn(): Promise<Awaited<ReturnType<Store['save']>>>
  }) => Promise<void>,
): Promise<void> {
  const stops = await stopsOf(async (process, both) => {
    const { key, found } = await inOldStore(both)
    savedOf(await process.save(key, '2', later(), found))
  })
  assert.equal(stops.length, 2 * 3)
  for (const { at, when } of stops) {
    const both = pair()
    const { key, found } = await inOldStore(both)
    const { step, arrived, release } = stopAt({ at, when })
    const saving = stepped(both, step).save(key, '2', later(), found)
    await arrived
    const isSaved = at > NOTE || (at === NOTE && when === 'after')
    const goOn = async () => (release(), saving)
    await play({ both, key, found, other: moving(both), isSaved, title: `${when} step ${at}`, goOn })
  }
}

function keysIn(store: Store): Promise<string[]> {
  return collect(store.keys?.() ?? assert.fail('it lists'))
}

/** The records in the two stores under this key, as text. */
async function texts({ from, to }: Pair, key: string): Promise<(string | undefined)[]> {
  const found = [await from.load(key), await to.load(key)]
  return found.map((record) => (record && !isStand(record) ? record.text : undefined))
}

describe('movingStore(from, to), while a process that moves a session stands still', () => {
  it('shows the session as it was or as it is, and finishes the move by itself', () =>
    whileMoving(async ({ both, key, found, other, isSaved, title, goOn }) => {
      const seen = await other.load(key)
      assert.equal(seen?.text, isSaved ? '2' : '1', title)
      if (isSaved) assert.ok(seen.version > found.version, title)
      const saved = savedOf(await goOn())
      assert.equal(saved.text, '2', title)
      assert.ok(saved.version > found.version, title)
      assert.equal((await other.load(key))?.text, '2', title)
      assert.deepEqual(await texts(both, key), [undefined, '2'], title)
    }))

  it('loses neither change if another process saves too', () =>
    whileMoving(async ({ both, key, other, isSaved, title, goOn }) => {
      const seen = (await other.load(key)) as Found
      const theirs = savedOf(await other.save(key, `${seen.text} 3`, later(), seen))
      const answer = await goOn()
      if (!isSaved) {
        assert.equal(answer.conflict?.text, '1 3', title)
        return
      }
      const own = savedOf(answer)
      assert.ok(own.version < theirs.version, title)
      const next = await moving(both).save(key, '2 4', later(), own)
      assert.equal(next.conflict?.text, '2 3', `${title}: what it saved is not the newest`)
    }))

  it('loses no extension: what was promised after the save holds', () =>
    whileMoving(async ({ key, other, isSaved, title, goOn }) => {
      const end = later(3_600_000)
      assert.equal(await other.touch(key, end), true, title)
      savedOf(await goOn())
      const seen = await other.load(key)
      assert.equal(seen?.text, '2', title)
      if (isSaved) assert.equal(seen?.expiresAt, end, title)
    }))

  for (const how of ['the version that it knows', 'whatever is there']) {
    for (const writesTo of ['to', 'from'] as const) {
      it(`brings nothing back if a process that writes to '${writesTo}' ends the session, by ${how}`, () =>
        whileMoving(async ({ both, key, title, goOn }) => {
          const other = moving(both, writesTo)
          const known = how === 'whatever is there' ? undefined : await other.load(key)
          assert.equal(await other.delete(key, known), true, title)
          await goOn()
          assert.equal(await other.load(key), undefined, title)
          assert.deepEqual(await texts(both, key), [undefined, undefined], title)
          assert.deepEqual(await keysIn(both.to), [], `${title}: nothing of it is kept`)
        }))
    }
  }

  it('finishes or forgets what a process has left that never comes back', () =>
    whileMoving(async ({ both, key, other, title }) => {
      const end = later(3_600_000)
      assert.equal(await other.touch(key, end), true, title)
      let known = (await other.load(key)) as Found
      assert.equal(known.expiresAt, end, title)
      for (const text of ['3', '4']) known = savedOf(await other.save(key, text, later(), known))
      assert.deepEqual(await texts(both, key), [undefined, '4'], title)
      assert.equal(await other.delete(key, known), true, title)
      assert.deepEqual(await texts(both, key), [undefined, undefined], title)
    }))

  it('keeps nothing of a session that has ended, although the process never comes back', () =>
    whileMoving(async ({ both, key, other, title }) => {
      assert.equal(await other.delete(key, await other.load(key)), true, title)
      assert.equal(await other.load(key), undefined, title)
      assert.deepEqual([await keysIn(both.from), await keysIn(both.to)], [[], []], title)
    }))

  it('is a session elsewhere for a node that knows the old store only, and its visitor keeps the cookie', async (test) => {
    const both = pair()
    const handler = (ctx: Parameters<Parameters<typeof siteWith>[2]>[0]): void => {
      const visitor = sessionOf(ctx)
      if (ctx.path !== '/') visitor['page'] = ctx.path
      ctx.body = visitor['page'] ?? 'none'
    }
    const old = await siteWith(test, { store: both.from, cache: false }, handler)
    const browser = old.agent()
    await browser.get('/a')
    const to = recordingStore({ over: both.to })
    const now = await siteWith(test, { store: movingStore(both.from, to) }, handler)
    to.hold('save').release()
    const held = to.hold('save')
    const writing = browser.at(now.port).get('/b')
    await held.arrived
    assert.deepEqual(await keysOf(both.from), [])
    for (const path of ['/', '/c']) assert.deepEqual((await browser.get(path)).cookies, [], path)
    assert.equal((await browser.get('/')).text, 'none')
    held.release()
    await writing
    assert.equal((await browser.at(now.port).get('/')).text, '/b')
  })
})

describe('movingStore(from, to), while a process that makes a session stands still', () => {
  for (const own of ['to', 'from'] as const) {
    for (const others of ['to', 'from'] as const) {
      it(`makes it once, in '${own}' or, by another process, in '${others}'`, async () => {
        const key = newKey()
        for (const stop of await stopsOf(async (process) => process.save(key, 'own', later(), undefined), own)) {
          const title = `${stop.when} step ${stop.at}`
          const both = pair()
          const { step, arrived, release } = stopAt(stop)
          const making = stepped(both, step, own).save(key, 'own', later(), undefined)
          await arrived
          const other = moving(both, others)
          const theirs = await other.save(key, 'theirs', later(), undefined)
          const isOurs = stop.at > 0 || stop.when === 'after'
          assert.equal((theirs.saved ?? theirs.conflict)?.text, isOurs ? 'own' : 'theirs', title)
          assert.equal(theirs.saved === undefined, isOurs, title)
          release()
          const ours = await making
          assert.equal((ours.saved ?? ours.conflict)?.text, isOurs ? 'own' : 'theirs', title)
          assert.equal(ours.saved === undefined, !isOurs, title)
          const there = (await texts(both, key)).filter((text) => text !== undefined)
          assert.deepEqual(there, [isOurs ? 'own' : 'theirs'], title)
          const known = (await other.load(key)) as Found
          for (const made of [ours, theirs])
            assert.deepEqual((made.saved ?? made.conflict)?.version, known.version, title)
          assert.equal(await other.delete(key), true, title)
          assert.deepEqual(await texts(both, key), [undefined, undefined], title)
        }
      })
    }

    it(`leaves nothing in the way of the next creator if it is killed (writesTo: '${own}')`, async () => {
      const key = newKey()
      for (const stop of await stopsOf(async (process) => process.save(key, 'own', later(), undefined), own)) {
        const title = `${stop.when} step ${stop.at}`
        const both = pair()
        const { step, arrived } = stopAt(stop)
        void stepped(both, step, own).save(key, 'own', later(), undefined)
        await arrived
        const other = moving(both, own)
        const made = await other.save(key, 'next', later(), undefined)
        const known = (made.saved ?? made.conflict) as Found
        assert.equal((await other.load(key))?.text, known.text, title)
        savedOf(await other.save(key, 'after', later(), known))
        assert.equal(await other.delete(key), true, title)
        assert.deepEqual(await texts(both, key), [undefined, undefined], title)
      }
    })
  }

  it('says that it does not know what came of it if it was held up for more than a minute, though its clock is set back', async (test) => {
    const clocks = clocksOf(test)
    const both = pair()
    const key = newKey()
    const { step, arrived, release } = stopAt({ at: 0, when: 'after' })
    const making = stepped(both, step).save(key, 'own', later(), undefined)
    await arrived
    clocks.pass(61_000)
    savedOf(await moving(both).save(key, 'theirs', later(), undefined))
    clocks.set(-30_000)
    release()
    const { error } = await rejection(making)
    assert.ok(isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE'))
    clocks.set(30_000)
    assert.deepEqual(await texts(both, key), [undefined, 'theirs'])
  })
})

describe('movingStore(from, to)', () => {
  it('makes sessions in the new store, and moves the others when they are saved', async () => {
    const both = pair()
    const { key, found } = await inOldStore(both)
    const store = moving(both)
    const made = newKey()
    savedOf(await store.save(made, 'new', later(), undefined))
    assert.deepEqual(await texts(both, made), [undefined, 'new'])
    assert.equal(await store.touch(key, later(1_200_000)), true)
    assert.deepEqual(await texts(both, key), ['1', undefined])
    savedOf(await store.save(key, '2', later(), found))
    assert.deepEqual(await texts(both, key), [undefined, '2'])
  })

  it("makes them in the old one and moves none with writesTo: 'from', and writes where a session is", async () => {
    const both = pair()
    const store = moving(both, 'from')
    const [old, moved] = [newKey(), newKey()]
    const made = savedOf(await store.save(old, 'new', later(), undefined))
    savedOf(await store.save(old, 'newer', later(), made))
    assert.deepEqual(await texts(both, old), ['newer', undefined])
    savedOf(await moving(both).save(moved, '1', later(), undefined))
    savedOf(await store.save(moved, '2', later(), await store.load(moved)))
    assert.deepEqual(await texts(both, moved), [undefined, '2'])
  })

  it('shows a session that moves between the two questions of a load', async () => {
    const both = pair()
    const { key, found } = await inOldStore(both)
    const old = recordingStore({ over: both.from })
    const held = old.hold('load')
    const loading = movingStore(old, both.to).load(key)
    await held.arrived
    savedOf(await moving(both).save(key, '2', later(), found))
    held.release()
    assert.equal((await loading)?.text, '2')
  })

  it('takes as many round trips as it says', async () => {
    const [from, to] = [recordingStore(), recordingStore()]
    const both = { from: from.elsewhere, to: to.elsewhere }
    const cost = async <Answer>(work: () => Awaitable<Answer>): Promise<[Answer, number]> => {
      const before = from.calls.length + to.calls.length
      const answer = await work()
      return [answer, from.calls.length + to.calls.length - before]
    }
    const [store, staying] = [movingStore(from, to), movingStore(from, to, { writesTo: 'from' })]
    const { key } = await inOldStore(both)
    const [found, unmoved] = await cost(() => store.load(key))
    const [moved, move] = await cost(() => store.save(key, '2', later(), found))
    const [, save] = await cost(() => store.save(key, '3', later(), savedOf(moved)))
    const [, load] = await cost(() => store.load(key))
    const [, none] = await cost(() => store.load(newKey()))
    const [, create] = await cost(() => store.save(newKey(), '1', later(), undefined))
    const [, createHere] = await cost(() => staying.save(newKey(), '1', later(), undefined))
    assert.deepEqual(
      { unmoved, move, save, load, none, create, createHere },
      {
        unmoved: 2,
        move: 3,
        save: 1,
        load: 1,
        none: 3,
        create: 5,
        createHere: 3,
      },
    )
  })

  it('ends a session in both stores if somebody had copied it before', async () => {
    const both = pair()
    const { key } = await inOldStore(both)
    savedOf(await both.to.save(key, '1', later(), undefined))
    const store = moving(both)
    assert.equal(await store.delete(key, await store.load(key)), true)
    assert.equal(await store.load(key), undefined)
  })

  it('takes a record that it has not returned for no version of its own', async () => {
    const { from, to } = pair()
    const store = moving({ from, to })
    const [absent, there] = [newKey(), newKey()]
    const foreign = savedOf(await from.save(newKey(), '1', later(), undefined))
    const own = savedOf(await store.save(there, '1', later(), undefined))
    assert.deepEqual(await store.save(absent, '2', later(), foreign), { gone: true })
    assert.equal((await store.save(there, '2', later(), foreign)).conflict?.text, '1')
    assert.equal(await store.delete(absent, foreign), false)
    assert.deepEqual(await store.delete(there, foreign), own)
    assert.equal((await store.load(there))?.text, '1')
  })

  it('removes what cannot be read, in either store, if its own visitor asks for that', async () => {
    for (const place of ['from', 'to'] as const) {
      const both = pair()
      const key = newKey()
      savedOf(await both[place].save(key, '{"replaced":1,"moving":"sideways"}', later(), undefined))
      const store = moving(both)
      const { error } = await rejection(store.load(key))
      assert.ok(isSessionError(error, 'ERR_SESSION_UNREADABLE'), place)
      assert.equal(await store.delete(key), true, place)
      assert.equal(await store.load(key), undefined, place)
    }
  })

  it('keeps a session in its user’s list while it moves, whatever the stores clear away meanwhile', async (test) => {
    const clocks = clocksOf(test)
    const HOUR = 3_600_000
    const both = pair()
    const [subject, key] = [newKey(), newKey()]
    await both.from.subjects?.add(subject, key, later(100 * HOUR))
    const end = Date.now() + 30 * HOUR
    savedOf(await both.from.save(key, '1', end, undefined))
    const store = moving(both)
    const listed = (): Promise<string[]> => collect(store.subjects?.keys(subject) ?? assert.fail('it lists'))
    for (let hours = 0; hours < 30; hours += 2) {
      if (hours === 4) savedOf(await store.save(key, '2', end, await store.load(key)))
      await store.prune?.()
      assert.deepEqual(await listed(), [key], `after ${hours} hours`)
      clocks.pass(2 * HOUR)
    }
  })

  it('has all sessions of a user in both, and ends them in both', async (test) => {
    const both = pair()
    const handler = async (ctx: Parameters<Parameters<typeof siteWith>[2]>[0]): Promise<void> => {
      const visitor = sessionOf(ctx)
      if (ctx.path === '/in') visitor.identify('ada')
      if (ctx.path === '/in' || ctx.path === '/write') visitor['user'] = 'ada'
      if (ctx.path === '/write') visitor['written'] = true
      if (ctx.path === '/out') await visitor.destroy()
      ctx.body = { ...visitor }
    }
    const before = await siteWith(test, { store: both.from, encrypt: true }, handler)
    const [one, two] = [before.agent(), before.agent()]
    for (const browser of [one, two]) await browser.get('/in')
    const now = await siteWith(test, { store: moving(both), encrypt: true }, handler)
    const [first, second, third] = [one.at(now.port), two.at(now.port), now.agent()]
    assert.deepEqual((await first.get('/')).json(), { user: 'ada' })
    assert.deepEqual((await first.get('/write')).json(), { user: 'ada', written: true })
    await third.get('/in')
    assert.deepEqual((await keysIn(moving(both))).length, 3)
    assert.equal((await now.sessions.list('ada')).length, 3)
    await first.get('/out')
    assert.deepEqual((await first.get('/')).json(), {})
    assert.equal(await now.sessions.revokeAll('ada'), 2)
    for (const browser of [second, third]) assert.deepEqual((await browser.get('/')).json(), {})
    assert.deepEqual(await keysIn(moving(both)), [])
  })

  it('serves from the cache what both stores call current, and nothing that moved elsewhere since', async (test) => {
    const [from, to] = [recordingStore({ power: 'isCurrent' }), recordingStore({ power: 'isCurrent' })]
    const both = { from: from.elsewhere, to: to.elsewhere }
    const handler = (ctx: Parameters<Parameters<typeof siteWith>[2]>[0]): void => {
      const visitor = sessionOf(ctx)
      if (ctx.path !== '/') visitor['page'] = ctx.path
      ctx.body = visitor['page'] ?? 'none'
    }
    const old = await siteWith(test, { store: both.from }, handler)
    const browser = old.agent()
    await browser.get('/a')
    const [one, other] = [
      await siteWith(test, { store: movingStore(from, to) }, handler),
      await siteWith(test, { store: moving(both) }, handler),
    ]
    const here = browser.at(one.port)
    for (let times = 0; times < 3; times++) assert.equal((await here.get('/')).text, '/a')
    const loads = from.count('load') + to.count('load')
    assert.equal((await here.get('/')).text, '/a')
    assert.equal(from.count('load') + to.count('load'), loads)
    await browser.at(other.port).get('/b')
    assert.equal((await here.get('/')).text, '/b')
    await browser.at(other.port).get('/c')
    assert.equal((await here.get('/')).text, '/c')
    assert.equal(one.sessions.stats().errors, 0)
  })

  it('hears of what others write in either store, and vouches for both or for none', async () => {
    const [from, to] = [recordingStore({ power: 'watch' }), recordingStore({ power: 'watch' })]
    const told: string[] = []
    const watch = movingStore(from, to).watch?.({
      saved: (key, version) => void told.push(`${key} ${version}`),
      deleted: (key) => void told.push(`${key} deleted`),
    })
    assert.ok(watch)
    const link = watch.linkOf('a')
    const { generation } = link
    assert.equal(link.vouches(), true)
    for (const side of [from, to]) for (const listener of side.listeners) listener.saved('a', 1)
    for (const side of [from, to]) for (const listener of side.listeners) listener.deleted('b')
    assert.deepEqual(told, ['a 1', `a ${2 ** 52 + 1}`, 'b deleted', 'b deleted'])
    to.link.isVouching = false
    assert.equal(link.vouches(), false)
    from.link.generation++
    assert.equal(link.generation, generation + 1)
    await watch.close()
    assert.equal(from.listeners.size + to.listeners.size, 0)
  })

  it('claims nothing for the cache, for users and for keys that only one of the stores can do', () => {
    const { from } = pair()
    const { subjects: _subjects, keys: _keys, isCurrent: _isCurrent, prune: _prune, ...plain } = pair().to
    const side = (): Store => ({ ...pair().from, ping: async () => {} })
    for (const store of [movingStore(from, plain), movingStore(plain, from)]) {
      assert.deepEqual(
        [store.isCurrent, store.watch, store.keys, store.subjects],
        [undefined, undefined, undefined, undefined],
      )
    }
    assert.equal(movingStore(recordingStore({ power: 'watch' }), from).watch, undefined)
    assert.ok(movingStore(plain, from).prune)
    // So that anyone who asks whether the store answers loads something, which asks both.
    const { ping: _ping, ...silent } = side()
    assert.deepEqual([movingStore(silent, side()).ping, movingStore(side(), silent).ping], [undefined, undefined])
    assert.equal(movingStore(plain, { ...plain }).prune, undefined)
  })

  it('prunes, asks and closes both stores, and waits as long as both may take', async () => {
    const said: string[] = []
    const side = (name: string, deadline: number): Store => ({
      ...pair().from,
      deadline,
      prune: async () => deadline,
      ping: async () => void said.push(`ping ${name}`),
      close: async () => void said.push(`close ${name}`),
    })
    const store = movingStore(side('from', 300), side('to', 4))
    assert.equal(store.deadline, 304)
    assert.equal(await store.prune?.(), 304)
    await store.ping?.()
    await store.close?.()
    assert.deepEqual(said, ['ping from', 'ping to', 'close from', 'close to'])
  })

  it('answers what the one store can tell while the other is out of reach, and invents nothing else', async () => {
    const both = pair()
    const { key: old, found } = await inOldStore(both)
    const moved = newKey()
    savedOf(await moving(both).save(moved, '1', later(), undefined))
    const [from, to] = [recordingStore({ over: both.from }), recordingStore({ over: both.to })]
    const store = movingStore(from, to)
    from.failAll('load', 'save', 'touch', 'delete')
    const known = await store.load(moved)
    savedOf(await store.save(moved, '2', later(), known))
    await rejection(store.load(old))
    await rejection(store.delete(moved))
    from.mend()
    to.failAll('load', 'save', 'touch', 'delete')
    const answers = [store.load(old), store.save(old, '2', later(), found), store.touch(old, later())]
    await Promise.all(answers.map((answer) => rejection(answer)))
    to.mend()
    assert.deepEqual(await texts(both, old), ['1', undefined])
    assert.deepEqual(await texts(both, moved), [undefined, '2'])
    // The outcome of a save is unknown if the new store fails after the note was left. Then it has happened.
    to.fail('save', new Error('the server is down'))
    await rejection(store.save(old, '2', later(), await store.load(old)))
    const held = to.hold('save', 'after')
    const saving = store.save(old, '3', later(), await store.load(old))
    await held.arrived
    to.fail('save', new Error('the server is down'))
    held.release()
    await rejection(saving)
    assert.equal((await store.load(old))?.text, '3')
  })

  it('fails the ping of a health check if the store without a ping is out of reach', async () => {
    const [from, to] = [recordingStore(), pair().to]
    const sessions = session({ keys: [KEY], store: movingStore(from, { ...to, ping: async () => {} }) })
    await sessions.ping()
    from.failAll('load')
    await assert.rejects(sessions.ping(), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    await sessions.close()
  })

  it('refuses what is no store, one store twice, a move within a move, and options that it does not have', () => {
    const { from, to } = pair()
    const refused = (work: () => unknown, said: RegExp): void =>
      assert.throws(work, (error) => isSessionError(error, 'ERR_SESSION_OPTION') && said.test(error.message))
    refused(
      () => movingStore('file:.sessions' as never, to),
      /from must be a store.*no method load.*A URL is not taken/,
    )
    refused(() => movingStore(from, undefined as never), /to must be a store/)
    refused(() => movingStore(from, memoryStore as never), /to must be a store.*call it/)
    refused(() => movingStore(from, Promise.resolve(to) as never), /to must be a store.*await it/)
    refused(() => movingStore(from, { get() {}, set() {}, destroy() {} } as never), /fromExpressStore/)
    refused(() => movingStore(from, from), /the same store/)
    refused(() => movingStore(movingStore(from, to), pair().to), /from is a movingStore itself/)
    refused(
      () => movingStore(from, to, { writesTo: 'both' as never }),
      /writesTo must be one of from, to; it is 'both'/,
    )
    refused(() => movingStore(from, to, { writeTo: 'to' } as never), /did you mean writesTo/)
  })
})
