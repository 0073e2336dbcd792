import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import { Diagnostics, type DiagnosticMessage } from '../../src/diagnostics.ts'
import { SessionError } from '../../src/errors.ts'
import { guarded } from '../../src/layers/guarded.ts'
import type { Store } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { collect, rejectionBy } from '../support/stores/records.ts'
import { discreet } from '../support/secrecy.ts'

const KEY = 'f'.repeat(64)
const FAR = Date.now() + 3_600_000
const METHODS = ['load', 'save', 'touch', 'delete'] as const
const CALLS: Record<(typeof METHODS)[number], (store: Store) => unknown> = {
  load: (store) => store.load(KEY),
  save: (store) => store.save(KEY, 'some text', FAR, undefined),
  touch: (store) => store.touch(KEY, FAR),
  delete: (store) => store.delete(KEY),
}

function broken(method: string, work: unknown): Store {
  return { ...memoryStore({ pruneInterval: 0 }), [method]: work }
}

for (const method of METHODS) {
  describe(`a store whose ${method} fails`, () => {
    const ways: [way: string, work: (cause: Error) => unknown][] = [
      [
        'throws',
        (cause) => {
          throw cause
        },
      ],
      ['rejects', (cause) => Promise.reject(cause)],
      [
        'rejects later',
        async (cause) => {
          await new Promise(setImmediate)
          throw cause
        },
      ],
    ]
    for (const [way, work] of ways) {
      it(`is unavailable when it ${way}, and its error is the cause`, async () => {
        const cause = new Error('connection refused')
        const diagnostics = new Diagnostics('sid')
        const store = guarded(
          broken(method, () => work(cause)),
          1000,
          diagnostics,
        )
        await assert.rejects(
          async () => CALLS[method](store),
          (error: SessionError) => {
            discreet('ERR_SESSION_STORE_UNAVAILABLE', KEY, 'some text')(error)
            assert.equal(error.cause, cause)
            assert.equal(error.status, 503)
            assert.match(error.message, method === 'load' ? /could not be read/ : /may or may not be stored/)
            return true
          },
        )
        assert.equal(diagnostics.stats.errors, 1)
      })
    }

    it('is unavailable when it says nothing, within the deadline', async () => {
      const store = guarded(
        broken(method, () => new Promise(() => {})),
        20,
        new Diagnostics('sid'),
      )
      const { error } = await rejectionBy(20, Promise.resolve(CALLS[method](store)))
      assert.ok(discreet('ERR_SESSION_STORE_UNAVAILABLE', KEY)(error))
      assert.match((error.cause as Error).message, /within 20 ms/)
    })

    it('says the innermost reason that can be told, and warns of it the first time', async (test) => {
      await new Promise(setImmediate) // until what the tests before have warned of was heard
      const warned: (Error & { code?: string })[] = []
      const hear = (warning: Error): void => void warned.push(warning)
      process.on('warning', hear)
      test.after(() => process.off('warning', hear))
      const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
      })
      const read = Object.assign(new Error(`EACCES: permission denied, open '/sessions/${KEY}'`), {
        code: 'EACCES',
        syscall: 'open',
        path: `/sessions/${KEY}`,
      })
      const round = new Error('round')
      round.cause = new Error('and round', { cause: round })
      const reasons: [reason: string, cause: unknown][] = [
        [
          'NOAUTH Authentication required',
          new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'NOAUTH Authentication required.'),
        ],
        ['connect ECONNREFUSED 127.0.0.1:6379', new Error('down', { cause: new Error('really', { cause: refused }) })],
        ['connect ECONNREFUSED 127.0.0.1:6379', new Error('down', { cause: new AggregateError([refused, read], '') })],
        [
          'no such database',
          new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'no such database', { cause: new Error(KEY) }),
        ],
        ['EACCES', new Error('broken', { cause: read })],
        ['28P01', Object.assign(new Error(`no user ${KEY}`), { code: '28P01' })],
        ['see `cause`', Object.assign(new Error(KEY), { code: `a key: ${KEY}` })],
        ['see `cause`', round],
        ['see `cause`', KEY],
      ]
      const left = [...reasons]
      const store = guarded(
        broken(method, () => Promise.reject(left.shift()?.[1])),
        1000,
        new Diagnostics('sid'),
      )
      for (const [reason] of reasons) {
        await assert.rejects(
          async () => CALLS[method](store),
          (error: Error) => {
            assert.ok(error.message.endsWith(` (${reason}).`), error.message)
            assert.ok(!error.message.includes(KEY))
            return true
          },
        )
      }
      await new Promise(setImmediate)
      assert.deepEqual(
        warned.map(({ code }) => code),
        ['SESSION_STORE_FAILED'],
      )
      assert.match(warned[0]!.message, /\(NOAUTH Authentication required\)\. Further failures are counted/)
    })

    it('is reported in the request whose call it failed, late or not', async (test) => {
      const request = new AsyncLocalStorage<string>()
      const reports: unknown[] = []
      const note = (message: unknown): void => {
        reports.push([
          request.getStore(),
          ((message as DiagnosticMessage).error as Error & { cause: Error }).cause.message,
        ])
      }
      subscribe('koa-server-session:error', note)
      test.after(() => unsubscribe('koa-server-session:error', note))
      const answers = [new Promise(() => {}), new Promise(() => {}), Promise.reject(new Error('broken'))]
      const store = guarded(
        broken(method, () => answers.shift()),
        20,
        new Diagnostics('sid'),
      )
      const call = (name: string): Promise<void> =>
        request.run(name, () =>
          assert.rejects(async () => CALLS[method](store), discreet('ERR_SESSION_STORE_UNAVAILABLE')),
        )
      await Promise.all(['first', 'second', 'third'].map(call))
      assert.deepEqual(reports, [
        ['third', 'broken'],
        ['first', 'the store did not answer within 20 ms'],
        ['second', 'the store did not answer within 20 ms'],
      ])
    })

    it('harms nobody when it fails after the deadline', async () => {
      const recording = recordingStore()
      const held = recording.hold(method, 'after')
      const store = guarded(recording, 5, new Diagnostics('sid'))
      await assert.rejects(async () => CALLS[method](store), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
      held.release()
      recording.fail(method, new Error('too late'))
      await assert.rejects(async () => CALLS[method](store), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    })

    it('may say that a record is unreadable or too large, or that it is busy, which are no failures', async () => {
      for (const code of ['ERR_SESSION_UNREADABLE', 'ERR_SESSION_BUSY', 'ERR_SESSION_TOO_LARGE'] as const) {
        const own = new SessionError(code, 'in its own words')
        const diagnostics = new Diagnostics('sid')
        for (const work of [
          () => {
            throw own
          },
          () => Promise.reject(own),
        ]) {
          const store = guarded(broken(method, work), 1000, diagnostics)
          await assert.rejects(async () => CALLS[method](store), own)
        }
        assert.equal(diagnostics.stats.errors, 0)
      }
      const other = new SessionError('ERR_SESSION_OPTION', 'a store that is not made right')
      const store = guarded(
        broken(method, () => {
          throw other
        }),
        1000,
        new Diagnostics('sid'),
      )
      await assert.rejects(async () => CALLS[method](store), discreet('ERR_SESSION_STORE_UNAVAILABLE'))
    })
  })
}

describe('a store that does not go on with the list of a subject’s sessions', () => {
  it('is unavailable within the deadline, and is let go', async () => {
    let hasEnded = false
    const keys = (): AsyncIterable<string> => ({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        async return() {
          hasEnded = true
          return { done: true, value: undefined }
        },
      }),
    })
    const diagnostics = new Diagnostics('sid')
    const store = guarded(broken('subjects', { add() {}, remove() {}, keys }), 20, diagnostics)
    await assert.rejects(collect(store.subjects!.keys('a user')), discreet('ERR_SESSION_STORE_UNAVAILABLE', 'a user'))
    assert.equal(diagnostics.stats.errors, 1)
    assert.equal(hasEnded, true)
  })

  it('is told once anyone has seen enough', async () => {
    let hasEnded = false
    async function* keys(): AsyncGenerator<string> {
      try {
        yield* [KEY, KEY]
      } finally {
        hasEnded = true
      }
    }
    const store = guarded(broken('subjects', { add() {}, remove() {}, keys }), 20, new Diagnostics('sid'))
    for await (const key of store.subjects!.keys('a user')) {
      assert.equal(key, KEY)
      break
    }
    assert.equal(hasEnded, true)
  })
})

describe('a store that works', () => {
  it('answers at once if it can, and by a promise if it cannot', async () => {
    const atOnce = guarded(memoryStore({ pruneInterval: 0 }), 1000, new Diagnostics('sid'))
    assert.equal(atOnce.load(KEY), undefined)
    assert.equal((atOnce.save(KEY, 'text', FAR, undefined) as { saved: { text: string } }).saved.text, 'text')
    assert.equal(atOnce.touch(KEY, FAR), true)
    assert.equal(atOnce.delete(KEY), true)
    const later = guarded(recordingStore(), 1000, new Diagnostics('sid'))
    assert.ok(later.load(KEY) instanceof Promise)
    assert.equal(await later.load(KEY), undefined)
  })

  it('is counted', async () => {
    const diagnostics = new Diagnostics('sid')
    const store = guarded(recordingStore(), 1000, diagnostics)
    for (const call of Object.values(CALLS)) await call(store)
    await store.load(KEY)
    const { loads, saves, touches, destroys, errors } = diagnostics.stats
    assert.deepEqual(
      { loads, saves, touches, destroys, errors },
      { loads: 2, saves: 1, touches: 1, destroys: 1, errors: 0 },
    )
  })

  it('leaves no timer behind that keeps the process alive', async () => {
    const store = guarded(recordingStore(), 60_000, new Diagnostics('sid'))
    for (const call of Object.values(CALLS)) await call(store)
    assert.deepEqual(
      process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout'),
      [],
    )
  })
})

describe('a record that is more than eight times as large as maxRecordBytes', () => {
  async function withRecord(text: string): Promise<{ store: Store; diagnostics: Diagnostics }> {
    const inner = memoryStore({ pruneInterval: 0 })
    await inner.save(KEY, text, FAR, undefined)
    const diagnostics = new Diagnostics('sid')
    return { store: guarded(inner, 1000, diagnostics, 10), diagnostics }
  }
  const another = { text: '', version: 99, expiresAt: FAR }

  it('cannot be read, wherever the store hands it out, and is no failure of the store', async () => {
    for (const text of ['x'.repeat(81), `${'ü'.repeat(40)}!`]) {
      const { store, diagnostics } = await withRecord(text)
      const calls: (() => unknown)[] = [
        () => store.load(KEY),
        () => store.save(KEY, 'text', FAR, undefined),
        () => store.save(KEY, 'text', FAR, another),
        () => store.delete(KEY, another),
      ]
      for (const call of calls)
        await assert.rejects(async () => call(), discreet('ERR_SESSION_UNREADABLE', KEY, text.slice(0, 9)))
      assert.equal(diagnostics.stats.errors, 0)
      assert.equal(await store.delete(KEY), true)
    }
  })

  it('is told from one that is not', async () => {
    const { store } = await withRecord('ü'.repeat(40))
    assert.equal((await store.load(KEY))?.text.length, 40)
    assert.equal((await store.save(KEY, 'text', FAR, undefined)).conflict?.text.length, 40)
    assert.equal(((await store.delete(KEY, another)) as { text: string }).text.length, 40)
  })

  it('is known to the store by its largest size, so that the store need not read it', async () => {
    let told: unknown[] = []
    const inner = memoryStore({ pruneInterval: 0 })
    const load = (...args: Parameters<Store['load']>): ReturnType<Store['load']> => {
      told = args
      return inner.load(...args)
    }
    await guarded({ ...inner, load }, 1000, new Diagnostics('sid'), 10).load(KEY)
    assert.deepEqual(told, [KEY, undefined, 80])
    await guarded({ ...inner, load }, 1000, new Diagnostics('sid')).load(KEY)
    assert.deepEqual(told, [KEY, undefined, Infinity])
  })
})

describe('the optional powers of a store', () => {
  it('stay absent where they are absent, but for ping, for which a load can stand', () => {
    const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
    const plain: Store = { load, save, touch, delete: remove }
    assert.deepEqual(Object.keys(guarded(plain, 1000, new Diagnostics('sid'))).toSorted(), [
      'delete',
      'load',
      'ping',
      'save',
      'touch',
    ])
  })

  it('are called on the store itself', async () => {
    class Own {
      closed = false
      readonly inner = recordingStore({ power: 'watch' })
      load = this.inner.load
      save = this.inner.save
      touch = this.inner.touch
      delete = this.inner.delete
      watch(...listener: Parameters<NonNullable<Store['watch']>>): ReturnType<NonNullable<Store['watch']>> {
        return (this.inner as Required<Store>).watch(...listener)
      }
      async *keys(): AsyncIterable<string> {
        yield String(this.closed)
      }
      async prune(): Promise<number> {
        return this.closed ? 1 : 0
      }
      async ping(): Promise<void> {
        if (this.closed) throw new Error('closed')
      }
      async close(): Promise<void> {
        this.closed = true
      }
    }
    const store = guarded(new Own(), 1000, new Diagnostics('sid')) as Required<Store>
    await store.ping()
    assert.equal(await store.prune(), 0)
    for await (const key of store.keys()) assert.equal(key, 'false')
    assert.equal(store.watch({ saved() {}, deleted() {} }).linkOf(KEY).generation, 1)
    await store.close()
    assert.equal(await store.prune(), 1)
  })

  it('include isCurrent, which says no where it throws: the load that follows tells what is wrong', async () => {
    const recording = recordingStore({ power: 'isCurrent' })
    const found = (await recording.save(KEY, 'text', FAR, undefined)).saved
    assert.ok(found)
    assert.equal(guarded(recording, 1000, new Diagnostics('sid')).isCurrent?.(KEY, found), true)
    const throwing: Store = {
      ...recording,
      isCurrent() {
        throw new Error('no such folder')
      },
    }
    assert.equal(guarded(throwing, 1000, new Diagnostics('sid')).isCurrent?.(KEY, found), false)
  })
})

describe('the tracing channels of a guarded store', () => {
  it('tell what came of each call', async (test) => {
    const outcomes: string[] = []
    const asyncEnd = (message: unknown): void => {
      const { operation, outcome } = message as DiagnosticMessage
      outcomes.push(`${operation} ${outcome}`)
    }
    for (const name of ['load', 'save', 'touch', 'destroy']) {
      const traced = tracingChannel(`koa-server-session:${name}`)
      traced.subscribe({ asyncEnd } as never)
      test.after(() => traced.unsubscribe({ asyncEnd } as never))
    }
    const store = guarded(memoryStore({ pruneInterval: 0 }), 1000, new Diagnostics('sid'))
    await store.load(KEY)
    const { saved } = await store.save(KEY, 'some text', FAR, undefined)
    await store.save(KEY, 'other text', FAR, undefined)
    await store.load(KEY)
    await store.touch(KEY, FAR)
    await store.delete(KEY)
    await store.delete(KEY)
    await store.touch(KEY, FAR)
    await store.save(KEY, 'some text', FAR, saved)
    assert.deepEqual(outcomes, [
      'load missing',
      'save saved',
      'save conflict',
      'load found',
      'touch touched',
      'destroy destroyed',
      'destroy gone',
      'touch gone',
      'save gone',
    ])
  })
})
