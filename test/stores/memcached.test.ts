import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect, promisify } from 'node:util'
import { MemcacheClient } from 'memcache-client'
import { storeConformance } from '../../src/tools/conformance.ts'
import { isSessionError } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { memcachedStore, type MemcachedClient, type MemcachedStoreOptions } from '../../src/stores/memcached.ts'
import { expiryForServer } from '../../src/stores/memcached/expiry.ts'
import { placement } from '../../src/stores/placement.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'
import { clocksOf } from '../support/clocks.ts'
import { memcachedServer, type MemcachedServer } from '../support/servers/memcached-server.ts'
import { startServer, until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { discreet } from '../support/secrecy.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const DAY = 24 * 60 * 60 * 1000

describe('memcachedStore', () => {
  let server: MemcachedServer
  const opened: Store[] = []

  before(async () => {
    server = await memcachedServer()
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(async (store) => store.close?.()))
  })
  after(() => server.stop())

  function open(where: string | MemcachedClient = server.url, options: MemcachedStoreOptions = {}): Store {
    const store = memcachedStore(where, { deadline: PATIENCE, ...options })
    opened.push(store)
    return store
  }

  it('keeps a record as a value that a person can read', async () => {
    const store = open()
    const key = newKey()
    const expiresAt = later()
    const { version } = savedOf(await store.save(key, '{"name":"Zoë"}', expiresAt, undefined))
    assert.equal((await server.ask(`get session:${key}`))[1], `${expiresAt}|${version}|{"name":"Zoë"}`)
  })

  it('has the server drop a record a little after its end, however far away that is', async () => {
    const store = open()
    for (const [length, expected] of [
      [10 * 60_000, 10 * 60],
      [30 * DAY - 5000, 30 * 86_400],
      [30 * DAY + 1, 30 * 86_400],
      [400 * DAY, 400 * 86_400],
      [70 * 365 * DAY, -1], // never: the server knows no time after 2038
    ] as const) {
      const key = newKey()
      savedOf(await store.save(key, '1', later(length), undefined))
      await near()
      await store.save(key, '2', later(length / 2), await store.load(key))
      assert.equal(await store.touch(key, later(length)), true)
      await near()
      await store.save(key, '3', later(length), await store.load(key))
      await near()

      /** By the minute, because a busy machine takes its time. A time that the server reads in another way is weeks away. */
      async function near(): Promise<void> {
        const [answer] = await server.ask(`mg session:${key} t`)
        const left = Number(/ t(-?\d+)/.exec(answer ?? '')?.[1])
        const isNear = expected < 0 ? left === expected : Math.abs(left - expected) < 60
        assert.ok(isNear, `${left} s are left of ${length} ms`)
      }
    }
  })

  it('names that end to the server a second or two late, by a length or, from 30 days on, by an instant', (test) => {
    clocksOf(test)
    const now = Date.now()
    const instant = (length: number): number => Math.ceil((now + length) / 1000) + 1
    for (const [length, expected] of [
      [-1, -1],
      [0, -1],
      [1, 2],
      [1000, 2],
      [1001, 3],
      [60_000, 61],
      [30 * DAY - 1000, 30 * 86_400],
      [30 * DAY - 999, instant(30 * DAY - 999)],
      [30 * DAY + 1, instant(30 * DAY + 1)],
      [400 * DAY, instant(400 * DAY)],
      [(2 ** 31 - 2) * 1000 - now, 2 ** 31 - 1],
      [(2 ** 31 - 2) * 1000 - now + 1, 0],
      [70 * 365 * DAY, 0],
    ] as const) {
      assert.equal(expiryForServer(now + length), expected, `${length} ms`)
    }
  })

  it('makes as many round trips as it says', async () => {
    const store = open()
    const key = newKey()
    const found = async (): Promise<NonNullable<Awaited<ReturnType<Store['load']>>>> => (await store.load(key))!
    assert.deepEqual(await trips(() => store.load(key)), { gets: 1 })
    const created = savedOf(await store.save(newKey(), '1', later(), undefined))
    assert.deepEqual(await trips(() => store.save(key, '1', later(), undefined)), { writes: 1 })
    assert.deepEqual(await trips(() => store.load(key)), { gets: 1 })
    const loaded = await found()
    assert.deepEqual(await trips(() => store.save(key, '2', later(), loaded)), { writes: 1 }, 'of what was loaded')
    const saved = savedOf(await store.save(key, '3', later(), await found()))
    assert.deepEqual(
      await trips(() => store.save(key, '4', later(), saved)),
      { gets: 1, writes: 1 },
      'of what was saved',
    )
    assert.deepEqual(await trips(() => store.save(key, '5', later(), loaded)), { gets: 1, writes: 1 }, 'a lost race')
    assert.deepEqual(await trips(() => store.touch(key, later() + 1)), { gets: 1, writes: 1 })
    assert.deepEqual(await trips(() => store.touch(key, later(1000))), { gets: 1 }, 'to an end that is not later')
    assert.deepEqual(await trips(() => store.delete(key)), { gets: 1, deletes: 1 })
    assert.deepEqual(await trips(() => store.delete(key)), { gets: 1 })
    assert.deepEqual(await trips(() => store.touch(key, later())), { gets: 1 })
    assert.deepEqual(await trips(() => store.save(key, '6', later(), created)), { gets: 1 })

    async function trips(operation: () => unknown): Promise<Record<string, number>> {
      const before = await counts()
      await operation()
      const afterwards = await counts()
      const more = Object.entries(afterwards).map(([name, count]) => [name, count - before[name]!] as const)
      return Object.fromEntries(more.filter(([, count]) => count > 0))
    }
    async function counts(): Promise<Record<string, number>> {
      const [gets, writes, hits, misses] = await Promise.all(
        ['cmd_get', 'cmd_set', 'delete_hits', 'delete_misses'].map((name) => server.stat(name)),
      )
      // A compare-and-set that does not store is counted as a write as well.
      return { gets: gets!, writes: writes!, deletes: hits! + misses! }
    }
  })

  it('never takes back a save by a touch, nor a touch by a save', async () => {
    const store = open()
    const other = open()
    const key = newKey()
    savedOf(await store.save(key, '0', later(), undefined))
    let ends = 1
    let isOver = false
    const touching = (async () => {
      while (!isOver) assert.equal(await other.touch(key, later(60_000 + ends++)), true)
    })()
    let saves = 0
    while (saves < 200 || ends <= 50) {
      const found = (await store.load(key))!
      assert.equal(found.text, `${saves}`)
      savedOf(await store.save(key, `${++saves}`, later(), found))
    }
    isOver = true
    await touching
    assert.equal((await store.load(key))?.text, `${saves}`)
  })

  it('does not take a record of a restarted server for the one it has read before', async () => {
    const own = await memcachedServer()
    try {
      const [store, other] = [open(own.url), open(own.url)]
      const key = newKey()
      savedOf(await other.save(key, 'before', later(), undefined))
      const found = (await store.load(key))!
      await own.kill()
      await own.restart()
      // The server's marks begin at 1 again, so this one has the mark of that other.
      const anew = savedOf(await retried(() => other.save(key, 'after', later(), undefined)))
      await retried(() => store.ping!())
      const { conflict } = await store.save(key, 'late', later(), found)
      assert.equal(conflict?.text, 'after')
      assert.equal(conflict.version, anew.version)
      assert.equal((await other.load(key))?.text, 'after')
    } finally {
      await own.stop()
    }
  })

  it('gives a record made anew under an old key a higher version', async () => {
    const store = open()
    const key = newKey()
    const old = savedOf(await store.save(key, 'old', later(), undefined))
    await store.delete(key)
    const anew = savedOf(await store.save(key, 'new', later(), undefined))
    assert.ok(anew.version > old.version)
    assert.equal((await store.save(key, 'late', later(), old)).conflict?.text, 'new')
  })

  it('takes a record that the server still holds as expired by its own end', async () => {
    const store = open()
    const key = newKey()
    const value = `${Date.now() - 1}|5|{}`
    await server.ask(`set session:${key} 0 0 ${value.length}\r\n${value}`)
    assert.equal(await store.load(key), undefined)
    assert.equal(await store.touch(key, later()), false)
    const before = { text: '{}', version: 5, expiresAt: later() }
    assert.deepEqual(await store.save(key, '{}', later(), before), { gone: true })
    assert.equal((await server.ask(`get session:${key}`))[1], value)
    assert.ok(savedOf(await store.save(key, '{}', later(), undefined)).version > 5)
    assert.equal((await store.load(key))?.text, '{}')
  })

  it('refuses what the server has no room for in one value, and leaves what is there', async () => {
    const store = open()
    const key = newKey()
    const found = savedOf(await store.save(key, '"small"', later(), undefined))
    const large = 'the-session'.repeat(120_000)
    for (const [name, expected] of [
      [newKey(), undefined],
      [key, found],
      [key, await store.load(key)],
    ] as const) {
      await assert.rejects(
        async () => store.save(name, large, later(), expected),
        discreet('ERR_SESSION_TOO_LARGE', 'the-session'),
      )
    }
    assert.equal((await store.load(key))?.text, '"small"')
    const fitting = 'x'.repeat(1_040_000)
    savedOf(await store.save(key, fitting, later(), found))
    assert.ok((await store.load(key))?.text === fitting)
  })

  describe('finds something else under a session’s key', () => {
    for (const [what, flags, value] of [
      ['text', 0, 'hello'],
      ['JSON of another library', 0, '{"cookie":{},"user":1}'],
      ['an empty value', 0, ''],
      ['a value with a newer head', 0, '2:9999999999999|7|{}'],
      ['an object of memcache-client', 2, '{"cookie":{}}'],
      ['a broken object of memcache-client', 2, '{"cookie'],
      ['a number of memcache-client', 4, '17'],
      ['bytes of memcache-client', 8, '9999999999999|7|{}'],
      ['what memcache-client has compressed', 1, 'cookie'],
    ] as const) {
      it(`${what}: says that it cannot be read, and leaves it alone until it is deleted`, async () => {
        const store = open()
        const key = newKey()
        await server.ask(`set session:${key} ${flags} 0 ${value.length}\r\n${value}`)
        const before = await server.ask(`gets session:${key}`)
        const found = { text: '', version: 7, expiresAt: later() }
        for (const operation of [
          () => store.load(key),
          () => store.save(key, '{}', later(), undefined),
          () => store.save(key, '{}', later(), found),
          () => store.touch(key, later()),
          () => store.delete(key, found),
        ]) {
          const { error } = await rejection(Promise.resolve(operation()))
          assert.ok(isSessionError(error, 'ERR_SESSION_UNREADABLE'), inspect(error))
          assert.ok(!error.message.includes('cookie'))
        }
        assert.deepEqual(await server.ask(`gets session:${key}`), before)
        assert.equal(await store.delete(key), true, 'its end was asked for')
        assert.equal(await store.load(key), undefined)
      })
    }
  })

  describe('with several servers', () => {
    const servers: MemcachedServer[] = []
    before(async () => {
      servers.push(...(await Promise.all([memcachedServer(), memcachedServer(), memcachedServer()])))
    })
    after(() => Promise.all(servers.map((one) => one.stop())))

    it('keeps each session on one of them, the same for every order of the list', async () => {
      const [a, b, c] = servers.map(({ address }) => address)
      const store = open(`memcached://${a},${b},${c}`)
      const reordered = open(`memcached://${c},${a},${b}`)
      const keys = Array.from({ length: 300 }, newKey)
      for (const key of keys) savedOf(await store.save(key, `"${key}"`, later(), undefined))
      const items = await Promise.all(servers.map((one) => one.stat('curr_items')))
      assert.equal(items[0]! + items[1]! + items[2]!, 300)
      for (const count of items) assert.ok(count > 60, `unevenly spread: ${items.join(', ')}`)
      for (const key of keys) assert.equal((await reordered.load(key))?.text, `"${key}"`)
      await store.ping!()
    })

    it('moves no more sessions than it must when one more is listed', () => {
      const names = ['cache-1:11211', 'cache-2:11211', 'cache-3:11211']
      const before = placement(new Map(names.map((name) => [name, name])))
      const afterwards = placement(new Map([...names, 'cache-4:11211'].map((name) => [name, name])))
      const keys = Array.from({ length: 4000 }, newKey)
      const moved = keys.filter((key) => before(key) !== afterwards(key))
      assert.ok(moved.length > 800 && moved.length < 1200, `${moved.length} of 4000 moved`)
      assert.ok(moved.every((key) => afterwards(key) === 'cache-4:11211'))
    })
  })

  it('reaches a server by its socket', async () => {
    const directory = temporaryDirectory('memcached-socket')
    const socket = join(directory, 'of a% server.sock')
    const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const start = { command: ['memcached', '-s', socket, ...user], directory, port: socket }
    let running = await startServer(start)
    const store = open(`memcached+unix://${encodeURI(socket)}?prefix=own:`)
    try {
      const keys = Array.from({ length: 20 }, newKey)
      await Promise.all(keys.map(async (key) => savedOf(await store.save(key, `"${key}"`, later(), undefined))))
      for (const key of keys) assert.equal((await store.load(key))?.text, `"${key}"`)
      await running.kill()
      const { error } = await rejection(store.load(newKey()))
      assert.match(error.message, /memcached at \/.*of a% server\.sock cannot be reached/)
      rmSync(socket, { force: true })
      running = await startServer(start)
      await retried(() => store.ping!())
      const key = newKey()
      savedOf(await store.save(key, '1', later(), undefined))
      assert.equal(await store.delete(key), true)
    } finally {
      await running.kill()
    }
  })

  it('says what the server said', async () => {
    const full = await memcachedServer('-M', '-m', '2')
    try {
      const store = open(full.url)
      let error: Error | undefined
      while (error === undefined) {
        const filling = Promise.resolve(store.save(newKey(), 'the-session'.repeat(5_000), later(), undefined))
        error = await filling.then(
          () => undefined,
          (failure: Error) => failure,
        )
      }
      assert.match(error.message, /answered "SERVER_ERROR out of memory storing object"$/)
      discreet('ERR_SESSION_STORE_UNAVAILABLE', 'the-session')(error)
    } finally {
      await full.stop()
    }
  })

  describe('takes a client of the application’s', () => {
    for (const [form, serverOf] of [
      ['a string', (address: string) => address],
      ['an entry', (address: string) => ({ server: address, maxConnections: 3 })],
      ['a list of one', (address: string) => ({ servers: [{ server: address }] })],
    ] as const) {
      it(`with its server as ${form}, and uses a copy of it, never itself`, async () => {
        const client = new MemcacheClient({ server: serverOf(server.address), cmdTimeout: 1, ignoreNotStored: true })
        const used = client.send.bind(client)
        let uses = 0
        client.send = ((...args: Parameters<typeof used>) => (uses++, used(...args))) as typeof client.send
        const store = open(client)
        const key = newKey()
        savedOf(await store.save(key, '1', later(), undefined))
        assert.equal((await store.save(key, '2', later(), undefined)).conflict?.text, '1')
        assert.equal((await server.ask(`get session:${key}`)).length, 3)
        assert.equal(uses, 0)
        client.shutdown()
      })
    }

    for (const [what, client, sentence] of [
      ['nothing', undefined, /memcached:\/\/ URL or a client of the package memcache-client/],
      ['one of the package memcached', { servers: ['h:1'], gets() {}, cas() {}, touch() {} }, /this is neither/],
      ['one of memjs', { servers: [], get() {}, set() {}, options: { server: 'h:1' } }, /this is neither/],
      [
        'one with several servers',
        new MemcacheClient({ server: { servers: [{ server: 'a:1' }, { server: 'b:1' }] } }),
        /a random one of its servers.*memcached:\/\/host,host/,
      ],
    ] as const) {
      it(`but not ${what}`, () => {
        assert.throws(
          () => memcachedStore(client as unknown as MemcachedClient),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
        )
      })
    }
  })

  describe('checks its address and options when it is made', () => {
    for (const [url, sentence] of [
      ['http://secret', /not of a known form/],
      ['memcached:/secret', /not of a known form/],
      ['memcached+unix://secret/run/x.sock', /not of a known form/],
      ['memcached+unix:///run/secret.sock?secret=1', /unknown option/],
      ['memcached+unix:///run/se%cret.sock', /percent-encoded/],
      ['memcached://user:secret@h', /cannot sign in/],
      ['memcached://secret:99999999', /host:port/],
      ['memcached://secret:0', /host:port/],
      ['memcached://secret/3', /not of a known form/],
      ['memcached://secret,SECRET:11211', /listed twice/],
      ['memcached://[::1]', /IPv6/],
      ['memcached://h?secret=1', /unknown option; known are prefix, deadline/],
      ['memcached://h?deadline=soon-secret', /deadline/],
      ['memcached://h?deadline=', /deadline/],
      ['memcached://h?prefix=a+secret', /prefix/],
    ] as const) {
      it(`refuses ${url}, and repeats no part of it`, () => {
        assert.throws(
          () => memcachedStore(url),
          (error) =>
            isSessionError(error, 'ERR_SESSION_OPTION') &&
            sentence.test(error.message) &&
            !/secret/i.test(inspect(error).split('\n')[0]!),
        )
      })
    }

    for (const [options, sentence] of [
      [{ perfix: 'x' }, /perfix is not an option; did you mean prefix\?/],
      [{ prefix: 'p'.repeat(187) }, /186/],
      [{ prefix: 'ü' }, /ASCII/],
      [{ prefix: 5 }, /prefix/],
      [{ deadline: 0 }, /deadline/],
      [{ deadline: Infinity }, /deadline/],
      [{ deadline: '5' }, /deadline/],
    ] as const) {
      it(`refuses ${inspect(options)}`, () => {
        assert.throws(
          () => memcachedStore('memcached://h', options as object),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
        )
      })
    }

    it('takes options from the URL, and an argument before them', async () => {
      const key = newKey()
      savedOf(await open(`${server.url}/?prefix=p%3A`).save(key, '{}', later(), undefined))
      assert.equal((await server.ask(`get p:${key}`)).length, 3)
      const prefix = '~'.repeat(186)
      savedOf(await open(`${server.url}?prefix=p%3A`, { prefix }).save(key, '{}', later(), undefined))
      assert.equal((await server.ask(`get ${prefix}${key}`)).length, 3)
    })

    it('takes memcached:// for the usual local address', () => {
      for (const url of ['memcached://', 'MEMCACHED://localhost', 'memcached://127.0.0.1/?']) open(url)
    })
  })

  describe('needs memcache-client', () => {
    // The compiled store in a place from where no memcache-client is in sight, as a linked package is.
    const away = temporaryDirectory('memcached-store')
    const script = `
      const { memcachedStore } = await import(${JSON.stringify(`${away}/src/stores/memcached.js`)})
      try { memcachedStore('memcached://h'); console.log('made') } catch (error) { console.log(error.code, error.message) }`
    const run = async (cwd: string): Promise<string> => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd })
      return stdout.trim()
    }

    before(() => {
      cpSync(new URL('../../src/', import.meta.url), join(away, 'src'), { recursive: true })
      writeFileSync(join(away, 'package.json'), '{"type":"module"}')
    })

    it('and says what to install where it is missing', async () => {
      assert.equal(
        await run(away),
        'ERR_SESSION_OPTION store memcached: needs the package memcache-client 1; npm i memcache-client',
      )
    })

    it('and finds it beside the application', async () => {
      assert.equal(await run(process.cwd()), 'made')
    })

    it('and says what else to install where npm has not brought what it needs', async () => {
      const modules = join(away, 'application', 'node_modules')
      mkdirSync(modules, { recursive: true })
      cpSync(join(process.cwd(), 'node_modules', 'memcache-client'), join(modules, 'memcache-client'), {
        recursive: true,
      })
      for (const name of ['lodash.defaults', 'optional-require', 'memcache-parser', 'tslib']) {
        if (name !== 'lodash.defaults') symlinkSync(join(process.cwd(), 'node_modules', name), join(modules, name))
      }
      assert.match(
        await run(join(away, 'application')),
        /^ERR_SESSION_OPTION .* it misses lodash\.defaults; npm i lodash\.defaults$/,
      )
    })
  })

  it('says that it cannot sign in, where the server wants that', async () => {
    const directory = temporaryDirectory('memcached-store')
    writeFileSync(join(directory, 'users'), 'user:password\n')
    const guarded = await memcachedServer('-Y', join(directory, 'users'))
    try {
      const { error } = await rejection(Promise.resolve(open(guarded.url).load(newKey())))
      assert.match(error.message, /wants a sign-in, which memcache-client cannot do/)
    } finally {
      await guarded.stop()
    }
  })

  it('opens no connection before its first use, one then, and leaves none after close', async (test) => {
    const proxy = await tcpProxy(server.port)
    test.after(() => proxy.close())
    const store = open(`memcached://127.0.0.1:${proxy.port}`)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    assert.equal(proxy.connections, 0)
    await Promise.all(Array.from({ length: 20 }, async () => store.load(newKey())))
    assert.deepEqual([proxy.connections, proxy.open], [1, 1])
    await store.close!()
    assert.match((await rejection(Promise.resolve(store.load(newKey())))).error.message, /closed/)
    await until(() => proxy.open === 0)
  })

  it('lets the process end after close, connected or not', async () => {
    const script = `
      const { memcachedStore } = await import(${JSON.stringify(new URL('../../src/stores/memcached.js', import.meta.url).href)})
      for (const url of [${JSON.stringify(server.url)}, 'memcached://127.0.0.1:1']) {
        const store = memcachedStore(url)
        await store.load('00').catch(() => {})
        await store.close()
      }`
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 120_000 })
  })
})

describe('memcachedStore keeps the contract of a store', () => {
  const servers: MemcachedServer[] = []
  let stores = 0

  before(async () => {
    servers.push(...(await Promise.all([memcachedServer(), memcachedServer(), memcachedServer()])))
  })
  after(() => Promise.all(servers.map((server) => server.stop())))

  for (const [name, count] of [
    ['on one server', 1],
    ['on three servers', 3],
  ] as const) {
    const prefixes = new WeakMap<object, string>()
    const open = (prefix: string): Store => {
      const addresses = servers.slice(0, count).map(({ address }) => address)
      const store = memcachedStore(`memcached://${addresses.join(',')}`, { prefix, deadline: PATIENCE })
      prefixes.set(store, prefix)
      return store
    }
    storeConformance(it, {
      name,
      create: () => open(`${stores++}:`),
      peer: (store) => open(prefixes.get(store)!),
    })
  }
})

/** What succeeds once the connection that was lost has been made again. */
async function retried<Answer>(operation: () => Promise<Answer> | Answer): Promise<Answer> {
  for (const deadline = Date.now() + 5000; ;) {
    try {
      return await operation()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
  }
}
