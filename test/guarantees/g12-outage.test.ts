import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore } from '../../src/index.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { currentSession, KEY, serve, sessionOf, siteWith, type Agent, type Reply } from '../support/sites/http.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { settledBy } from '../support/stores/records.ts'
import { until } from '../support/servers/server-process.ts'
import { testSite } from '../support/sites/test-site.ts'
import { recordingStore, type Method } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'

const HOUR = 3_600_000
/** How long a store is given if nothing else is said. */
const DEADLINE = 2000
const READING: Method[] = ['load']
const WRITING: Method[] = ['save', 'touch', 'delete']

describe('G12: while the store is down', () => {
  const down = async (test: TestContext, calls: Method[], hangs = false) => {
    const inner = memoryStore()
    const store = recordingStore({ over: inner, ...(hangs && { deadline: 'default' }) })
    const site = await siteWith(test, { store, cache: false }, async (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = ctx.query['user'] ?? 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      if (ctx.path === '/login') await currentSession().regenerate()
      if (ctx.path === '/update') await currentSession().update((fresh) => (fresh['user'] = 'bob'))
      if (ctx.path === '/code') {
        ctx.body = await ctx.session.save().then(
          () => 'saved',
          (error: { code: string; status: number; cause?: Error }) =>
            `${error.code} ${error.status} ${error.cause?.message}`,
        )
        return
      }
      ctx.body = ctx.path === '/asset' ? 'asset' : { ...ctx.session }
    })
    const browser = site.agent()
    await browser.get('/write')
    if (hangs) store.holdAll(...calls)
    else store.failAll(...calls)
    return { inner, store, browser, ...site }
  }

  it('a request that does not touch its session works', async (test) => {
    const { browser } = await down(test, [...READING, ...WRITING])
    const { status, text, cookies } = await browser.get('/asset')
    assert.deepEqual([status, text, cookies], [200, 'asset', []])
  })

  it('one that touches it gets 503; nobody is logged out, nothing is overwritten', async (test) => {
    const { browser, store, inner } = await down(test, READING)
    const before = JSON.stringify(await Promise.all((await keysOf(inner)).map((key) => inner.load(key))))
    for (const path of ['/', '/write?user=bob', '/out', '/login', '/update', '/code']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    assert.equal(JSON.stringify(await Promise.all((await keysOf(inner)).map((key) => inner.load(key)))), before)
    store.mend()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })

  it('a write gets 503 and sends no cookie, the visitor keeps the old state', async (test) => {
    const { browser, store, agent, inner } = await down(test, WRITING)
    for (const path of ['/write?user=bob', '/out', '/login', '/update']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    assert.deepEqual((await agent().get('/write')).cookies, [])
    store.mend()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
    assert.equal((await keysOf(inner)).length, 1)
  })

  it('a logout that could not be made says so, and does not clear the cookie', async (test) => {
    const { browser } = await down(test, ['delete'])
    const { status, cookies } = await browser.get('/out')
    assert.deepEqual([status, cookies], [503, []])
  })

  it('once the id was changed: what regenerate has kept is there, under the cookie of the failed answer', async (test) => {
    for (const subject of [undefined, 'ada']) {
      const store = recordingStore()
      const { agent } = await siteWith(test, { store, cache: false }, async (ctx) => {
        if (ctx.path === '/cart') sessionOf(ctx)['cart'] = ['tea']
        if (ctx.path === '/cart' && subject !== undefined) ctx.session.identify(subject)
        if (ctx.path === '/sign-in') {
          await ctx.session.regenerate({ keep: ['cart'] as never })
          store.failAll('save')
          sessionOf(ctx)['user'] = 'ada'
        }
        ctx.body = { ...ctx.session }
      })
      const visitor = agent()
      await visitor.get('/cart')
      const { status, cookies } = await visitor.get('/sign-in')
      assert.deepEqual([status, cookies.length], [503, 1])
      store.mend()
      assert.equal((await visitor.get('/')).text, '{"cart":["tea"]}')
    }
  })

  it('once the id was changed and nothing kept: the visitor is a stranger, and may sign in again', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store, cache: false }, async (ctx) => {
      const { fails } = ctx.query
      if (ctx.path === '/sign-in') await ctx.session.regenerate()
      if (fails) store.failAll('save')
      if (ctx.path !== '/') sessionOf(ctx)['path'] = ctx.path
      ctx.body = { ...ctx.session }
    })
    const visitor = agent()
    await visitor.get('/cart')
    const { status, cookies } = await visitor.get('/sign-in?fails=1')
    assert.deepEqual([status, cookies], [503, []])
    store.mend()
    assert.deepEqual((await visitor.get('/cart')).cookies, [])
    assert.equal((await visitor.get('/')).text, '{}')
    assert.equal((await visitor.get('/sign-in')).cookies.length, 1)
    assert.equal((await visitor.get('/')).text, '{"path":"/sign-in"}')
  })

  it('a store that is silent gets two seconds, in parallel, and not more', async (test) => {
    const { browser, store, sessions } = await down(test, READING, true)
    const before = store.count('load')
    const began = performance.now()
    let settled = 0
    const waiting = ['/', '/write?user=bob'].map((path) => browser.get(path).finally(() => settled++))
    await until(() => store.count('load') === before + waiting.length)
    assert.equal(settled, 0, 'they wait in parallel')
    const replies = await settledBy(2 * DEADLINE, Promise.all([...waiting, browser.get('/asset')]))
    assert.ok(performance.now() - began > 0.95 * DEADLINE, 'they wait for the store')
    assert.deepEqual(
      replies.map(({ status }) => status),
      [503, 503, 200],
    )
    assert.ok(sessions.stats().errors >= 3)
    store.mend()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })
})

describe("G12: onStoreError 'anonymous'", () => {
  it('reads as a new visitor, while a write is still a 503 and the cookie stays', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store, cache: false, onStoreError: 'anonymous' }, async (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      if (ctx.path === '/null') ctx.session = null
      if (ctx.path === '/login') await currentSession().regenerate()
      if (ctx.path === '/save') {
        sessionOf(ctx)['user'] = 'bob'
        await ctx.session.save()
      }
      if (ctx.path === '/update') await currentSession().update((fresh) => (fresh['user'] = 'bob'))
      if (ctx.path === '/reload') await currentSession().reload()
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/write')
    store.failAll('load')
    const read = await browser.get('/')
    assert.deepEqual([read.status, read.text, read.cookies], [200, '{}', []])
    for (const path of ['/write', '/out', '/null', '/login', '/save', '/update', '/reload']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    store.mend()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })
})

describe('G12: a write of which nobody knows the outcome', () => {
  it('is not repeated; the next commit reads first, and loses nothing', async (test) => {
    const inner = memoryStore()
    let cut = false
    let saves = 0
    const store = {
      ...inner,
      async save(...args: Parameters<typeof inner.save>) {
        saves++
        const saved = await inner.save(...args)
        if (cut) throw new Error('the connection was cut after the command was sent')
        return saved
      },
    }
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/count') {
        cut = true
        const failure = await session
          .update((fresh) => (fresh['count'] = Number(fresh['count'] ?? 0) + 1))
          .catch((error) => error)
        cut = false
        assert.equal(failure.code, 'ERR_SESSION_STORE_UNAVAILABLE')
        assert.match(failure.message, /may or may not be stored/)
        session['after'] = true
      }
      if (ctx.path === '/write') session['user'] = 'alice'
      ctx.body = { ...session }
    })
    const browser = agent()
    await browser.get('/write')
    saves = 0
    assert.equal((await browser.get('/count')).status, 200)
    assert.equal(saves, 2)
    assert.equal((await browser.get('/')).text, '{"user":"alice","count":1,"after":true}')
  })
})

describe('G12: while Redis is in trouble', () => {
  /** A signed-in visitor of a site on a Redis of its own; what goes wrong comes afterwards. */
  async function siteOnRedis(
    test: TestContext,
    args: readonly string[] = [],
    query = 'bound=1000',
  ): Promise<{ redis: RedisServer; visitor: Agent; url: string }> {
    const redis = await redisServer({ args })
    test.after(() => redis.stop())
    const { app, sessions } = testSite({ keys: [KEY], store: `${redis.url}?${query}` })
    test.after(() => sessions.close())
    const visitor = (await serve(test, app)).agent()
    await answered(visitor, '/write?key=user&value=alice')
    return { redis, visitor, url: redis.url }
  }

  /** What the site answers once it has heard of the server again, of which a busy machine may hear late. */
  async function answered(visitor: Agent, path: string): Promise<Reply> {
    let reply: Reply | undefined
    await until(async () => (reply = await visitor.get(path)).status !== 503)
    assert.equal(reply!.status, 200)
    return reply!
  }

  async function shown(visitor: Agent): Promise<{ user?: string }> {
    return (await answered(visitor, '/read')).json<{ result: { user?: string } }>().result
  }

  /** What is true of every outage: a page without a session works, one with it is 503 in time, and nobody is logged out. */
  async function assertOutage(visitor: Agent, path = '/write?key=late&value=1'): Promise<void> {
    await until(async () => (await visitor.get(path)).status === 503)
    const { status, cookies } = await settledBy(2 * DEADLINE, visitor.get(path))
    assert.deepEqual([status, cookies], [503, []])
    // In less time than it would take to wait for the store.
    const plain = await settledBy(DEADLINE, visitor.get('/plain'))
    assert.deepEqual([plain.status, plain.cookies], [200, []])
  }

  async function assertHealed(visitor: Agent): Promise<void> {
    assert.equal((await shown(visitor)).user, 'alice')
    await answered(visitor, '/write?key=healed&value=1')
    assert.equal((await shown(visitor)).user, 'alice')
  }

  it('stopped and started again with its data', async (test) => {
    const { redis, visitor } = await siteOnRedis(test, ['--appendonly', 'yes', '--appendfsync', 'always'])
    await redis.kill()
    await assertOutage(visitor)
    await redis.restart('--appendonly', 'yes')
    await assertHealed(visitor)
  })

  it('hung: after the first requests have waited in vain, the next ones are answered at once', async (test) => {
    const { redis, visitor } = await siteOnRedis(test)
    await redis.freeze()
    await assertOutage(visitor)
    redis.thaw()
    await assertHealed(visitor)
  })

  it('a replica that takes no writes', async (test) => {
    const { redis, visitor } = await siteOnRedis(test)
    const master = await redisServer()
    test.after(() => master.stop())
    await redis.cli('CONFIG', 'SET', 'replica-serve-stale-data', 'yes')
    const key = (await redis.cli('--scan', '--pattern', 'session:?*'))
      .split('\n')
      .find((name) => /:[0-9a-f]{64}$/.test(name)) as string
    const value = await redis.cli('GET', key)
    await redis.cli('REPLICAOF', '127.0.0.1', '1')
    await assertOutage(visitor)
    await redis.cli('REPLICAOF', 'NO', 'ONE')
    assert.equal(await redis.cli('GET', key), value)
    await assertHealed(visitor)
  })

  it('out of memory with noeviction: reading goes on, a write is 503', async (test) => {
    const { redis, visitor } = await siteOnRedis(test)
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
    await assertOutage(visitor)
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    await assertHealed(visitor)
  })

  it('a password that changed', async (test) => {
    const { redis, visitor } = await siteOnRedis(test)
    await redis.cli('CONFIG', 'SET', 'requirepass', 'another')
    await redis.cli('-a', 'another', '--no-auth-warning', 'CLIENT', 'KILL', 'TYPE', 'normal')
    await redis.cli('-a', 'another', '--no-auth-warning', 'CLIENT', 'KILL', 'TYPE', 'pubsub')
    await assertOutage(visitor)
    await redis.cli('-a', 'another', '--no-auth-warning', 'CONFIG', 'SET', 'requirepass', '')
    await assertHealed(visitor)
  })

  it('killed connections and forgotten scripts heal without an error that stays', async (test) => {
    // So long that a busy machine loses no connection: a forgotten script alone is no error.
    const { redis, visitor } = await siteOnRedis(test, [], 'bound=60000&deadline=60000')
    await redis.cli('SCRIPT', 'FLUSH')
    assert.equal((await visitor.get('/write?key=late&value=1')).status, 200)
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal')
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await assertHealed(visitor)
  })

  it('emptied: the visitor is anonymous and may sign in again', async (test) => {
    const { redis, visitor } = await siteOnRedis(test)
    await redis.cli('FLUSHALL')
    await until(async () => (await visitor.get('/read')).text.includes('"result":{}'))
    assert.equal((await answered(visitor, '/write?key=user&value=bob')).cookies.length, 1)
    assert.equal((await shown(visitor)).user, 'bob')
  })

  it('somebody else’s value in the place of the session: anonymous, and the value stays', async (test) => {
    for (const [kind, ...command] of [
      ['string', 'SET', 'KEY', 'garbage'],
      ['string', 'SET', 'KEY', '1999999999999|1|{"format":99}'],
      ['list', 'RPUSH', 'KEY', 'x'],
    ] as const) {
      const { redis, visitor } = await siteOnRedis(test)
      const key = (await redis.cli('--scan', '--pattern', 'session:*'))
        .split('\n')
        .find((name) => /:[0-9a-f]{64}$/.test(name)) as string
      await redis.cli('DEL', key)
      await redis.cli(...command.map((word) => (word === 'KEY' ? key : word)))
      const dump = await redis.cli('DEBUG', 'DIGEST-VALUE', key)
      await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await until(async () => (await visitor.get('/read')).text.includes('"result":{}'))
      assert.equal((await answered(visitor, '/write?key=user&value=bob')).cookies.length, 1)
      assert.equal((await shown(visitor)).user, 'bob')
      assert.deepEqual([await redis.cli('TYPE', key), await redis.cli('DEBUG', 'DIGEST-VALUE', key)], [kind, dump])
    }
  })
})

describe('round trips to Redis', () => {
  it('warm read 0, changed 1, created 1, anonymous 0, touch 1 for a tenth of the idle timeout', async (test) => {
    const redis = await redisServer()
    test.after(() => redis.stop())
    // A bound so long that no heartbeat comes between.
    const store = redisStore(redis.url, { coherence: { bound: HOUR }, deadline: 60_000 })
    test.after(() => store.close?.())
    const { app, sessions } = testSite({ keys: [KEY], store, idleTimeout: HOUR, cache: { maxAge: HOUR } })
    test.after(() => sessions.close())
    const { agent } = await serve(test, app)
    interface Calls {
      /** Each one a round trip. */
      scripts: number
      /** Round trips too, but for the one that the script of a save runs inside the server. */
      gets: number
    }
    const count = async (): Promise<Calls> => {
      // Whatever was sent before it over the same connection has been counted when this is answered.
      await store.ping?.()
      const stats = await redis.cli('INFO', 'commandstats')
      const callsOf = (name: string): number => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
      return { scripts: callsOf('evalsha') + callsOf('eval'), gets: callsOf('get') }
    }
    const costOf = async (work: () => Promise<unknown>): Promise<Calls> => {
      const before = await count()
      await work()
      const { scripts, gets } = await count()
      return { scripts: scripts - before.scripts, gets: gets - before.gets }
    }
    const NOTHING: Calls = { scripts: 0, gets: 0 }
    const SAVE: Calls = { scripts: 1, gets: 1 }
    const TOUCH: Calls = { scripts: 1, gets: 0 }
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const visitor = agent()
    await visitor.get('/write?key=n&value=0') // scripts are loaded, the link is up
    await until(async () => (await visitor.get('/read')) && sessions.stats().hits > 0)
    await visitor.get('/write?key=n&value=1')
    await visitor.get('/read')
    assert.deepEqual(await costOf(() => visitor.get('/read')), NOTHING, 'warm read')
    assert.deepEqual(await costOf(() => visitor.get('/write?key=n&value=2')), SAVE, 'changed')
    assert.deepEqual(await costOf(() => agent().get('/read')), NOTHING, 'anonymous')
    assert.deepEqual(await costOf(() => agent().get('/write?key=n&value=3')), SAVE, 'created')
    test.mock.timers.tick(HOUR / 10)
    await visitor.get('/read') // the server learns the script of a touch
    test.mock.timers.tick(HOUR / 10 - 1)
    assert.deepEqual(await costOf(() => visitor.get('/read')), NOTHING, 'not yet a tenth')
    test.mock.timers.tick(1)
    assert.deepEqual(await costOf(() => visitor.get('/read')), TOUCH, 'touched')
    assert.deepEqual(await costOf(() => visitor.get('/read')), NOTHING, 'touched already')
  })
})
