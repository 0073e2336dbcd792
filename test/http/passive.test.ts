import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore, redisStore, type SessionOptions, type Store } from '../../src/index.ts'
import { privateRedis } from '../support/servers/redis-server.ts'
import { sessionOf, siteWith, type Agent, type Site } from '../support/sites/http.ts'
import { PATIENCE } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { collectWarnings } from '../support/warnings.ts'

const MINUTE = 60_000

const STORES: Record<string, () => Store | string> = {
  memory: () => 'memory:',
  files: () => `file:${temporaryDirectory()}`,
  'a store without a cache': () => memoryStore(),
}

/** A site whose requests to `/poll…` are passive. The clock goes on only by `pass`. */
async function site(
  test: TestContext,
  options: SessionOptions,
): Promise<Site & { pass(time: number): Promise<void>; open(): void; arrived: Promise<void> }> {
  let arrive!: () => void
  let open!: () => void
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const opened = new Promise<void>((resolve) => (open = resolve))
  const passive = { passive: (ctx: { path: string }) => ctx.path.startsWith('/poll') }
  const here = await siteWith(test, { ...options, ...passive }, async (ctx) => {
    const session = sessionOf(ctx)
    if (ctx.path === '/in') session['user'] = 'ada'
    if (ctx.path.endsWith('/write')) session['polls'] = (session['polls'] ?? 0) + 1
    if (ctx.path.endsWith('/update')) await session.update((fresh) => (fresh['polls'] = (fresh['polls'] ?? 0) + 1))
    if (ctx.path.endsWith('/rotate')) await session.regenerate({ keep: true })
    if (ctx.path.endsWith('/brief')) session.remember({ idleTimeout: 5 * MINUTE })
    if (ctx.path.endsWith('/long')) {
      arrive()
      await opened
      session['late'] = true
    }
    const { user = null, polls = 0 } = sessionOf(ctx)
    ctx.body = { user, polls, left: ctx.session.expiresAt - Date.now() }
  })
  test.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() })
  return {
    ...here,
    arrived,
    open,
    async pass(time) {
      for (let left = time; left > 0; left -= MINUTE) {
        test.mock.timers.tick(Math.min(left, MINUTE))
        await new Promise(setImmediate)
      }
    },
  }
}

interface Seen {
  user: string | null
  polls: number
  left: number
}

async function look(browser: Agent, path: string): Promise<Seen> {
  return (await browser.get(path)).json<Seen>()
}

describe('a passive request', () => {
  for (const [name, store] of Object.entries(STORES)) {
    const options = (): SessionOptions => ({
      store: store(),
      ...(name === 'a store without a cache' && { cache: false as const }),
    })

    for (const path of ['/poll', '/poll/write', '/poll/update', '/poll/rotate']) {
      it(`does not extend the session by ${path}: on ${name}`, async (test) => {
        const { agent, pass } = await site(test, options())
        const browser = agent()
        await browser.get('/in')
        const left: number[] = []
        for (let turn = 0; turn < 6; turn++) {
          await pass(5 * MINUTE - 1)
          left.push((await look(browser, path)).left)
        }
        assert.deepEqual(
          left.map((time) => Math.round(time / MINUTE)),
          [25, 20, 15, 10, 5, 0],
          'and tells how much time is left',
        )
        assert.equal((await look(browser, path)).user, 'ada')
        await pass(MINUTE)
        assert.equal((await look(browser, path)).user, null)
      })
    }

    it(`stores what it changes: on ${name}`, async (test) => {
      const { agent } = await site(test, options())
      const browser = agent()
      await browser.get('/in')
      for (let turn = 0; turn < 3; turn++) await browser.get('/poll/write')
      assert.equal((await look(browser, '/')).polls, 3)
    })

    it(`takes nothing away from the time that other requests have given: on ${name}`, async (test) => {
      const { agent, pass, arrived, open } = await site(test, options())
      const browser = agent()
      await browser.get('/in')
      await pass(20 * MINUTE)
      const poll = browser.get('/poll/long')
      await arrived
      await browser.get('/')
      open()
      await poll
      await pass(29 * MINUTE)
      assert.equal((await look(browser, '/')).user, 'ada')
    })
  }

  it('keeps nothing alive while it is under way, and what it changes too late is reported', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent, pass, arrived, open } = await site(test, {})
    const browser = agent()
    await browser.get('/in')
    const poll = browser.get('/poll/long')
    await arrived
    await pass(31 * MINUTE)
    assert.equal((await look(browser, '/')).user, null)
    open()
    assert.deepEqual((await poll).cookies, [])
    const [told] = (await warnings()).filter(({ code }) => code === 'SESSION_TIMED_OUT')
    assert.match(told?.message ?? '', /idleTimeout \(30 minutes\) had passed/)
  })

  it('may give the session other timeouts, which count from its last use', async (test) => {
    const { agent, pass } = await site(test, {})
    const browser = agent()
    await browser.get('/in')
    await pass(3 * MINUTE)
    await browser.get('/poll/brief')
    await pass(MINUTE)
    assert.equal((await look(browser, '/poll')).user, 'ada')
    await pass(2 * MINUTE)
    assert.equal((await look(browser, '/poll')).user, null)
  })

  it('that begins a session gives it all of its time', async (test) => {
    const { agent, pass } = await site(test, {})
    const browser = agent()
    await browser.get('/poll/write')
    await pass(29 * MINUTE)
    assert.equal((await look(browser, '/poll')).polls, 1)
  })

  it('costs the store no touch', async (test) => {
    const store = recordingStore({ power: 'isCurrent' })
    const { agent, pass } = await site(test, { store })
    const browser = agent()
    await browser.get('/in')
    await pass(10 * MINUTE)
    await browser.get('/poll')
    assert.equal(store.count('touch'), 0)
    await browser.get('/')
    assert.equal(store.count('touch'), 1)
  })

  it('writes to Redis without a change of the expiry, which another node has just extended', async (test) => {
    const { url } = await privateRedis(test)
    const store = redisStore(url, { deadline: PATIENCE })
    test.after(() => store.close?.())
    let arrive!: () => void
    let open!: () => void
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    const opened = new Promise<void>((resolve) => (open = resolve))
    const { agent } = await siteWith(
      test,
      { store: `${url}?deadline=${PATIENCE}`, passive: () => true },
      async (ctx) => {
        if (ctx.path === '/poll') {
          arrive()
          await opened
        }
        sessionOf(ctx)['path'] = ctx.path
        ctx.body = ''
      },
    )
    const browser = agent()
    await browser.get('/in')
    const poll = browser.get('/poll')
    await arrived
    const [key] = (await keysOf(store)) as [string]
    const later = ((await store.load(key))?.expiresAt as number) + 10 * MINUTE
    await store.touch(key, later)
    open()
    await poll
    const now = await store.load(key)
    assert.equal(now?.expiresAt, later)
    assert.match(now?.text ?? '', /"path":"\/poll"/)
  })
})
