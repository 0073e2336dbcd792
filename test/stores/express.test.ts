import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { isSessionError } from '../../src/errors.ts'
import type { Found, Store } from '../../src/store.ts'
import { fromExpressStore, type ExpressSessionStore, type OneProcessStore } from '../../src/stores/express.ts'
import { clocksOf } from '../support/clocks.ts'
import { answeringThread, heldUp } from '../support/held-up.ts'
import { DATA, expressSession, type ExpressStore } from '../support/sites/old-sites.ts'
import { EXPRESS_PLACES, type ExpressPlace } from '../support/stores/express-stores.ts'
import { currentSession, sessionOf, siteWith } from '../support/sites/http.ts'
import { PATIENCE, later, newKey, rejection, rejectionBy, savedOf } from '../support/stores/records.ts'
import { discreet } from '../support/secrecy.ts'

type Callback = (error?: unknown, session?: unknown) => void

/** For a store that never calls back. */
const DEADLINE = 60

/** A store for express-session as its README describes one, in which a test replaces what it is about. */
class TestStore implements ExpressSessionStore {
  readonly sessions = new Map<string, string>()
  destroys = 0

  get(id: string, callback: Callback): unknown {
    const session = this.sessions.get(id)
    return callback(null, session && JSON.parse(session))
  }

  set(id: string, session: unknown, callback?: Callback): unknown {
    this.sessions.set(id, JSON.stringify(session))
    return callback?.(null)
  }

  destroy(id: string, callback?: Callback): unknown {
    this.destroys++
    this.sessions.delete(id)
    return callback?.(null)
  }
}

describe('fromExpressStore', () => {
  let inner: TestStore
  let store: OneProcessStore

  beforeEach(() => {
    inner = new TestStore()
    store = fromExpressStore(inner, { deadline: PATIENCE })
  })

  it('warns that it is for one process, once per store, and says so in its type', async () => {
    const own = new TestStore()
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    // Those of the stores of earlier tests come later.
    await new Promise(setImmediate)
    process.on('warning', listen)
    try {
      const scope: 'process' = fromExpressStore(own).atomicWithin
      assert.equal(scope, 'process')
      fromExpressStore(own)
      fromExpressStore(new TestStore())
      await once(process, 'warning')
      await new Promise(setImmediate)
    } finally {
      process.off('warning', listen)
    }
    assert.equal(warnings.length, 2)
    for (const warning of warnings) assert.equal((warning as NodeJS.ErrnoException).code, 'SESSION_STORE_ONE_PROCESS')
    assert.match(warnings[0]!.message, /within one process only.*redisStore/)
  })

  it('gives the store a session with the cookie that stores read, and the record as one text', async () => {
    const key = newKey()
    const expiresAt = later(600_000)
    let given: { cookie: { maxAge: number; originalMaxAge: number; expires: Date } } | undefined
    inner.set = function (id, session, callback) {
      given = session as typeof given
      return TestStore.prototype.set.call(this, id, session, callback)
    }
    const { version } = savedOf(await store.save(key, '{"a":1}', expiresAt, undefined))
    const end = new Date(expiresAt + 1000)
    const { cookie, ...rest } = JSON.parse(inner.sessions.get(key)!) as { cookie: { originalMaxAge: number } }
    assert.deepEqual(rest, { record: '{"a":1}', version, expiresAt })
    const { originalMaxAge } = cookie
    assert.deepEqual(cookie, { originalMaxAge, expires: end.toISOString(), httpOnly: true, path: '/' })
    assert.ok(originalMaxAge > 590_000 && originalMaxAge <= 601_000)
    assert.ok(given!.cookie.expires instanceof Date)
    assert.ok(given!.cookie.maxAge > 590_000 && given!.cookie.maxAge <= originalMaxAge)
  })

  it('makes one call to load, and two to do anything else', async () => {
    const key = newKey()
    const calls: string[] = []
    for (const name of ['get', 'set', 'destroy'] as const) {
      const method = TestStore.prototype[name] as (...args: unknown[]) => unknown
      inner[name] = (...args: unknown[]) => {
        calls.push(name)
        return method.apply(inner, args)
      }
    }
    const made = async (operation: () => unknown): Promise<string> => {
      await operation()
      return calls.splice(0).join(' ')
    }
    assert.equal(await made(() => store.load(key)), 'get')
    assert.equal(await made(() => store.save(key, '1', later(), undefined)), 'get set')
    const found = (await store.load(key))!
    calls.length = 0
    assert.equal(await made(() => store.save(key, '2', later(), found)), 'get set')
    assert.equal(await made(() => store.save(key, '3', later(), found)), 'get')
    assert.equal(await made(() => store.touch(key, later() + 1000)), 'get set')
    assert.equal(await made(() => store.delete(key)), 'get destroy')
  })

  it('leaves a session of another kind alone, and says that it cannot be read', async () => {
    const known: Found = { text: '{}', version: 1, expiresAt: later() }
    for (const session of [
      { cookie: {}, user: 'cookie-owner' },
      { cookie: {}, record: 5, version: 1, expiresAt: later() },
      { cookie: {}, record: 'cookie-owner', version: 'x', expiresAt: later() },
      { cookie: {}, record: 'cookie-owner', version: 1, expiresAt: null },
      'cookie-owner',
    ]) {
      const key = newKey()
      inner.set(key, session)
      for (const operation of [
        () => store.load(key),
        () => store.save(key, '{}', later(), undefined),
        () => store.save(key, '{}', later(), known),
        () => store.touch(key, later()),
        () => store.delete(key, known),
      ]) {
        await assert.rejects(async () => operation(), discreet('ERR_SESSION_UNREADABLE', 'cookie-owner'))
      }
      assert.equal(inner.sessions.get(key), JSON.stringify(session))
      assert.equal(await store.delete(key), true, 'its end was asked for')
      assert.equal(inner.sessions.has(key), false)
    }
  })

  it('serves a site', async (test) => {
    const own = fromExpressStore(inner, { deadline: PATIENCE })
    const site = await siteWith(test, { store: own }, (ctx) => {
      const session = currentSession()
      session['views'] = ((session['views'] as number | undefined) ?? 0) + 1
      ctx.body = `${session['views'] as number}`
    })
    const agent = site.agent()
    for (const views of ['1', '2', '3']) assert.equal((await agent.get('/')).text, views)
    assert.equal(inner.sessions.size, 1)
  })

  describe('of what was destroyed', () => {
    let key: string
    let found: Found
    let raw: string

    beforeEach(async () => {
      key = newKey()
      found = savedOf(await store.save(key, '{"user":1}', later(), undefined))
      raw = inner.sessions.get(key)!
      assert.equal(await store.delete(key), true)
    })

    async function staysDead(): Promise<void> {
      assert.deepEqual(await store.save(key, '{}', later(), found), { gone: true })
      assert.equal(await store.touch(key, later()), false)
      assert.equal(await store.load(key), undefined)
      assert.equal(
        await fromExpressStore(inner, { deadline: PATIENCE }).load(key),
        undefined,
        'nor for another adapter',
      )
    }

    it('knows that it is gone, whatever another process puts back, and destroys that again when it sees it', async () => {
      inner.sessions.set(key, raw)
      await staysDead()
      assert.equal(inner.sessions.has(key), false)
      inner.sessions.set(key, raw)
      assert.equal(await store.delete(key), false)
      assert.equal(inner.sessions.has(key), false)
    })

    it('knows that it is gone though the clock was set forward for a while', async (test) => {
      const clocks = clocksOf(test)
      clocks.set(3_600_000)
      await store.delete(newKey())
      clocks.set(-3_600_000)
      inner.sessions.set(key, raw)
      await staysDead()
    })

    it('forgets only with a new create', async () => {
      inner.sessions.set(key, raw)
      const anew = savedOf(await store.save(key, '"new"', later(), undefined))
      assert.ok(anew.version > found.version)
      assert.equal((await store.load(key))?.text, '"new"')
    })

    it('gives what is made anew a version that never was, however soon', async () => {
      for (let before = found, round = 0; round < 50; round++) {
        const anew = savedOf(await store.save(key, '1', later(), undefined))
        assert.ok(anew.version > before.version)
        before = savedOf(await store.save(key, '2', later(), anew))
        assert.equal(await store.delete(key), true)
      }
    })

    it('says to only one of those who destroy it that it was there', async () => {
      const again = savedOf(await store.save(key, '1', later(), undefined))
      assert.ok(again)
      const answers = await Promise.all(Array.from({ length: 5 }, async () => store.delete(key)))
      assert.deepEqual(answers, [true, false, false, false, false])
    })
  })

  describe('with a store that fails', () => {
    async function fails(reason: RegExp, ...operations: (() => unknown)[]): Promise<void> {
      for (const operation of operations) {
        const { error } = await rejection(Promise.resolve().then(operation))
        assert.match(inspect(error), reason)
        assert.ok(!isSessionError(error))
      }
    }
    const all = (own: Store): (() => unknown)[] => [
      () => own.load(newKey()),
      () => own.save(newKey(), '1', later(), undefined),
      () => own.touch(newKey(), later()),
      () => own.delete(newKey()),
    ]

    it('by a throw: rejects', async () => {
      inner.get = () => {
        throw new Error('thrown at once')
      }
      await fails(/thrown at once/, ...all(store))
    })

    it('by a rejection: rejects', async () => {
      inner.get = async () => {
        throw new Error('rejected')
      }
      await fails(/rejected/, ...all(store))
    })

    it('by an error: rejects with it, also if it is none of class Error', async () => {
      inner.get = (_id, callback) => callback(new Error('called back'))
      await fails(/called back/, ...all(store))
      inner.get = (_id, callback) => setImmediate(callback, 'as a string')
      await fails(/the express-session store failed[^]*as a string/, ...all(store))
    })

    it('in a write only: rejects, and serves the next', async () => {
      const key = newKey()
      inner.set = (_id, _session, callback) => callback?.(new Error('disk full'))
      await fails(/disk full/, () => store.save(key, '1', later(), undefined))
      delete (inner as Partial<TestStore>).set
      savedOf(await store.save(key, '1', later(), undefined))
    })

    it('with ENOENT: takes it for absence', async () => {
      const absent = Object.assign(new Error('no such file'), { code: 'ENOENT' })
      inner.get = (_id, callback) => callback(absent)
      const key = newKey()
      assert.equal(await store.load(key), undefined)
      assert.equal(await store.touch(key, later()), false)
      assert.equal(await store.delete(key), false)
      savedOf(await store.save(key, '1', later(), undefined))
      delete (inner as Partial<TestStore>).get
      inner.destroy = (_id, callback) => callback?.(absent)
      assert.equal(await store.delete(key), true)
    })

    for (const [what, absence] of [
      ['nothing', []],
      ['null', [null, null]],
      ['false', [null, false]],
      ['undefined', [undefined, undefined]],
    ] as const) {
      it(`to find a session and calls back with ${what}: takes it for absence`, async () => {
        inner.get = (_id, callback) => callback(...absence)
        assert.equal(await store.load(newKey()), undefined)
      })
    }

    it('to call back only once: believes the first', async () => {
      const key = newKey()
      inner.get = function (id, callback) {
        TestStore.prototype.get.call(this, id, callback)
        callback(new Error('and again'))
        callback(null, { other: 1 })
      }
      inner.set = function (id, session, callback) {
        TestStore.prototype.set.call(this, id, session, callback)
        callback?.(new Error('and again'))
        throw new Error('and thrown')
      }
      const found = savedOf(await store.save(key, '1', later(), undefined))
      savedOf(await store.save(key, '2', later(), found))
      assert.equal((await store.load(key))?.text, '2')
    })

    it('to call back at all: rejects by the deadline, also those that queue behind it', async () => {
      const key = newKey()
      inner.get = () => {}
      const impatient = fromExpressStore(inner, { deadline: DEADLINE })
      const waits = await Promise.all(
        [
          () => impatient.load(key),
          () => impatient.save(key, '1', later(), undefined),
          () => impatient.touch(key, later()),
          () => impatient.delete(key),
        ].map((operation) => rejectionBy(DEADLINE, (async (): Promise<unknown> => operation())())),
      )
      for (const { error } of waits) assert.match(error.message, /did not call back in time/)
      delete (inner as Partial<TestStore>).get
      savedOf(await store.save(key, '1', later(), undefined))
    })

    it('to call back in time, and writes when the session is long destroyed: destroys it again', async () => {
      const key = newKey()
      const found = savedOf(await store.save(key, '1', later(), undefined))
      let finish = (): unknown => undefined
      inner.set = function (id, session, callback) {
        finish = () => TestStore.prototype.set.call(this, id, session, callback)
      }
      const impatient = fromExpressStore(inner, { deadline: DEADLINE })
      const { error } = await rejection(impatient.save(key, '2', later(), found))
      assert.match(error.message, /did not call back in time/)
      assert.equal(await store.delete(key), true)
      const { destroys } = inner
      finish()
      assert.equal(inner.destroys, destroys + 1)
      assert.equal(inner.sessions.has(key), false)
    })

    it('to call back before this process was held up: takes its answer', async (test) => {
      const thread = await answeringThread(test)
      inner.get = (_id, callback) => void thread.ask().then(() => callback(null, undefined))
      const loading = fromExpressStore(inner, { deadline: 1000 }).load(newKey())
      await new Promise(setImmediate)
      thread.isThere()
      heldUp(1000)
      assert.equal(await loading, undefined)
    })

    it('to call back in time: calls it for nobody who has been told so', async () => {
      const key = newKey()
      savedOf(await store.save(key, '1', later(), undefined))
      let gets = 0
      inner.get = () => gets++
      const impatient = fromExpressStore(inner, { deadline: DEADLINE })
      const touches = Array.from({ length: 10 }, () => rejection(impatient.touch(key, later())))
      await Promise.all(touches)
      // The first takes all the time that there is; a timer that is early leaves a little to the second.
      assert.ok(gets <= 2, `${gets} calls`)
    })
  })

  describe('checks what it is given', () => {
    for (const [what, given, sentence] of [
      ['nothing', undefined, /get, set and destroy/],
      ['a client', { get() {}, set() {}, del() {} }, /get, set and destroy/],
      ['a class', TestStore, /made of it/],
    ] as const) {
      it(`refuses ${what}`, () => {
        assert.throws(
          () => fromExpressStore(given as unknown as ExpressSessionStore),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
        )
      })
    }

    for (const options of [{ deadlin: 1 }, { deadline: 0 }, { deadline: Infinity }, { deadline: '1' }]) {
      it(`refuses ${inspect(options)}`, () => {
        assert.throws(
          () => fromExpressStore(inner, options as object),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && /deadlin/.test(error.message),
        )
      })
    }
  })
})

for (const [name, make] of Object.entries(EXPRESS_PLACES)) {
  describe(`fromExpressStore with ${name}`, () => {
    let place: ExpressPlace
    before(async () => {
      place = await make()
    })
    after(() => place.close())

    it('keeps a record until its end, and not a moment less', async () => {
      const store = fromExpressStore(await place.open(), { deadline: PATIENCE })
      // A little after a full second, where a store that cuts off the rest would end it early.
      const expiresAt = Math.ceil((Date.now() + 1500) / 1000) * 1000 + 250
      const key = newKey()
      const touched = newKey()
      savedOf(await store.save(key, '1', expiresAt, undefined))
      savedOf(await store.save(touched, '1', expiresAt - 50, undefined))
      assert.equal(await store.touch(touched, expiresAt), true)
      for (;;) {
        const both = [await store.load(key), await store.load(touched)]
        if (Date.now() >= expiresAt) break
        for (const found of both) assert.ok(found, `gone ${expiresAt - Date.now()} ms too early`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      assert.equal(await store.load(key), undefined)
      assert.equal(await store.load(touched), undefined)
    })

    it('is left by a visitor of express-session, whose session goes on here', async (test) => {
      const inner = (await place.open()) as ExpressStore
      const old = await expressSession(test, inner)
      const browser = old.agent()
      await browser.get('/in')
      assert.equal((await browser.get('/')).text, 'ada')
      const cookie = browser.cookieHeader
      const site = await siteWith(test, { movingFrom: [old.reader] }, (ctx) => void (ctx.body = { ...sessionOf(ctx) }))
      assert.deepEqual((await browser.at(site.port).get('/')).json(), DATA)
      assert.deepEqual([...browser.cookies.keys()], ['sid'])
      assert.equal((await old.agent().get('/', { cookie })).text, 'nobody')
      assert.deepEqual((await site.agent().get('/', { cookie: 'connect.sid=s%3Anone.signed' })).json(), {})
    })

    it('shows another process what was saved, and how far a touch has moved the end', async () => {
      const own = await place.open()
      const other = place.reopen?.(own)
      if (!other) return
      const store = fromExpressStore(own, { deadline: PATIENCE })
      const elsewhere = fromExpressStore(other, { deadline: PATIENCE })
      const key = newKey()
      const created = savedOf(await store.save(key, '{"a":1}', later(), undefined))
      const expiresAt = later(5 * 600_000)
      assert.equal(await store.touch(key, expiresAt), true)
      const found = await elsewhere.load(key)
      assert.deepEqual([found?.text, found?.version, found?.expiresAt], ['{"a":1}', created.version, expiresAt])
      const saved = savedOf(await elsewhere.save(key, '{"a":2}', later(), found))
      assert.deepEqual((await store.save(key, '{"a":3}', later(), created)).conflict?.version, saved.version)
      assert.equal(await elsewhere.delete(key), true)
      assert.equal(await store.load(key), undefined)
      assert.deepEqual(await store.save(key, '{}', later(), saved), { gone: true })
    })
  })
}

describe('fromExpressStore in two processes', () => {
  let place: ExpressPlace
  let one: Store
  let other: Store
  /** What the other process has read and is about to write stands still until `open`. */
  let gate: { readonly arrived: Promise<void>; open(): void }
  before(async () => {
    place = await EXPRESS_PLACES['connect-redis']!()
  })
  beforeEach(async () => {
    const inner = await place.open()
    one = fromExpressStore(inner, { deadline: PATIENCE })
    const elsewhere = place.reopen!(inner)
    gate = gateBeforeSet(elsewhere)
    other = fromExpressStore(elsewhere, { deadline: PATIENCE })
  })
  after(() => place.close())

  it('does not keep G1: of two saves at once both are told that they succeeded, and one is lost', async () => {
    const key = newKey()
    const found = savedOf(await one.save(key, '0', later(), undefined))
    const late = other.save(key, 'other', later(), found)
    await gate.arrived
    savedOf(await one.save(key, 'one', later(), found))
    gate.open()
    savedOf(await late)
    assert.equal((await one.load(key))?.text, 'other')
  })

  it('does not keep G3: a touch can bring back for others what is destroyed at the same time', async () => {
    const key = newKey()
    savedOf(await one.save(key, '0', later(), undefined))
    const touched = other.touch(key, later())
    await gate.arrived
    assert.equal(await one.delete(key), true)
    gate.open()
    assert.equal(await touched, true)
    assert.equal((await other.load(key))?.text, '0', 'it is back')
    assert.equal(await one.load(key), undefined, 'but not where it was destroyed, which destroys it again')
    assert.equal(await other.load(key), undefined)
  })
})

function gateBeforeSet(store: ExpressSessionStore): { readonly arrived: Promise<void>; open(): void } {
  let arrive!: () => void
  let open!: () => void
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const opened = new Promise<void>((resolve) => (open = resolve))
  const set = store.set.bind(store)
  store.set = (...args: Parameters<typeof set>) => {
    arrive()
    void opened.then(() => set(...args))
  }
  return { arrived, open }
}
