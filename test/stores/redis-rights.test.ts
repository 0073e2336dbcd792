import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, describe, it, type TestContext } from 'node:test'
import { Redis } from 'ioredis'
import { session } from '../../src/index.ts'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Link, Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { rightsFor } from '../../src/stores/redis/rights.ts'
import { runScript } from '../../src/stores/redis/scripts.ts'
import { SETTLE } from '../../src/stores/redis/subject-scripts.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { monitored, type Monitored } from '../support/servers/redis-monitor.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { assertHides } from '../support/secrecy.ts'
import { KEY } from '../support/sites/http.ts'
import { PATIENCE, collect, handles, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { SmallCache } from '../support/stores/small-cache.ts'

const BOUND: Milliseconds = 300
const EVERYTHING = ['~*', '&*', '+@all']

let server: RedisServer
const opened: Store[] = []
before(async () => {
  server = await redisServer()
})
afterEach(() => Promise.all(opened.splice(0).map((store) => store.close!())))
after(() => server.stop())

async function allow(user: string, ...rules: string[]): Promise<void> {
  assert.equal(await server.cli('ACL', 'SETUSER', user, 'on', '>p', ...rules), 'OK')
}

function open(user: string, query = ''): Store {
  const options = { coherence: { bound: BOUND }, deadline: PATIENCE }
  const store = redisStore(`redis://${user}:p@127.0.0.1:${server.port}/${query}`, options)
  opened.push(store)
  return store
}

async function vouchingLink(store: Store, key: Key = newKey()): Promise<Link> {
  const link = store.watch!({ saved() {}, deleted() {} }).linkOf(key)
  await until(() => link.vouches())
  return link
}

/** The warnings of the process from here on. */
function warnings(test: TestContext): { code: string; message: string }[] {
  const heard: { code: string; message: string }[] = []
  const hear = (warning: Error): void => void heard.push(warning as Error & { code: string })
  process.on('warning', hear)
  test.after(() => process.off('warning', hear))
  return heard
}

describe('A user of Redis with the rights that the docs list, and no others,', () => {
  /** The commands that the server was sent, those in scripts too. */
  const used = new Set<string>()

  after(() => {
    const rights = rightsFor('', 'single').split(' ')
    const commands = rights.filter((right) => right.startsWith('+')).map((right) => right.slice(1))
    const unused = commands.filter((command) => !used.has(command))
    assert.deepEqual(unused, [], 'nothing is granted that is not used')
  })

  it('are the rights that every refusal names', () => {
    const page = readFileSync(new URL('../../../docs/many-machines.md', import.meta.url), 'utf8')
    assert.ok(page.includes(`ACL SETUSER shop on >password ${rightsFor('session:', 'single')}\n`))
  })

  for (const [protocol, query] of [
    ['RESP3', ''],
    ['RESP2', '&protocol=2'],
  ] as const) {
    describe(`over ${protocol}`, () => {
      let redis: Monitored

      before(async () => {
        redis = await monitored(server.port)
        redis.monitor.on('monitor', (_time: string, [command]: string[]) => used.add(command!.toLowerCase()))
        // The kit opens many stores, each with a prefix and so with a channel of its own.
        await allow('kit', ...rightsFor('kit:', 'single').replace('&kit:changes*', '&kit:*').split(' '))
        await server.cli('ACL', 'LOG', 'RESET')
      })
      storeConformance(it, {
        name: 'redisStore',
        expiryGranularity: 20,
        ...handles(() => `redis://kit:p@127.0.0.1:${server.port}?prefix=kit:PREFIX${query}`),
      })

      it('does all the rest too', async () => {
        const store = open('kit', `1?prefix=kit:${query}`)
        const [key, subject] = [newKey(), newKey()]
        await vouchingLink(store)
        savedOf(await store.save(key, '1', later(), undefined))
        await store.subjects!.add(subject, key, later())
        assert.deepEqual(await collect(store.subjects!.keys(subject)), [key])
        await store.subjects!.remove(subject, key)
        // What it does to the notes of sessions that are away, an hour later.
        const client = new Redis({ port: server.port, username: 'kit', password: 'p', disableClientInfo: true })
        const notes = [`kit:subject:{aa}${'b'.repeat(62)}`, 'kit:subject:{aa}']
        for (const record of [[], [`kit:${key}`]]) {
          assert.equal(await runScript(client, SETTLE, [...notes, ...record], ['aab', 0, key, 1, '']), 1)
        }
        await client.zrange(notes[0]!, 0, '9', 'WITHSCORES')
        client.disconnect()
        assert.deepEqual(await collect(store.keys!()), [key])
        const sessions = session({ keys: [KEY], store, cache: false })
        await sessions.ready()
        await sessions.ping()
        await sessions.close()
        assert.equal(await store.delete(key), true)
        await server.cli('SCRIPT', 'FLUSH')
        savedOf(await store.save(key, '1', later(), undefined))
        assert.equal(await store.delete(key), true)
      })

      after(async () => {
        await redis.client.echo('end')
        await until(() => used.delete('echo'))
        redis.disconnect()
        assert.equal(await server.cli('ACL', 'LOG'), '', 'nothing was refused')
      })
    })
  }
})

describe('A user of Redis without a right', () => {
  it('is told in the error which ones the user needs, and not what was refused', async () => {
    await allow('reader', 'resetkeys', '~session:*', '&*', '+@all', '-evalsha', '-eval')
    const key = newKey()
    const { error } = await rejection(open('reader').save(key, 'the-session', later(), undefined))
    assert.match(error.message, /^Redis answered "NOPERM [^"]+"; its user needs the rights ~session:\* .*\+evalsha/)
    assertHides(error, key, 'the-session')
  })

  it('fails the deployment and not its first visitor, if that awaits sessions.ready()', async () => {
    await allow('half', 'resetkeys', '~session:*', '&*', '+@all', '-zadd')
    const sessions = session({ keys: [KEY], store: open('half'), cache: false })
    await sessions.ping()
    await assert.rejects(sessions.ready(), (error: Error) => {
      assert.match(error.message, /its user needs the rights .*\+zadd/)
      return true
    })
  })

  it('is told of a command that the server does not have, and not with what it was asked', async () => {
    const bare = await redisServer({ args: ['--rename-command', 'EVALSHA', ''] })
    const store = redisStore(bare.url, { deadline: PATIENCE })
    try {
      const key = newKey()
      const { error } = await rejection(store.save(key, 'the-session', later(), undefined))
      assert.match(error.message, /^Redis answered "ERR unknown command '\w+'"$/)
      assertHides(error, key, 'the-session')
    } finally {
      await store.close!()
      await bare.stop()
    }
  })

  it('to subscribe works without a cache, and is warned once with the rights', async (test) => {
    await allow('deaf', ...EVERYTHING, '-subscribe')
    const heard = warnings(test)
    for (const store of [open('deaf'), open('deaf', '?protocol=2')]) {
      const link = store.watch!({ saved() {}, deleted() {} }).linkOf(newKey())
      const before = heard.length
      await until(() => heard.length > before)
      savedOf(await store.save(newKey(), '1', later(), undefined))
      assert.equal(link.vouches(), false)
    }
    assert.deepEqual(
      heard.map(({ code }) => code),
      ['SESSION_REDIS_NOT_WATCHING', 'SESSION_REDIS_NOT_WATCHING'],
    )
    assert.match(heard[0]!.message, /this process caches nothing.*&session:changes\*.*\+subscribe/)
  })

  for (const [what, ...rules] of [
    ['to any channel, as Redis 7 makes users,', '~*', 'resetchannels', '+@all'],
    ['to publish', ...EVERYTHING, '-publish'],
  ] as const) {
    it(`${what} saves and deletes all the same, and is warned once with the rights`, async (test) => {
      await server.cli('ACL', 'DELUSER', 'mute')
      await allow('mute', ...rules)
      const heard = warnings(test)
      const store = open('mute')
      const key = newKey()
      const first = savedOf(await store.save(key, '1', later(), undefined))
      const second = savedOf(await store.save(key, '2', later(), first))
      assert.equal((await store.save(key, '3', later(), first)).conflict?.text, '2')
      assert.equal(await store.touch(key, later()), true)
      assert.equal(await store.delete(key, second), true)
      assert.deepEqual(await store.save(key, '3', later(), second), { gone: true })
      await until(() => heard.length > 0)
      assert.deepEqual(
        heard.map(({ code }) => code),
        ['SESSION_REDIS_NOT_PUBLISHING'],
      )
      assert.match(heard[0]!.message, /every write makes all nodes forget.*&session:changes\*.*\+publish/)
    })

    it(`${what} leaves no cache of another node older than the bound`, async () => {
      await server.cli('ACL', 'DELUSER', 'mute')
      await allow('mute', ...rules)
      await allow('able', ...EVERYTHING)
      const writer = open('mute')
      for (const query of ['', '?protocol=2']) {
        const reader = open('able', query)
        const key = newKey()
        let last = savedOf(await writer.save(key, '0', later(), undefined))
        const cache = new SmallCache(reader, key)
        for (let round = 1; round <= 5; round++) {
          await until(async () => {
            if (cache.hit() === undefined) await cache.fill()
            return cache.hit() === last.version
          })
          if (round < 5) last = savedOf(await writer.save(key, `${round}`, later(), last))
          else assert.equal(await writer.delete(key), true)
          // A look that begins later than the bound after the answer must not find what was before.
          const answered = performance.now()
          for (let start = answered; start <= answered + 3 * BOUND; start = performance.now()) {
            const hit = cache.hit()
            assert.ok(start <= answered + BOUND || hit === undefined, `a hit ${start - answered} ms after the write`)
            if (hit === undefined) break
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
        }
      }
    })
  }

  it('to publish, over RESP2, leaves nothing behind for each heartbeat that is refused', async (test) => {
    await server.cli('ACL', 'DELUSER', 'mute')
    await allow('mute', ...EVERYTHING, '-publish')
    /** What is kept by the names of heartbeats. */
    const kept = new Set<Map<unknown, unknown>>()
    let heartbeats = 0
    const set = Object.getOwnPropertyDescriptor(Map.prototype, 'set')?.value as typeof Map.prototype.set
    test.mock.method(Map.prototype, 'set', function (this: Map<unknown, unknown>, name: unknown, value: unknown) {
      if (typeof name === 'string' && /^[0-9a-f]{24}$/.test(name)) {
        kept.add(this)
        heartbeats++
      }
      return set.call(this, name, value)
    })
    open('mute', '?protocol=2').watch!({ saved() {}, deleted() {} })
    await until(() => heartbeats >= 5 && [...kept].every(({ size }) => size === 0))
  })

  it('to publish publishes again, a minute after it may', async (test) => {
    await server.cli('ACL', 'DELUSER', 'mute')
    await allow('mute', ...EVERYTHING, '-publish')
    await allow('able', ...EVERYTHING)
    const told: Key[] = []
    const listener = open('able')
    const link = listener.watch!({ saved: (key) => told.push(key), deleted() {} }).linkOf('')
    await until(() => link.vouches())
    const writer = open('mute')
    savedOf(await writer.save(newKey(), '1', later(), undefined))
    await allow('mute', '+publish')
    const now = performance.now.bind(performance)
    test.mock.method(performance, 'now', () => now() + 61_000)
    const key = newKey()
    savedOf(await writer.save(key, '1', later(), undefined))
    await until(() => told.length > 0)
    assert.deepEqual(told, [key])
  })
})

describe('Anyone who may publish on the channel of redisStore', () => {
  let intruder: Redis
  before(() => {
    intruder = new Redis(server.port, '127.0.0.1')
  })
  after(() => intruder.disconnect())

  async function watched(query = ''): Promise<{ link: Link; told: string[]; store: Store }> {
    await allow('able', ...EVERYTHING)
    const told: string[] = []
    const store = open('able', query)
    const link = store.watch!({
      saved: (key, version) => told.push(`${key} ${version}`),
      deleted: (key) => told.push(`${key} deleted`),
    }).linkOf('')
    await until(() => link.vouches())
    return { link, told, store }
  }

  it('is heard only in the form of a message', async () => {
    const { told, store } = await watched()
    const [key, own] = [newKey(), newKey()]
    const malformed = ['', 'd', 's', 'd ', `s ${key}`, `sNaN ${key}`, `s1e9 ${key}`, `s-1 ${key}`, `x ${key}`]
    for (const message of [
      ...malformed,
      `d ${key} `,
      `d ${key.toUpperCase()}`,
      `d${key}`,
      `s${'9'.repeat(17)} ${key}`,
    ]) {
      await intruder.publish('session:changes', message)
    }
    await intruder.publish('session:changes', `d ${key}`)
    const { version } = savedOf(await store.save(own, '1', later(), undefined))
    await until(() => told.length >= 2)
    assert.deepEqual(told, [`${key} deleted`, `${own} ${version}`])
  })

  it('makes no link vouch for longer than the server does, over RESP2 either', async () => {
    const { link, told } = await watched('?protocol=2')
    const [channel] = (await intruder.pubsub('CHANNELS', 'session:changes:*')) as [string]
    const eavesdropper = intruder.duplicate()
    const answers: string[] = []
    eavesdropper.on('message', (_channel, message) => answers.push(message))
    await eavesdropper.subscribe(channel)
    await until(() => answers.length >= 3)
    const [, epoch] = answers[0]!.split(' ')
    const hour = 3_600_000
    const forged = [performance.now() + hour, Date.now() + hour].join(' ')
    for (let round = 0; round < 20; round++) await intruder.publish(channel, `${round} ${forged} ${epoch}`)
    for (const name of ['', 'a', '0'.repeat(24), 'undefined']) await intruder.publish(channel, `${name} ${epoch}`)
    for (const answer of answers.slice()) await intruder.publish(channel, answer)
    await intruder.publish('session:changes', `d ${newKey()}`)
    await until(() => told.length === 1)
    await server.freeze()
    const frozen = performance.now()
    try {
      for (let now = frozen; link.vouches(); now = performance.now()) {
        assert.ok(now - frozen <= BOUND, 'it vouches beyond the bound')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    } finally {
      server.thaw()
      eavesdropper.disconnect()
    }
  })
})
