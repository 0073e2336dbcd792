import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { isSessionError } from '../../src/errors.ts'
import { redisShards, redisStore, type RedisServers, type Store } from '../../src/index.ts'
import { Diagnostics } from '../../src/diagnostics.ts'
import { storeStack } from '../../src/layers/stack.ts'
import { placement } from '../../src/stores/placement.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import type { Found } from '../../src/store.ts'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { command } from '../support/processes/command.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import {
  PATIENCE,
  collect,
  later,
  newKey,
  onceInReach,
  rejection,
  rejectionBy,
  savedOf,
} from '../support/stores/records.ts'

/** No heartbeat after the first one while a test lasts. */
const NEVER: Milliseconds = 600_000
const NAMES = ['one', 'two', 'three'] as const

type Name = (typeof NAMES)[number]

const ownerOf = placement(new Map(NAMES.map((name) => [name, name])))

function keyOn(name: Name): Key {
  for (;;) {
    const key = newKey()
    if (ownerOf(key) === name) return key
  }
}

describe('redisShards', () => {
  let at: Record<Name, RedisServer>
  const opened: Store[] = []

  before(async () => {
    const [one, two, three] = await Promise.all(NAMES.map(() => redisServer()))
    at = { one: one!, two: two!, three: three! }
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close!()))
  })
  after(() => Promise.all(NAMES.map((name) => at[name].stop())))

  function closing(store: Store): Store {
    opened.push(store)
    return store
  }

  const urls = (): Record<Name, string> => ({ one: at.one.url, two: at.two.url, three: at.three.url })
  const hosts = (): string => NAMES.map((name) => `127.0.0.1:${at[name].port}`).join(',')
  const list = (more = ''): string => `redis+shards://${hosts()}/0?names=${NAMES.join()}${more}`

  interface Handle extends Store {
    readonly prefix: string
  }
  const handle = (prefix: string): Handle => ({ ...redisShards(urls(), { prefix, deadline: PATIENCE }), prefix })
  // A text passes through as it is, and the tests of redisStore have the rules for texts.
  const withoutTexts = (name: string, fn: () => Promise<void> | void): unknown =>
    name.includes('a text comes back') || it(name, fn)
  storeConformance(withoutTexts, {
    name: 'redisShards',
    expiryGranularity: 20,
    create: () => handle(`${newKey().slice(0, 12)}:`),
    peer: ({ prefix }) => handle(prefix),
  })

  it('keeps each session on the one server that its key and the names say', async () => {
    const store = closing(redisShards(list(), { deadline: PATIENCE }))
    const keys = Array.from({ length: 60 }, newKey)
    await Promise.all(keys.map(async (key) => savedOf(await store.save(key, '1', later(), undefined))))
    for (const name of NAMES) {
      const own = keys.filter((key) => ownerOf(key) === name)
      const held = await at[name].cli('EXISTS', ...keys.map((key) => `session:${key}`))
      assert.deepEqual([held, own.length > 0], [String(own.length), true], name)
      assert.equal(await at[name].cli('EXISTS', ...own.map((key) => `session:${key}`)), held, name)
    }
    for (const key of keys) assert.equal((await store.load(key))?.text, '1')
  })

  it('finds them whatever the order of the servers, and at another address under the same name', async () => {
    const proxy = await tcpProxy(at.two.port)
    try {
      const before = closing(redisShards(urls(), { deadline: PATIENCE }))
      const keys = NAMES.map(keyOn)
      for (const key of keys) savedOf(await before.save(key, key, later(), undefined))
      const moved = { three: at.three.url, two: `redis://127.0.0.1:${proxy.port}`, one: at.one.url }
      const client = new Redis(at.one.port, { lazyConnect: true })
      const others: RedisServers[] = [
        moved,
        { ...moved, one: client },
        `redis+shards://127.0.0.1:${at.three.port},127.0.0.1:${proxy.port},127.0.0.1:${at.one.port}?names=three,two,one`,
      ]
      for (const servers of others) {
        const store = closing(redisShards(servers, { deadline: PATIENCE }))
        for (const key of keys) assert.equal((await store.load(key))?.text, key)
      }
      assert.equal(client.status, 'wait', 'the client of the application was not used')
    } finally {
      await proxy.close()
    }
  })

  it('lets a warm read ask nobody, and a write one server once', async () => {
    const store = closing(redisShards(list(`&bound=${NEVER}`), { deadline: PATIENCE }))
    const diagnostics = new Diagnostics('sid')
    const cache = { max: 100, maxBytes: 1e6, maxAge: NEVER, allowStale: false }
    const stack = storeStack(store, { encrypt: false, cache }, diagnostics)
    const callsAt = async (name: Name): Promise<string> => {
      const statistics = await at[name].cli('INFO', 'commandstats')
      return ['evalsha', 'get']
        .map((of) => new RegExp(`cmdstat_${of}:calls=(\\d+)`).exec(statistics)?.[1] ?? 0)
        .join(' ')
    }
    try {
      const keys = NAMES.map(keyOn)
      const known: Found[] = []
      // Of all of them first: a link that is yet to be made would ask its server.
      for (const [index, key] of keys.entries()) {
        known[index] = savedOf(await stack.front.save(key, '0', later(), undefined))
        await until(async () => {
          await stack.front.load(key)
          return stack.hit(key, Date.now()) !== undefined
        })
      }
      for (const [index, name] of NAMES.entries()) {
        const key = keys[index]!
        for (const one of NAMES) await at[one].cli('CONFIG', 'RESETSTAT')
        for (let n = 1; n <= 10; n++) {
          known[index] = savedOf(await stack.front.save(key, `${n}`, later(), known[index]))
          assert.equal(stack.hit(key, Date.now())?.text, `${n}`)
        }
        // Each script gets the record, and nothing else does.
        for (const one of NAMES) assert.equal(await callsAt(one), one === name ? '10 10' : '0 0', one)
      }
    } finally {
      await stack.close()
    }
  })

  it('serves the sessions of the other servers, from the cache and from the server, while one is down', async () => {
    const store = closing(redisShards(urls(), { deadline: PATIENCE, coherence: { bound: NEVER } }))
    const diagnostics = new Diagnostics('sid')
    const cache = { max: 100, maxBytes: 1e6, maxAge: NEVER, allowStale: false }
    const { front, source, hit, close } = storeStack(store, { encrypt: false, cache }, diagnostics)
    const [one, two, three] = NAMES.map(keyOn) as [Key, Key, Key]
    try {
      for (const key of [one, two, three]) {
        savedOf(await front.save(key, '1', later(), undefined))
        await until(async () => (await front.load(key)) !== undefined && hit(key, Date.now()) !== undefined)
      }
      await at.two.kill()
      await until(() => hit(two, Date.now()) === undefined)
      for (const key of [one, three]) {
        const known = hit(key, Date.now())
        assert.equal(known?.text, '1')
        savedOf(await front.save(key, '2', later(), known))
        assert.equal((await source.load(key))?.text, '2')
      }
      await until(async () => /cannot be reached/.test((await rejection(front.load(two))).error.message))
      for (const work of [
        () => front.load(two),
        () => front.save(two, '2', later(), undefined),
        () => front.delete(two),
      ]) {
        const { error } = await rejection(work())
        assert.ok(isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE'))
        assert.match(error.message, /server "two": Redis cannot be reached: connect ECONNREFUSED 127\.0\.0\.1:\d+/)
      }
      assert.match((await rejection(store.ping!())).error.message, /^server "two": Redis cannot be reached/)
      await at.two.restart()
      await until(() =>
        store.ping!().then(
          () => true,
          () => false,
        ),
      )
      savedOf(await front.save(two, '1', later(), undefined))
    } finally {
      await close()
    }
  })

  it('gives a server that hangs up by the deadline, and says which, before the library gives all of them up', async () => {
    const deadline = 1000
    const store = closing(redisShards(urls(), { deadline }))
    await onceInReach(() => store.ping!())
    await at.three.freeze()
    try {
      const { front } = storeStack(store, { encrypt: false, cache: undefined }, new Diagnostics('sid'))
      const failing = rejectionBy(deadline, front.load(keyOn('three')))
      for (const name of ['one', 'two'] as const)
        await onceInReach(async () => savedOf(await front.save(keyOn(name), '1', later(), undefined)))
      assert.match((await failing).error.message, /server "three": no answer from Redis within 1000 ms/)
    } finally {
      at.three.thaw()
    }
  })

  it('lets sessions follow when a server comes and another one goes', async () => {
    const [from, to] = [['one', 'two'] as const, ['two', 'three'] as const]
    const urlsOf = (names: readonly Name[]): RedisServers =>
      Object.fromEntries(names.map((name) => [name, at[name].url]))
    const options = { prefix: 'following:', deadline: PATIENCE }
    const before = closing(redisShards(urlsOf(from), options))
    const keys = Array.from({ length: 24 }, newKey)
    for (const key of keys) savedOf(await before.save(key, '1', later(), undefined))
    const now = closing(redisShards(urlsOf(to), { ...options, from: urlsOf(from) }))
    for (const key of keys) savedOf(await now.save(key, '2', later(), await now.load(key)))
    const after = closing(redisShards(urlsOf(to), options))
    for (const key of keys) assert.equal((await after.load(key))?.text, '2')
    for (const key of keys) assert.equal(await now.delete(key), true)
    for (const key of keys) assert.equal(await after.load(key), undefined)
  })

  it('is what a URL of a store names, for the command too', async () => {
    const url = list(`&prefix=listed:&deadline=${PATIENCE}`)
    const store = closing(storeFromUrl(url))
    const keys = NAMES.map(keyOn)
    const record = JSON.stringify({
      format: 1,
      createdAt: Date.now(),
      idleTimeout: 60_000,
      absoluteTimeout: 600_000,
      data: {},
    })
    for (const key of keys) savedOf(await store.save(key, record, later(), undefined))
    assert.deepEqual((await collect(store.keys!())).toSorted(), keys.toSorted())
    const listed = await command(['list', '--json', '--store', url])
    assert.deepEqual([listed.code, listed.err], [0, ''])
    for (const key of keys) assert.ok(listed.out.includes(key))
    const revoked = await command(['revoke', keys[1]!], { SESSION_STORE: url })
    assert.equal(revoked.code, 0, revoked.err)
    assert.equal(await at.two.cli('EXISTS', `listed:${keys[1]}`), '0')
  })
})

describe('redisShards calls a server that was given no name', () => {
  /** As the error says it that refuses two of one name. */
  function nameOf(url: string): string | undefined {
    try {
      redisShards([url, url])
    } catch (error) {
      return /two of the servers are called (\S+)\. Give/.exec((error as Error).message)?.[1]
    }
    return undefined
  }

  // Sessions lie where these names have put them.
  for (const [url, name] of [
    ['redis://A.example', 'a.example:6379/0'],
    ['rediss://user:secret@b:6380/2?protocol=2', 'b:6380/2'],
    ['redis://[2001:DB8::1]:7000', '[2001:db8::1]:7000/0'],
    ['redis+unix:///run/redis.sock?db=3', '/run/redis.sock/3'],
    ['redis+sentinel://s1,s2:26380/main/4', 'main/4'],
  ] as const) {
    it(`${name}, if it is ${url}`, () => assert.equal(nameOf(url), name))
  }
})

describe('redisShards checks its servers when it is made', () => {
  const cases: [what: string, servers: unknown, sentence: RegExp][] = [
    ['no server', [], /needs a server at least/],
    ['no servers by name', {}, /needs a server at least/],
    ['nothing', undefined, /must be a URL, a list of URLs, or servers by their names/],
    ['a URL of one server', 'redis://user:secret@h', /redis\+shards:\/\/host:6379,host:6379/],
    ['a part of the path too many', 'redis+shards://user:secret@a,b/0/1', /too many parts/],
    ['a database that is none', 'redis+shards://user:secret@a,b/x', /must be a number/],
    ['an unknown option', 'redis+shards://user:secret@a,b?secret=1', /unknown option/],
    ['masters without a name', 'redis+shards+sentinel://user:secret@a,b', /needs the name of the master/],
    ['the same server twice', 'redis+shards://user:secret@a,b,a', /two of the servers are called a:6379\/0/],
    ['too few names', 'redis+shards://user:secret@a,b?names=one', /has 2 servers, and \?names= has 1 names/],
    ['a name twice', 'redis+shards://user:secret@a,b?names=one,one', /two of the servers are called one/],
    ['an empty name', 'redis+shards://user:secret@a,b?names=one,', /must be 1 to 100 letters.*it is ''/],
    ['masters of one name', ['redis+sentinel://s1/main', 'redis+sentinel://s2/main'], /are called main\/0/],
    ['a client without a name', [new Redis({ lazyConnect: true })], /a client has no name that stays/],
    ['one client', new Redis({ lazyConnect: true }), /client of one server/],
    ['a Cluster', { one: 'redis+cluster://user:secret@h' }, /a Redis Cluster spreads its sessions by itself/],
    ['a client of a Cluster', { one: new Cluster([7000], { lazyConnect: true }) }, /a Redis Cluster/],
    ['a list in an object', { servers: ['redis://h'] }, /redis:\/\/ URL or a client of ioredis/],
    ['a prefix of one', { one: 'redis://user:secret@h?prefix=x' }, /prefix concerns all servers.*the option prefix/],
    ['a bound of one', ['redis://user:secret@h?bound=0'], /bound concerns all servers.*the option coherence\.bound/],
  ]
  for (const [what, servers, sentence] of cases) {
    it(`refuses ${what}, and repeats no secret`, () => {
      assert.throws(
        () => redisShards(servers as RedisServers),
        (error) => {
          assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'))
          assert.match(error.message, sentence)
          return !inspect(error).split('\n')[0]!.includes('secret')
        },
      )
    })
  }

  for (const [what, options, sentence] of [
    ['writesTo without from', { writesTo: 'from' }, /pass the old one as from/],
    ['a writesTo that is neither', { from: ['redis://h'], writesTo: 'both' }, /writesTo must be one of from, to/],
    ['a prefix in the URL before', { from: 'redis+shards://a?prefix=x' }, /prefix concerns all servers/],
    ['no server before', { from: [] }, /needs a server at least/],
    ['an option that is none', { form: ['redis://h'] }, /form is not an option/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => redisShards('redis+shards://a,b', options as object),
        (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
      )
    })
  }

  it('passes the options on to each of them, the argument before the URL', () => {
    assert.throws(() => redisShards('redis+shards://a,b', { deadline: 0 }), /deadline/)
    assert.throws(() => redisShards('redis+shards://a,b?deadline=soon'), /deadline/)
    assert.equal(redisShards('redis+shards://a,b?deadline=500').deadline, 600)
    assert.equal(redisShards('redis+shards://a,b?deadline=500', { deadline: 700 }).deadline, 800)
    assert.equal('watch' in redisShards('rediss+shards://a,b?bound=0'), false)
    assert.equal('watch' in redisShards('redis+shards+sentinel://s1,s2/one,two/3'), true)
  })

  it('tells anyone who gives the URL to redisStore where it belongs', () => {
    assert.throws(() => redisStore('redis+shards://a,b'), /redis\+shards:\/\/ is a URL of redisShards/)
  })
})
