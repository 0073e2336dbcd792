import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect, types } from 'node:util'
import fc from 'fast-check'
import { newRecord } from '../../src/record/record.ts'
import { replaceData, sessionOf } from '../../src/session/object.ts'
import { applyUpdate } from '../../src/session/update.ts'
import { WorkingCopy } from '../../src/session/working-copy.ts'
import { Codec } from '../../src/record/codec.ts'
import { assertHides, discreet } from '../support/secrecy.ts'
import type { Session } from '../../src/session/types.ts'
import { visits, type AnySession } from '../support/visit.ts'

const SECRET = 'the-value-nobody-may-read'
const RESERVED = [
  'id',
  'isNew',
  'createdAt',
  'expiresAt',
  'signal',
  'save',
  'reload',
  'update',
  'regenerate',
  'destroy',
  'prove',
  'provedWithin',
  'remember',
  'flash',
  'flashes',
  'then',
]

/** A session that came back from the store with this data. */
async function returned(data: object): Promise<AnySession> {
  const all = visits()
  return (await all.returning(await all.stored(data))).session
}

/** Not the values, whose order as text says nothing. */
function byName([name]: [string, unknown], [other]: [string, unknown]): number {
  return name < other ? -1 : Number(name > other)
}

describe('a session, as an object', () => {
  it('holds data as plain properties, in the order in which they came', async () => {
    const session = await returned({ z: 1, a: { b: [2] }, m: null })
    session['new'] = true
    session['z'] = 5
    assert.deepEqual(Object.keys(session), ['z', 'a', 'm', 'new'])
    assert.deepEqual({ ...session }, { z: 5, a: { b: [2] }, m: null, new: true })
    assert.deepEqual(Object.entries(session), [
      ['z', 5],
      ['a', { b: [2] }],
      ['m', null],
      ['new', true],
    ])
    assert.equal(JSON.stringify(session), '{"z":5,"a":{"b":[2]},"m":null,"new":true}')
    const names: string[] = []
    for (const name in session) names.push(name)
    assert.deepEqual(names, ['z', 'a', 'm', 'new'])
    assert.deepEqual(structuredClone({ ...session }), { z: 5, a: { b: [2] }, m: null, new: true })
  })

  it('behaves as a plain object does, whatever is done to it', () => {
    const names = fc.constantFrom('a', 'b', 'toString', 'constructor', 'hasOwnProperty', '', '0', 'length', 'record')
    const steps = fc.array(fc.tuple(fc.constantFrom('set', 'delete', 'define', 'assign'), names, fc.jsonValue()), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(steps, (steps) => {
        const session = visits().stranger().session as Record<string, unknown>
        const plain = Object.create(null) as Record<string, unknown>
        for (const [step, name, value] of steps) {
          for (const object of [session, plain]) {
            if (step === 'set') object[name] = value
            else if (step === 'delete') delete object[name]
            else if (step === 'define')
              Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
            else Object.assign(object, JSON.parse(JSON.stringify({ [name]: value })))
          }
        }
        assert.deepEqual(Object.keys(session).toSorted(), Object.keys(plain).toSorted())
        for (const name of Object.keys(plain)) {
          assert.deepEqual(session[name], plain[name])
          assert.ok(Object.hasOwn(session, name))
          assert.ok(name in session)
          assert.deepEqual(Object.getOwnPropertyDescriptor(session, name), Object.getOwnPropertyDescriptor(plain, name))
        }
        assert.equal(
          JSON.stringify(Object.entries(session).toSorted(byName)),
          JSON.stringify(Object.entries(plain).toSorted(byName)),
        )
      }),
    )
  })

  it('has the methods that every object has', async () => {
    const session = await returned({ a: 1 })
    assert.equal(session.hasOwnProperty('a'), true)
    assert.equal(String(session), '[object Object]')
    assert.equal(Object.getPrototypeOf(session), Object.prototype)
    assert.ok(session instanceof Object)
    assert.ok('toString' in session)
    assert.deepEqual(session, { a: 1 })
  })

  it('knows what is there: in, hasOwn, delete, undefined', async () => {
    const session = await returned({ a: 1, b: { c: 1 }, d: 1 })
    assert.equal('a' in session, true)
    assert.equal('x' in session, false)
    delete session['a']
    session['b'] = undefined
    delete session['x']
    assert.equal('a' in session, false)
    assert.equal(Object.hasOwn(session, 'b'), false)
    assert.deepEqual(Object.keys(session), ['d'])
    session['a'] = 2
    assert.equal(session['a'], 2)
  })

  it('has no data of the name __proto__, which would become the prototype of a copy by Object.assign', async () => {
    const session = await returned({ a: 1 })
    const evil = JSON.parse('{"__proto__":{"isAdmin":true}}') as object
    for (const write of [
      () => (session['__proto__'] = { isAdmin: true }),
      () => Object.assign(session, evil),
      () => Object.defineProperty(session, '__proto__', { value: evil, configurable: true }),
      () => delete session['__proto__'],
    ]) {
      assert.throws(write, { code: 'ERR_SESSION_RESERVED_KEY', message: /session\.__proto__ / })
    }
    assert.deepEqual(Object.keys(session), ['a'])
    assert.equal(session['__proto__'], Object.prototype, 'as of any object')
    assert.equal(Object.hasOwn(session, '__proto__'), false)
    assert.equal((Object.assign({}, session) as { isAdmin?: boolean }).isAdmin, undefined)
  })

  it('cannot be frozen, sealed, or given another prototype', async () => {
    const session = await returned({ a: 1 })
    for (const change of [
      () => Object.freeze(session),
      () => Object.seal(session),
      () => Object.preventExtensions(session),
    ])
      assert.throws(change, TypeError)
    assert.throws(() => Object.setPrototypeOf(session, null), TypeError)
    assert.ok(Object.isExtensible(session))
    session['a'] = 2
    assert.equal(session['a'], 2)
  })

  it('takes values by defineProperty, and neither accessors nor constants', async () => {
    const session = await returned({})
    Object.defineProperty(session, 'a', { value: 1 })
    assert.equal(session['a'], 1)
    assert.throws(
      () => Object.defineProperty(session, 'b', { get: () => SECRET }),
      discreet('ERR_SESSION_VALUE', SECRET),
    )
    assert.throws(() => Object.defineProperty(session, 'c', { value: 1, configurable: false }), TypeError)
    assert.deepEqual({ ...session }, { a: 1 })
  })

  it('takes no symbols as names', async () => {
    const session = (await returned({})) as Record<PropertyKey, unknown>
    const symbol = Symbol(SECRET)
    assert.throws(() => (session[symbol] = 1), discreet('ERR_SESSION_VALUE', SECRET))
    assert.throws(() => delete session[symbol], discreet('ERR_SESSION_VALUE', SECRET))
    assert.equal(session[symbol], undefined)
    assert.equal(symbol in session, false)
    assert.deepEqual(Object.getOwnPropertySymbols(session), [])
  })

  it('is the same object for the same working copy', () => {
    const visit = visits().stranger()
    assert.equal(visit.session, visit.session)
  })
})

describe('the members of a session', () => {
  it('are no data: not enumerable, not own', async () => {
    const session = await returned({ a: 1 })
    for (const name of RESERVED) {
      assert.equal(Object.hasOwn(session, name), false)
      assert.ok(!Object.keys(session).includes(name))
      assert.ok(name in session)
    }
  })

  for (const name of RESERVED) {
    it(`cannot be set, defined or deleted: ${name}`, async () => {
      const session = (await returned({ a: 1 })) as Record<string, unknown>
      const refused = discreet('ERR_SESSION_RESERVED_KEY', SECRET)
      assert.throws(() => (session[name] = SECRET), refused)
      assert.throws(() => Object.defineProperty(session, name, { value: SECRET }), refused)
      assert.throws(() => delete session[name], refused)
      assert.throws(() => Object.assign(session, { [name]: SECRET }), refused)
      assert.deepEqual({ ...session }, { a: 1 })
    })
  }

  it('tell the facts', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const all = visits()
    const { session, copy } = all.stranger()
    assert.deepEqual([session.isNew, session.createdAt, session.expiresAt], [true, Date.now(), Date.now() + 60_000])
    assert.match(session.id, /^[0-9a-f]{64}$/)
    assert.notEqual(session.id, copy.token)
    const key = await all.stored({ a: 1 })
    t.mock.timers.tick(1000)
    const again = (await all.returning(key)).session
    assert.deepEqual(
      [again.isNew, again.createdAt, again.expiresAt, again.id],
      [false, Date.now() - 1000, Date.now() + 59_000, key],
    )
  })

  it('let it be awaited, and returned from an async function', async () => {
    const session = await returned({ a: 1 })
    assert.equal(await session, session)
    assert.equal(await (async () => session)(), session)
    assert.equal((session as { then?: unknown }).then, undefined)
  })
})

describe('what is printed of a session', () => {
  it('is its data, and never its token', async () => {
    const { session, copy } = visits().stranger()
    Object.assign(session, { user: 'ann', cart: { items: [1] }, inspect: 1 })
    for (const options of [
      {},
      { showProxy: true },
      { showHidden: true },
      { depth: 0 },
      { customInspect: false },
      { showProxy: true, customInspect: false, depth: Infinity },
    ]) {
      const shown = inspect(session, options)
      assert.ok(!shown.includes(copy.token), shown)
      if (options.customInspect !== false) assert.match(shown, /user: 'ann'/)
    }
    assert.equal(inspect(session), inspect({ user: 'ann', cart: { items: [1] }, inspect: 1 }))
    assertHides([session, copy, { session }, new Error('with it', { cause: session })], copy.token)
    assert.ok(types.isProxy(session))
  })

  it('is nothing after its end', async () => {
    const { session } = visits().stranger()
    session['user'] = 'ann'
    await session.destroy()
    assert.equal(inspect(session), '{}')
  })
})

describe('what is read from a session', () => {
  it('is a copy of its own for each request, nested or not', async () => {
    const all = visits()
    const key = await all.stored({ cart: { items: [{ name: 'pen' }] }, tags: new Set(['a']) })
    const [mine, theirs] = [await all.returning(key), await all.returning(key)]
    mine.session['cart'].items[0].name = 'ink'
    mine.session['tags'].add('b')
    assert.deepEqual(theirs.session['cart'], { items: [{ name: 'pen' }] })
    assert.deepEqual(theirs.session['tags'], new Set(['a']))
    assert.deepEqual((await all.returning(key)).session['cart'], { items: [{ name: 'pen' }] })
  })

  it('is the same object at every read in one request', async () => {
    const session = await returned({ cart: { items: [] }, when: new Date(0) })
    assert.equal(session['cart'], session['cart'])
    assert.equal(session['when'], session['when'])
    session['own'] = { a: 1 }
    assert.equal(session['own'], session['own'])
  })

  it('is not what another request of the same process has put in, also after it was saved', async () => {
    const all = visits()
    const first = all.stranger()
    const cart = { items: ['pen'] }
    first.session['cart'] = cart
    await first.end()
    const second = await all.returning(first.copy.key)
    cart.items.push('ink')
    assert.deepEqual(second.session['cart'], { items: ['pen'] })
  })
})

describe('replaceData(copy, data)', () => {
  it('makes it the whole of the data', async () => {
    const { copy, session } = visits().stranger()
    Object.assign(session, { a: 1, b: 2 })
    replaceData(copy, { b: 3, c: 4 })
    assert.deepEqual({ ...session }, { b: 3, c: 4 })
    replaceData(copy, session)
    assert.deepEqual({ ...session }, { b: 3, c: 4 })
    replaceData(copy, {})
    assert.deepEqual({ ...session }, {})
  })

  it('changes nothing if one of the names is reserved', () => {
    const { copy, session } = visits().stranger()
    session['a'] = 1
    assert.throws(() => replaceData(copy, { b: SECRET, save: SECRET }), discreet('ERR_SESSION_RESERVED_KEY', SECRET))
    assert.deepEqual({ ...session }, { a: 1 })
  })
})

describe('data that a release before had under a name that is a member now', () => {
  it('is out of reach, hinders nothing, and stays in the record until the data is replaced', async () => {
    const all = visits()
    const key = await all.stored({ a: 1 })
    const old = await all.returning(key)
    old.copy.write('flashes', SECRET) // as that release did
    await old.end()
    const visit = await all.returning(key)
    const { session } = visit
    assert.deepEqual([{ ...session }, JSON.stringify(session)], [{ a: 1 }, '{"a":1}'])
    assert.deepEqual(session.flashes('notice'), [])
    session['a'] = 2
    await visit.end()
    const again = await all.returning(key)
    assert.ok((await all.store.load(key))?.text.includes(SECRET))
    replaceData(again.copy, again.session)
    await again.end()
    assert.deepEqual(
      [{ ...(await all.returning(key)).session }, (await all.store.load(key))?.text.includes(SECRET)],
      [{ a: 2 }, false],
    )
  })
})

describe('the forms with a callback', () => {
  for (const method of ['save', 'reload', 'destroy', 'regenerate'] as const) {
    it(`${method} calls back with null when it is done, and returns nothing`, async () => {
      const session = await returned({ a: 1 })
      const called = new Promise((resolve) => assert.equal(session[method](resolve), undefined))
      assert.equal(await called, null)
    })
  }

  for (const method of ['reload', 'regenerate'] as const) {
    it(`${method} calls back with what went wrong`, async () => {
      const session = await returned({ a: 1 })
      await session.destroy()
      const error = await new Promise((resolve) => session[method](resolve))
      assert.ok(discreet('ERR_SESSION_ENDED')(error))
    })
  }

  it('call back under fake timers, which replace process.nextTick too', async (t) => {
    const session = await returned({ a: 1 })
    const held: (() => void)[] = []
    const { mock } = t.mock.method(
      process,
      'nextTick',
      (callback: (...args: unknown[]) => void, ...args: unknown[]) => {
        held.push(() => callback(...args))
      },
    )
    await new Promise((resolve) => session.save(resolve))
    mock.restore()
    // The streams that report of tests stand still until theirs are called.
    for (const callback of held) callback()
  })

  it('leave what the callback throws to the process, and do not call it twice', async (t) => {
    const session = await returned({ a: 1 })
    const thrown = new Error('of the callback')
    let calls = 0
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    t.after(() => listeners.forEach((listener) => process.on('uncaughtException', listener)))
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve))
    session.save(() => {
      calls++
      throw thrown
    })
    assert.equal(await caught, thrown)
    assert.equal(calls, 1)
  })
})

describe('applyUpdate(copy, record, change)', () => {
  const record = newRecord(Date.now(), { idleTimeout: 1000, absoluteTimeout: 1000, persistent: false })
  const workingCopy = (): WorkingCopy => visits().stranger().copy

  it('gives the new record, what the function returned, and the names it changed', () => {
    const outcome = applyUpdate(workingCopy(), record, (session) => {
      ;(session as AnySession)['count'] = 1
      return 'result'
    })
    assert.deepEqual([outcome.result, [...(outcome.changed ?? new Map()).keys()]], ['result', ['count']])
    assert.equal(outcome.record.entries.get('count')?.text, '1')
    assert.equal(record.entries.size, 0)
  })

  it('gives the very record if nothing was changed', () => {
    assert.equal(applyUpdate(workingCopy(), record, () => {}).record, record)
  })

  it('shows the function the facts of the session', async () => {
    const all = visits()
    const { copy } = await all.returning(await all.stored({ a: 1 }))
    const { result } = applyUpdate(copy, copy.record, ({ id, isNew, createdAt }) => ({ id, isNew, createdAt }))
    assert.deepEqual(result, { id: copy.key, isNew: false, createdAt: copy.record.createdAt })
    const stranger = all.stranger()
    assert.deepEqual(applyUpdate(stranger.copy, record, ({ id, isNew }) => ({ id, isNew })).result, {
      id: stranger.session.id,
      isNew: true,
    })
  })

  it('refuses a promise, and members that talk to the store', async () => {
    assert.throws(() => applyUpdate(workingCopy(), record, async () => SECRET), discreet('ERR_SESSION_OPTION', SECRET))
    // At once, because nobody can await anything in the function.
    const members: ((session: Session) => unknown)[] = [
      ...(['save', 'reload', 'destroy', 'regenerate'] as const).map((name) => (session: Session) => session[name]()),
      (session) => session.update(() => {}),
    ]
    for (const call of members) {
      const change = (session: Session): void => void call(session)
      assert.throws(() => applyUpdate(workingCopy(), record, change), discreet('ERR_SESSION_OPTION'))
    }
  })

  it('lets the function write where the session itself is sealed', () => {
    const visit = visits().stranger()
    visit.seal = 'ERR_SESSION_COMMITTED'
    assert.equal(applyUpdate(visit.copy, record, (session) => ((session as AnySession)['a'] = 1)).result, 1)
  })
})

describe('a flash middleware of Express or Koa', () => {
  it('that keeps its notices as session.flash is named, with what to use instead', () => {
    const session = visits().stranger().session
    assert.throws(() => ((session as { flash: unknown }).flash = {}), {
      code: 'ERR_SESSION_RESERVED_KEY',
      message: /connect-flash.*leave them out.*session\.flashes\('error'\)/,
    })
  })
})

describe('sessionOf(copy)', () => {
  it('needs no request: a record and a codec are enough', () => {
    const never = (): never => assert.fail()
    const host = {
      save: never,
      reload: never,
      update: never,
      regenerate: never,
      destroy: never,
      identify: never,
      signalOf: never,
      sealedBy: () => undefined,
    }
    const copy = new WorkingCopy(
      newRecord(5, { idleTimeout: 1, absoluteTimeout: 1, persistent: false }),
      new Codec(),
      host,
    )
    const session = sessionOf(copy) as AnySession
    session['a'] = 1
    assert.equal(copy.read('a'), 1)
  })
})
