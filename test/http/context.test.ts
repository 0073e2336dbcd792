import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, it, type TestContext } from 'node:test'
import { PassThrough, Readable } from 'node:stream'
import Koa from 'koa'
import {
  bindSession,
  getSession,
  isSessionError,
  runWithSession,
  session,
  SessionError,
  tryGetSession,
  tryGetSessionId,
} from '../../src/index.ts'
import { currentHolder, enter, holderOf, type Holder } from '../../src/http/context.ts'
import { runInContext } from '../../src/http/koa.ts'
import { VERSION } from '../../src/session/copies.ts'
import { Agent, KEY, serve, siteWith } from '../support/sites/http.ts'
import { discreet } from '../support/secrecy.ts'
import { visits } from '../support/visit.ts'

const KEYS = ['a secret for signing cookies']

/** A session that nobody stores, and another one at every call. */
const aSession = () => visits().stranger().session

describe('getSession() outside of a request', () => {
  it('throws, with the likely reasons', () => {
    assert.throws(
      () => getSession(),
      (error: Error) =>
        discreet('ERR_SESSION_NO_CONTEXT')(error) && /runWithSession.*skips.*bindSession/.test(error.message),
    )
  })

  it('is asked in vain by tryGetSession()', () => {
    assert.equal(tryGetSession(), undefined)
  })
})

describe('a package that is loaded twice', () => {
  type Package = typeof import('../../src/index.ts')

  /** Another copy of the package in this process, of this version or of another one. */
  async function anotherCopy(test: TestContext, version?: string): Promise<Package> {
    const source = join(import.meta.dirname, '../../src')
    const copy = `${source}-copied-${process.pid}-${version ?? 'same'}`
    cpSync(source, copy, { recursive: true })
    test.after(() => rmSync(copy, { recursive: true }))
    if (version !== undefined) {
      const file = join(copy, 'session/copies.js')
      writeFileSync(file, readFileSync(file, 'utf8').replace(VERSION, version))
    }
    return (await import(pathToFileURL(join(copy, 'index.js')).href)) as Package
  }

  it('is one: what one copy makes, the other finds', async (test) => {
    const other = await anotherCopy(test)
    const { agent } = await siteWith(test, {}, (ctx) => {
      assert.notEqual(other.getSession, getSession)
      assert.equal(other.getSession(), getSession())
      assert.equal(other.tryGetSessionId(), tryGetSessionId())
      ctx.body = String(other.bindSession(() => getSession().isNew)())
    })
    assert.equal((await agent().get('/')).text, 'true')
    const fake = aSession()
    assert.equal(
      other.runWithSession(fake, () => getSession()),
      fake,
    )
  })

  it('knows the errors of the other copy', async (test) => {
    const other = await anotherCopy(test)
    const error = new other.SessionError('ERR_SESSION_GONE', 'gone')
    assert.ok(error instanceof SessionError && isSessionError(error, 'ERR_SESSION_GONE'))
    assert.ok(other.isSessionError(new SessionError('ERR_SESSION_BUSY', 'busy'), 'ERR_SESSION_BUSY'))
    class Own extends SessionError {}
    assert.equal(error instanceof Own, false)
    assert.ok(new Own('ERR_SESSION_GONE', 'gone') instanceof Own)
    assert.equal(isSessionError(new Error('gone')), false)
  })

  it('may be served by a middleware of each copy, as by two middlewares of one', async (test) => {
    const other = await anotherCopy(test)
    const app = new Koa()
    const admin = other.session({ keys: [KEY], store: 'memory:', property: 'admin', cookie: { name: 'admin' } })
    app.use(session({ keys: [KEY], store: 'memory:' })).use(admin)
    app.use((ctx) => {
      ctx.session = { a: 1 }
      Object.assign(admin.get(), { b: 2 })
      ctx.body = { ...other.getSession(), ...admin.get() }
    })
    const { agent } = await serve(test, app)
    const visitor = agent()
    assert.deepEqual((await visitor.get('/')).json(), { a: 1, b: 2 })
    assert.deepEqual([...visitor.cookies.keys()].toSorted(), ['admin', 'sid'])
  })

  it('says so, with the versions, where the session belongs to another version', async (test) => {
    assert.throws(() => getSession(), { message: /^(?!.*another version)/ })
    const other = await anotherCopy(test, '0.0.9')
    runWithSession(aSession(), () => {
      assert.throws(() => other.getSession(), {
        code: 'ERR_SESSION_NO_CONTEXT',
        message: new RegExp(
          `another version of this package: 0\\.0\\.9 and ${VERSION} are loaded in this process, and this is 0\\.0\\.9 \\(see npm ls koa-server-session\\)`,
        ),
      })
      assert.ok(getSession())
    })
  })
})

describe('what runWithSession and bindSession are given', () => {
  it('must be a session and a function, and the error says what an unknown visitor is', () => {
    for (const none of [undefined, null, 'a cookie'])
      assert.throws(() => runWithSession(none as never, () => {}), {
        code: 'ERR_SESSION_OPTION',
        message: /^runWithSession: the session must be .* sessions\.open resolves to undefined/,
      })
    assert.throws(() => runWithSession(aSession(), undefined as never), { code: 'ERR_SESSION_OPTION' })
    assert.throws(() => bindSession(undefined as never), { code: 'ERR_SESSION_OPTION', message: /^bindSession: / })
  })
})

describe('runWithSession(session, fn)', () => {
  it('makes it the session of all that fn begins, and gives what fn returns', async () => {
    const one = aSession()
    const [sync, later, timer, emitted] = runWithSession(one, () => {
      const emitter = new EventEmitter()
      let heard: unknown
      emitter.on('event', () => (heard = getSession()))
      emitter.emit('event')
      return [
        getSession(),
        (async () => (await Promise.resolve(), getSession()))(),
        new Promise((resolve) => setTimeout(() => resolve(getSession()), 1)),
        heard,
      ] as const
    })
    assert.equal(sync, one)
    assert.equal(await later, one)
    assert.equal(await timer, one)
    assert.equal(emitted, one)
    assert.equal(tryGetSession(), undefined)
  })

  it('keeps those that run at once apart, and may stand inside another', async () => {
    const [one, two] = [aSession(), aSession()]
    const seen = await Promise.all(
      [one, two].map((session) =>
        runWithSession(session, async () => {
          await new Promise(setImmediate)
          return [getSession(), runWithSession(one, getSession), getSession()]
        }),
      ),
    )
    assert.deepEqual(
      seen.map((three) => three.map((found) => found === one)),
      [
        [true, true, true],
        [false, true, false],
      ],
    )
  })

  it('is known to tryGetSessionId() too', () => {
    const one = aSession()
    assert.equal(runWithSession(one, tryGetSessionId), one.id)
    assert.equal(tryGetSessionId(), undefined)
  })

  it('passes on what fn throws', () => {
    assert.throws(
      () =>
        runWithSession(aSession(), () => {
          throw new Error('of the function')
        }),
      /of the function/,
    )
    assert.equal(tryGetSession(), undefined)
  })
})

describe('bindSession(fn)', () => {
  it('binds the session of the place where it is bound, and leaves this, arguments and result', () => {
    const one = aSession()
    const bound = runWithSession(one, () =>
      bindSession(function (this: { own: number }, a: number, b: number) {
        return [getSession() === one, this.own, a, b]
      }),
    )
    assert.deepEqual(bound.call({ own: 1 }, 2, 3), [true, 1, 2, 3])
    assert.deepEqual(
      runWithSession(aSession(), () => bound.call({ own: 1 }, 2, 3)),
      [true, 1, 2, 3],
    )
  })

  it('binds to no session where there is none', () => {
    const bound = bindSession(() => tryGetSession())
    assert.equal(runWithSession(aSession(), bound), undefined)
  })
})

describe('what requests share', () => {
  const [ada, bob] = [aSession(), aSession()]

  it('calls listeners in the session of whoever emits, unless they are bound', () => {
    const shared = new EventEmitter()
    const heard: unknown[] = []
    runWithSession(ada, () => {
      shared.on('event', () => heard.push(getSession()))
      shared.on(
        'event',
        bindSession(() => heard.push(getSession())),
      )
    })
    runWithSession(bob, () => shared.emit('event'))
    assert.equal(heard[0], bob)
    assert.equal(heard[1], ada)
  })

  it('does all jobs of a queue in the session of whoever started its worker, unless they are bound', async () => {
    const jobs: (() => void)[] = []
    let worker: Promise<void> | undefined
    async function work(): Promise<void> {
      for (let job = jobs.shift(); job; job = jobs.shift()) {
        await new Promise(setImmediate)
        job()
      }
    }
    const put = (job: () => void): void => {
      jobs.push(job)
      worker ??= work()
    }
    const seen: unknown[] = []
    runWithSession(ada, () => put(() => seen.push(getSession())))
    runWithSession(bob, () => put(() => seen.push(getSession())))
    runWithSession(bob, () => put(bindSession(() => seen.push(getSession()))))
    await worker
    assert.equal(seen[0], ada)
    assert.equal(seen[1], ada)
    assert.equal(seen[2], bob)
  })

  it('loads a batch in the session of whoever asked first', async () => {
    let asked: string[] | undefined
    let batch: Promise<unknown> | undefined
    const load = (id: string): Promise<unknown> => {
      if (asked) asked.push(id)
      else {
        asked = [id]
        batch = new Promise((resolve) => process.nextTick(() => resolve(getSession())))
      }
      return batch as Promise<unknown>
    }
    const answers = await Promise.all([runWithSession(ada, () => load('a')), runWithSession(bob, () => load('b'))])
    assert.deepEqual(asked, ['a', 'b'])
    assert.equal(answers[0], ada)
    assert.equal(answers[1], ada)
  })
})

describe('holderOf(ctx, owner)', () => {
  it('finds the innermost, or the one of this owner', () => {
    const ctx = {} as Koa.Context
    assert.equal(holderOf(ctx), undefined)
    assert.equal(holderOf(undefined), undefined)
    const [outerOwner, innerOwner] = [{}, {}]
    const outer: Holder = { session: aSession(), owner: outerOwner }
    const inner: Holder = { session: aSession(), owner: innerOwner, outer }
    enter(ctx, outer)
    assert.equal(holderOf(ctx, innerOwner), undefined)
    enter(ctx, inner)
    assert.equal(holderOf(ctx), inner)
    assert.equal(holderOf(ctx, outerOwner), outer)
    assert.equal(holderOf(ctx, {}), undefined)
    assert.equal(currentHolder(), undefined)
  })
})

describe('a request of a Koa application', () => {
  /** An application where every request has a session of its own from here, and the places in which it was looked for. */
  async function placed(test: TestContext, handler: (ctx: Koa.Context, look: (place: string) => void) => unknown) {
    const app = new Koa()
    const found = new Map<string, unknown[]>()
    app.use(async (ctx, next) => {
      ctx.res.once('close', () => setImmediate(() => app.emit('request over')))
      enter(ctx, { session: aSession() })
      ctx.state['own'] = holderOf(ctx)?.session
      await runInContext(ctx, next)
    })
    app.use(async (ctx) => {
      const look = (place: string): void => {
        found.set(place, [...(found.get(place) ?? []), tryGetSession() === ctx.state['own']])
      }
      await handler(ctx, look)
    })
    app.on('error', (_error: unknown, ctx: Koa.Context | undefined) => {
      found.set('the error of the application', [
        ...(found.get('the error of the application') ?? []),
        tryGetSession() === ctx?.state['own'],
      ])
    })
    return { address: (await serve(test, app)).address, found, app }
  }

  const places: Record<string, (ctx: Koa.Context, look: () => void) => unknown> = {
    'after an await': async (_, look) => (await new Promise(setImmediate), look()),
    'in a microtask': (_, look) => new Promise<void>((resolve) => queueMicrotask(() => resolve(look()))),
    'in a body stream': (ctx, look) => {
      ctx.body = Readable.from(
        (async function* () {
          await new Promise(setImmediate)
          look()
          yield 'text'
        })(),
      )
    },
    'in _read of a body stream': (ctx, look) => {
      ctx.body = new Readable({
        read() {
          look()
          this.push(null)
        },
      })
    },
    'in pull of a web stream': (ctx, look) => {
      ctx.body = new ReadableStream({
        pull(controller) {
          look()
          controller.close()
        },
      })
    },
    'when the response is finished': (ctx, look) => void ctx.res.once('finish', look),
    'when the response is closed': (ctx, look) => void ctx.res.once('close', look),
    'in the error of the application': (ctx) => ctx.throw(500),
    'in the error of a body stream': (ctx) => {
      ctx.body = new Readable({
        read() {
          this.destroy(new Error('of the stream'))
        },
      })
    },
  }

  for (const [place, handler] of Object.entries(places)) {
    it(`has its own session ${place}: the first one, and all that come at once later`, async (t) => {
      const { address, found, app } = await placed(t, (ctx, look) => handler(ctx, () => look(place)))
      async function ask(count: number): Promise<void> {
        const over = new Promise<void>((resolve) => {
          let left = count
          app.on('request over', () => --left === 0 && resolve())
        })
        await Promise.all(Array.from({ length: count }, () => new Agent(address).get('/').catch(() => {})))
        await over
      }
      await ask(1)
      await ask(20)
      const answers = [...found.values()].flat()
      assert.ok(answers.length >= 21, `${answers.length} answers`)
      assert.ok(answers.every(Boolean))
    })
  }

  it('has its own session in a body stream that a middleware above reads, the first one too', async (t) => {
    const seen: unknown[] = []
    const app = new Koa()
    app.use(async (ctx, next) => {
      await next()
      ctx.body = (ctx.body as Readable).pipe(new PassThrough())
    })
    app.use((ctx, next) => {
      enter(ctx, { session: aSession() })
      return runInContext(ctx, next)
    })
    app.use((ctx) => {
      const look = (): void => void seen.push(tryGetSession() === holderOf(ctx)?.session)
      const body = Readable.from(
        (async function* () {
          look()
          await new Promise(setImmediate)
          look()
          yield 'text'
        })(),
      )
      ctx.body = body.on('end', look)
    })
    const { address } = await serve(t, app)
    for (let count = 0; count < 2; count++) assert.equal((await new Agent(address).get('/')).text, 'text')
    assert.deepEqual(seen, Array(6).fill(true))
  })

  it('has its own session while its body is read, the first one and all that come at once later', async (t) => {
    const { address, found } = await placed(
      t,
      (ctx, look) =>
        new Promise<void>((resolve) => {
          ctx.req.on('data', () => look('data'))
          ctx.req.on('end', () => resolve(look('end')))
        }),
    )
    const send = () => new Agent(address).get('/', { method: 'POST', body: 'x'.repeat(200_000) })
    await send()
    await Promise.all(Array.from({ length: 20 }, send))
    assert.deepEqual(found.get('end'), Array(21).fill(true))
    assert.ok((found.get('data') ?? []).length >= 21)
    assert.ok(found.get('data')?.every(Boolean))
  })

  it('is handled inside its context by a method of Koa that is private, and is replaced once', async (t) => {
    const { address, app } = await placed(t, (ctx) => (ctx.body = 'text'))
    const handler = (): unknown => (app as unknown as { handleRequest: unknown }).handleRequest
    const ofKoa = handler()
    assert.equal(typeof ofKoa, 'function', 'Koa has it still')
    await new Agent(address).get('/')
    const ours = handler()
    assert.notEqual(ours, ofKoa)
    await new Agent(address).get('/')
    assert.equal(handler(), ours)
  })

  it('leaves no session to what runs after it', async (t) => {
    const { address } = await placed(t, (ctx) => (ctx.body = 'text'))
    await new Agent(address).get('/')
    assert.equal(tryGetSession(), undefined)
  })

  it('finds nothing before the middleware and in a request that it skips', async (t) => {
    const app = new Koa()
    const seen: unknown[] = []
    app.use((_, next) => (seen.push(tryGetSession()), next()))
    app.use(session({ keys: KEYS, store: 'memory:', skip: (ctx) => ctx.path === '/skipped' }))
    app.use((ctx) => {
      seen.push(ctx.session === tryGetSession(), ctx.session === undefined)
    })
    const address = (await serve(t, app)).address
    const agent = new Agent(address)
    for (const path of ['/', '/skipped', '/skipped']) await agent.get(path)
    assert.deepEqual(seen, [undefined, true, false, undefined, true, true, undefined, true, true])
  })
})
