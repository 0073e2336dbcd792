import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { request } from 'node:http'
import { PassThrough } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, it, type TestContext } from 'node:test'
import { fileStore, memcachedStore, redisStore, type DiagnosticMessage, type Store } from '../../src/index.ts'
import { keyOf } from '../../src/session/token.ts'
import { inTheEnd } from '../support/in-the-end.ts'
import { collectedUntil } from '../support/processes/garbage.ts'
import { patientRedis } from '../support/processes/deployments.ts'
import { startProcesses } from '../support/processes/site-processes.ts'
import { memcachedServer } from '../support/servers/memcached-server.ts'
import { Agent, sessionOf, siteWith } from '../support/sites/http.ts'
import { PATIENCE } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { collectWarnings } from '../support/warnings.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** What a handler waits for, and where it stands by then. */
class Gate {
  /** Resolves once a handler stands at the gate. */
  readonly arrived: Promise<void>
  open!: () => void
  readonly #opened: Promise<void>
  arrive!: () => void

  /** `count`: for how many handlers the gate waits. */
  constructor(count = 1) {
    let left = count
    let arrive!: () => void
    this.arrived = new Promise((resolve) => (arrive = resolve))
    this.arrive = () => void (--left === 0 && arrive())
    this.#opened = new Promise((resolve) => (this.open = resolve))
  }

  async pass(): Promise<void> {
    this.arrive()
    await this.#opened
  }
}

/** From here on the clock and the library's timers go on only by `pass`. Node's own timers stay real. */
function driveClock(test: TestContext): (time: number) => Promise<void> {
  test.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() })
  // In small steps, as time goes: what was due in between has been done in between.
  return async (time) => {
    for (let left = time; left > 0; left -= MINUTE) {
      test.mock.timers.tick(Math.min(left, MINUTE))
      await new Promise(setImmediate)
    }
  }
}

const STORES: Record<string, () => Store | string> = {
  memory: () => 'memory:',
  files: () => `file:${temporaryDirectory()}`,
}

describe('G11: a session that is in use does not end', () => {
  for (const [name, store] of Object.entries(STORES)) {
    it(`a request that lasts for four idle timeouts keeps it, and what it changes is stored: ${name}`, async (test) => {
      const gate = new Gate()
      const left: number[] = []
      const { agent } = await siteWith(test, { store: store() }, async (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/in') session['user'] = 'ada'
        if (ctx.path === '/upload') {
          await gate.pass()
          left.push(session.expiresAt - Date.now())
          session['files'] = 1
        }
        ctx.body = { ...ctx.session }
      })
      const pass = driveClock(test)
      const browser = agent()
      await browser.get('/in')
      await pass(29 * MINUTE)
      const upload = browser.get('/upload')
      await gate.arrived
      await pass(2 * HOUR)
      gate.open()
      assert.deepEqual((await upload).json(), { user: 'ada', files: 1 })
      assert.ok((left[0] as number) >= 27 * MINUTE, 'and the request knows how much time is left')
      assert.deepEqual((await browser.get('/')).json(), { user: 'ada', files: 1 })
    })

    it(`a request keeps it that has shortened the idle timeout itself, whatever stores that: ${name}`, async (test) => {
      for (const how of ['save', 'update']) {
        const gate = new Gate()
        const options = {
          store: store(),
          idleTimeout: 8 * HOUR,
          absoluteTimeout: 80 * HOUR,
          cookie: { persistent: true },
        }
        const { agent } = await siteWith(test, options, async (ctx) => {
          const session = sessionOf(ctx)
          if (ctx.path === '/in') session['user'] = 'ada'
          if (ctx.path === '/download') {
            session.remember({ idleTimeout: 5 * MINUTE })
            if (how === 'save') await session.save()
            else await session.update(() => {})
            await gate.pass()
          }
          ctx.body = { ...ctx.session }
        })
        const pass = driveClock(test)
        const browser = agent()
        await browser.get('/in')
        const download = browser.get('/download')
        await gate.arrived
        await pass(HOUR)
        gate.open()
        assert.deepEqual((await download).json(), { user: 'ada' })
        assert.deepEqual((await browser.get('/')).json(), { user: 'ada' })
        test.mock.timers.reset()
      }
    })

    it(`the idle timeout counts from the end of the request, and not for ever: ${name}`, async (test) => {
      const gate = new Gate(2)
      const { agent } = await siteWith(test, { store: store() }, async (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
        if (ctx.path === '/report') await gate.pass()
        ctx.body = { ...ctx.session }
      })
      const pass = driveClock(test)
      const [one, other] = [agent(), agent()]
      await one.get('/in')
      await other.get('/in')
      const reports = [one, other].map((browser) => browser.get('/report'))
      await gate.arrived
      await pass(HOUR)
      gate.open()
      await Promise.all(reports)
      await pass(29 * MINUTE)
      assert.deepEqual((await one.get('/')).json(), { user: 'ada' })
      await pass(2 * MINUTE)
      assert.deepEqual((await other.get('/')).json(), {})
    })
  }

  it('neither under a download, whose body is still read long after the handler has returned', async (test) => {
    const body = new PassThrough()
    const { agent } = await siteWith(test, {}, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      ctx.body = ctx.path === '/download' ? body : { ...ctx.session }
    })
    const pass = driveClock(test)
    const browser = agent()
    await browser.get('/in')
    const download = begin(browser, '/download')
    body.write('a')
    const [response] = await download
    await pass(2 * HOUR)
    body.end('b')
    assert.equal(await textOf(response), 'ab')
    assert.deepEqual((await browser.get('/')).json(), { user: 'ada' })
  })

  it('nor if the session began in this very request, or moved to a new token in it', async (test) => {
    for (const path of ['/save', '/update', '/regenerate']) {
      await test.test(path.slice(1), async (test) => {
        const gate = new Gate()
        const { agent } = await siteWith(test, {}, async (ctx) => {
          const session = sessionOf(ctx)
          if (ctx.path === '/in' || ctx.path === '/save') session['user'] = 'ada'
          if (ctx.path === '/save') await session.save()
          if (ctx.path === '/update') await session.update((fresh) => (fresh['user'] = 'ada'))
          if (ctx.path === '/regenerate') await session.regenerate({ keep: ['user'] })
          if (ctx.path === path) {
            await gate.pass()
            sessionOf(ctx)['late'] = true
          }
          ctx.body = { ...ctx.session }
        })
        const pass = driveClock(test)
        const browser = agent()
        if (path === '/regenerate') await browser.get('/in')
        const answer = browser.get(path)
        await gate.arrived
        await pass(2 * HOUR)
        gate.open()
        assert.deepEqual((await answer).json(), { user: 'ada', late: true })
        assert.deepEqual((await browser.get('/')).json(), { user: 'ada', late: true })
      })
    }
  })

  it('a visitor who has gone keeps it for as long as the handler works, and no longer', async (test) => {
    const gate = new Gate()
    const done = new Gate()
    const { agent } = await siteWith(
      test,
      {},
      async (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
        if (ctx.path === '/job') {
          await gate.pass()
          sessionOf(ctx)['job'] = 'done'
        }
        ctx.body = { ...ctx.session }
      },
      (app) =>
        app.use(async (ctx, next) => {
          await next()
          if (ctx.path === '/job') done.arrive()
        }),
    )
    const pass = driveClock(test)
    const browser = agent()
    await browser.get('/in')
    const asked = request({ port: browser.port, path: '/job', headers: { cookie: browser.cookieHeader } }).end()
    asked.on('error', () => {})
    await gate.arrived
    asked.destroy()
    await pass(2 * HOUR)
    gate.open()
    await done.arrived
    assert.deepEqual((await browser.get('/')).json(), { user: 'ada', job: 'done' })
    await pass(31 * MINUTE)
    assert.deepEqual((await browser.get('/')).json(), {})
  })

  it('a short request costs no touch, and a long one no more than one for each tenth', async (test) => {
    const gate = new Gate()
    const store = recordingStore({ power: 'isCurrent' })
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      if (ctx.path === '/long') await gate.pass()
      ctx.body = ''
    })
    const pass = driveClock(test)
    const browser = agent()
    await browser.get('/in')
    await pass(3 * MINUTE - 1)
    await browser.get('/')
    assert.equal(store.count('touch'), 0)
    const long = browser.get('/long')
    await gate.arrived
    await pass(MINUTE)
    const before = store.count('touch')
    await pass(30 * MINUTE)
    gate.open()
    await long
    const touches = store.count('touch') - before
    assert.ok(touches >= 7 && touches <= 10, `${touches} in an idle timeout`)
    await pass(HOUR)
    assert.equal(store.count('touch') - before, touches, 'and none once it is over')
  })

  it('the absolute timeout ends it all the same, and the change that this costs is reported', async (test) => {
    const warnings = await collectWarnings(test)
    const gate = new Gate(2)
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      if (ctx.path === '/import') {
        await gate.pass()
        sessionOf(ctx)['secret'] = 'a value'
      }
      ctx.body = { ...ctx.session }
    })
    const errors = listenToErrors(test)
    const pass = driveClock(test)
    const browser = agent()
    await browser.get('/in')
    const slow = [browser.get('/import'), browser.get('/import')]
    await gate.arrived
    await pass(9 * HOUR)
    gate.open()
    for (const answer of await Promise.all(slow)) assert.deepEqual(answer.cookies, [])
    assert.deepEqual((await browser.get('/')).json(), {})
    assert.deepEqual(
      errors.map(({ reason }) => reason),
      ['timed out', 'timed out'],
    )
    assert.match(String(errors[0]?.error), /absoluteTimeout \(8 hours\)/)
    const told = (await warnings()).filter(({ code }) => code === 'SESSION_TIMED_OUT')
    assert.equal(told.length, 1, 'once')
    assert.match(String(told[0]?.message), /absoluteTimeout \(8 hours\) had passed/)
    assert.doesNotMatch(String(told[0]?.message), /a value/)
  })

  it('no request is kept in memory by it, and none is looked at, once it is over', async (test) => {
    let count = 0
    const registry = new FinalizationRegistry(() => count++)
    const { agent } = await siteWith(test, {}, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      else registry.register(ctx.session, undefined)
      ctx.body = ''
    })
    const browser = agent()
    await browser.get('/in')
    for (let turn = 0; turn < 20; turn++) await browser.get('/')
    await collectedUntil(() => count >= 19)
    assert.ok(count >= 19, `${count} of 20`)
  })
})

describe('G11: a long request on one node keeps the session that another node made', () => {
  const SERVERS: Record<string, (test: TestContext) => Promise<{ url: string; store: Store }>> = {
    'on one Redis': async (test) => {
      const url = await patientRedis(test)
      return { url, store: redisStore(url) }
    },
    'on files': async () => {
      const directory = temporaryDirectory()
      return { url: `file:${directory}`, store: fileStore({ directory, pruneInterval: 0 }) }
    },
    'on memcached': async (test) => {
      const server = await memcachedServer()
      test.after(() => server.stop())
      const url = `${server.url}?deadline=${PATIENCE}`
      return { url, store: memcachedStore(server.url, { deadline: PATIENCE }) }
    },
  }
  for (const [name, start] of Object.entries(SERVERS)) {
    it(name, async (test) => {
      const { url, store } = await start(test)
      test.after(() => store.close?.())
      // So long that a slow machine does not matter, and so short that a tenth of it can be waited for.
      const ports = await startProcesses(test, 2, { store: url, idleTimeout: 20_000, absoluteTimeout: HOUR })
      const [here, there] = ports as [number, number]
      const browser = new Agent(here)
      await browser.get('/write?key=user&value=ada')
      const key = keyOf((browser.cookies.get('sid') as string).split('.')[0] as string)
      const first = (await store.load(key))?.expiresAt as number
      const long = browser.at(there).get('/write?key=late&value=1&gate=a')
      await browser.at(there).get('/arrived?gate=a')
      let now: number | undefined = first
      while (now === first && Date.now() < first) {
        await pause(50)
        now = (await store.load(key))?.expiresAt
      }
      assert.ok((now as number) > first, 'extended while the request is under way')
      await browser.at(there).get('/open?gate=a')
      assert.equal((await long).status, 200)
      await inTheEnd(async () => (await browser.get('/read')).json()['result'], { user: 'ada', late: '1' })
    })
  }
})

function listenToErrors(test: TestContext): DiagnosticMessage[] {
  const errors: DiagnosticMessage[] = []
  const listen = (message: unknown): void => void errors.push(message as DiagnosticMessage)
  subscribe('koa-server-session:error', listen)
  test.after(() => void unsubscribe('koa-server-session:error', listen))
  return errors
}

function begin(browser: Agent, path: string): Promise<[import('node:http').IncomingMessage]> {
  const asked = request({ port: browser.port, path, headers: { cookie: browser.cookieHeader } }).end()
  return once(asked, 'response') as Promise<[import('node:http').IncomingMessage]>
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = ''
  for await (const piece of stream) text += String(piece)
  return text
}
