import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify, inspect } from 'node:util'
import { Redis } from 'ioredis'
import { storeConformance } from '../../src/tools/conformance.ts'
import { isSessionError } from '../../src/errors.ts'
import type { Saved, Store } from '../../src/store.ts'
import { fileStore } from '../../src/stores/file.ts'
import { movingStore } from '../../src/stores/moving.ts'
import { redisStore, type RedisClient } from '../../src/stores/redis.ts'
import { monitored } from '../support/servers/redis-monitor.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { isOpen, until } from '../support/servers/server-process.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'
import { PATIENCE, collect, handles, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('redisStore', () => {
  let server: RedisServer
  let store: Store

  before(async () => {
    server = await redisServer()
    store = redisStore(server.url, { deadline: PATIENCE })
  })
  after(async () => {
    await store.close!()
    await server.stop()
  })

  for (const [name, query] of [
    ['redisStore', ''],
    ['redisStore over RESP2', '&protocol=2'],
  ] as const) {
    storeConformance(it, { name, expiryGranularity: 20, ...handles(() => `${server.url}?prefix=PREFIX${query}`) })
  }

  it('keeps a record as a value that a person can read with redis-cli', async () => {
    const key = newKey()
    const expiresAt = later()
    const { version } = savedOf(await store.save(key, '{"name":"Zoë"}', expiresAt, undefined))
    assert.equal(await server.cli('GET', `session:${key}`), `${expiresAt}|${version}|{"name":"Zoë"}`)
  })

  it('lets Redis expire the key, and moves that with a save and a touch', async () => {
    const key = newKey()
    const first = savedOf(await store.save(key, '{}', later(60_000), undefined))
    await near(60_000)
    assert.equal(await store.touch(key, later(120_000)), true)
    await near(120_000)
    await store.save(key, '{}', later(30_000), first)
    await near(30_000)

    async function near(length: number): Promise<void> {
      const left = Number(await server.cli('PTTL', `session:${key}`))
      assert.ok(left > length - 2000 && left <= length, `${left} ms of ${length} are left`)
    }
  })

  it('sends what is asked in one turn of the event loop together', async () => {
    const readsOf = async (): Promise<number> => {
      const [, count] = /total_reads_processed:(\d+)/.exec(await server.cli('INFO', 'stats')) ?? []
      return Number(count)
    }
    await store.load(newKey())
    const before = await readsOf()
    await Promise.all(Array.from({ length: 100 }, () => store.load(newKey())))
    // Some are of the question itself, and of heartbeats.
    const reads = (await readsOf()) - before
    assert.ok(reads < 10, `the server had to read ${reads} times for 100 loads`)
  })

  it('sends what is asked while an answer is under way, and does not wait for that answer', async () => {
    const proxy = await tcpProxy(server.port)
    const distant = redisStore(`redis://127.0.0.1:${proxy.port}`, { deadline: PATIENCE })
    try {
      await distant.save(newKey(), '{}', later(), undefined) // so that the server knows the script
      proxy.swallowAnswers()
      const key = newKey()
      const loaded = distant.load(newKey())
      await sleep(20)
      const saved = distant.save(key, '{}', later(), undefined)
      await until(async () => Number(await server.cli('EXISTS', `session:${key}`)) === 1)
      proxy.heal()
      assert.equal(await loaded, undefined)
      savedOf(await saved)
    } finally {
      await distant.close!()
      await proxy.close()
    }
  })

  it('begins every name with the prefix', async () => {
    const key = newKey()
    const prefixed = redisStore(server.url, { prefix: 'shop[1]*:', deadline: PATIENCE })
    try {
      savedOf(await prefixed.save(key, '{}', later(), undefined))
      assert.equal(await server.cli('EXISTS', `shop[1]*:${key}`), '1')
      assert.equal(await store.load(key), undefined)
      assert.deepEqual(await collect(prefixed.keys!()), [key])
    } finally {
      await prefixed.close!()
    }
  })

  it('lists only keys of sessions', async () => {
    const own = redisStore(server.url, { prefix: 'listed:', deadline: PATIENCE })
    try {
      await server.cli('SET', 'listed:epoch', '1')
      await server.cli('SET', 'listed:something', '1')
      const keys = Array.from({ length: 1200 }, newKey)
      await Promise.all(keys.map(async (key) => own.save(key, '{}', later(), undefined)))
      assert.deepEqual((await collect(own.keys!())).sort(), keys.sort())
    } finally {
      await own.close!()
    }
  })

  it('makes one round trip of each operation', async () => {
    const key = newKey()
    const used = savedOf(await store.save(newKey(), '{}', later(), undefined))
    await store.touch(newKey(), later())
    await store.delete(newKey())
    assert.ok(used)
    assert.deepEqual(await calls(() => store.save(key, '{}', later(), undefined)), { evalsha: 1 })
    const { version } = (await store.load(key))!
    assert.deepEqual(await calls(() => store.load(key)), { get: 1 })
    assert.deepEqual(await calls(async () => store.save(key, '{}', later(), await store.load(key))), {
      evalsha: 1,
      get: 1,
    })
    const outdated = { text: '', version, expiresAt: 0 }
    assert.deepEqual(await calls(() => store.save(key, '{}', later(), outdated)), { evalsha: 1 }, 'also of a conflict')
    assert.deepEqual(await calls(() => store.touch(key, later())), { evalsha: 1 })
    assert.deepEqual(await calls(() => store.delete(key)), { evalsha: 1 })

    /** What arrives from clients, by MONITOR, which tells commands inside scripts apart. */
    async function calls(operation: () => unknown): Promise<Record<string, number>> {
      const { client: marker, monitor, disconnect } = await monitored(server.port)
      const counts: Record<string, number> = {}
      const ended = new Promise<void>((resolve) => {
        monitor.on('monitor', (_time: string, [name]: string[], source: string) => {
          if (name === 'echo') resolve()
          else if (source !== 'lua') counts[name!] = (counts[name!] ?? 0) + 1
        })
      })
      await operation()
      await marker.echo('end')
      await ended
      disconnect()
      return counts
    }
  })

  it('notices no SCRIPT FLUSH', async () => {
    const key = newKey()
    const first = savedOf(await store.save(key, '1', later(), undefined))
    await server.cli('SCRIPT', 'FLUSH')
    savedOf(await store.save(key, '2', later(), first))
    assert.equal((await store.load(key))?.text, '2')
  })

  it('gives a record made anew under an old key a higher version', async () => {
    const key = newKey()
    const old = savedOf(await store.save(key, 'old', later(), undefined))
    await store.delete(key)
    const anew = savedOf(await store.save(key, 'new', later(), undefined))
    assert.ok(anew.version > old.version)
    assert.equal((await store.save(key, 'late', later(), old)).conflict?.text, 'new')
  })

  describe('finds something else under a session’s key', () => {
    for (const [what, ...command] of [
      ['a list', 'RPUSH', 'KEY', 'x'],
      ['a hash', 'HSET', 'KEY', 'x', '1'],
      ['JSON of another library', 'SET', 'KEY', '{"cookie":{},"user":1}'],
      ['an empty value', 'SET', 'KEY', ''],
      ['a value with a newer head', 'SET', 'KEY', '2:9999999999999|7|{}'],
    ] as const) {
      it(`${what}: says that it cannot be read, and leaves it alone until it is deleted`, async () => {
        const key = newKey()
        const name = `session:${key}`
        await server.cli(...command.map((part) => (part === 'KEY' ? name : part)))
        const before = await server.cli('DUMP', name)
        const found = { text: '', version: 7, expiresAt: later() }
        for (const operation of [
          () => store.load(key),
          () => store.save(key, '{}', later(), undefined),
          () => store.save(key, '{}', later(), found),
          () => store.touch(key, later()),
          () => store.delete(key, found),
        ]) {
          const { error } = await rejection(operation())
          assert.ok(isSessionError(error, 'ERR_SESSION_UNREADABLE'), inspect(error))
          assert.ok(!inspect(error, { depth: 9 }).includes('cookie'))
        }
        assert.equal(await server.cli('DUMP', name), before)
        assert.equal(await server.cli('PTTL', name), '-1')
        assert.equal(await store.delete(key), true, 'its end was asked for')
        assert.equal(await store.load(key), undefined)
      })
    }
  })

  it('takes a record without a server’s expiry as expired by its own, but does not remove it', async () => {
    const key = newKey()
    const value = `${Date.now() - 1}|5|{}`
    await server.cli('SET', `session:${key}`, value)
    assert.equal(await store.load(key), undefined)
    assert.equal(await store.touch(key, later()), false)
    assert.deepEqual(await store.save(key, '{}', later(), { text: '{}', version: 5, expiresAt: later() }), {
      gone: true,
    })
    assert.equal(await server.cli('GET', `session:${key}`), value)
    savedOf(await store.save(key, '{}', later(), undefined))
  })

  describe('takes a client of the application’s', () => {
    it('and uses a copy of it, never itself', async () => {
      const client = new Redis(server.port, '127.0.0.1', { lazyConnect: true, keyPrefix: 'app:', stringNumbers: true })
      const own = redisStore(client, { deadline: PATIENCE })
      try {
        const key = newKey()
        savedOf(await own.save(key, '{}', later(), undefined))
        assert.equal(await own.touch(key, later()), true)
        assert.equal((await own.load(key))?.text, '{}')
        assert.deepEqual(await collect(own.keys!()), [key])
        assert.equal(await server.cli('EXISTS', `app:session:${key}`), '1')
        assert.equal(client.status, 'wait')
      } finally {
        await own.close!()
      }
    })

    it('and keeps its settings: without the check for readiness it works where there is no INFO', async () => {
      const bare = await redisServer({ args: ['--rename-command', 'INFO', ''] })
      const client = new Redis({ port: bare.port, host: '127.0.0.1', enableReadyCheck: false, lazyConnect: true })
      const stores = [client, bare.url].map((where) => redisStore(where, { deadline: PATIENCE })) as [Store, Store]
      try {
        savedOf(await stores[0].save(newKey(), '{}', later(), undefined))
        const link = stores[0].watch!({ saved() {}, deleted() {} }).linkOf('')
        await until(() => link.vouches())
        const { error } = await rejection(stores[1].load(newKey()))
        assert.match(error.message, /unknown command 'info'/i)
      } finally {
        await Promise.all(stores.map((store) => store.close!()))
        await bare.stop()
      }
    })

    for (const [what, client, sentence] of [
      ['nothing', undefined, /redis:\/\/ URL or a client of ioredis, iovalkey or node-redis$/],
      ['something else', { duplicate() {} }, /node-redis; this is not one$/],
      ['a store', redisStore('redis:'), /node-redis; this is not one$/],
    ] as const) {
      it(`but not ${what}`, () => {
        assert.throws(
          () => redisStore(client as unknown as RedisClient),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
        )
      })
    }
  })

  describe('checks its address and options when it is made', () => {
    for (const url of [
      'http://h',
      'redis:/h',
      'redis://user:se%cret@h',
      'redis://:secret@h:99999999',
      'redis://:secret@h1,h2',
      'redis://:secret@h/zero',
      'redis://:secret@h/0/1',
      'redis://:secret@h?secret=1',
      'redis+sentinel://:secret@h',
      'redis+cluster://:secret@h/3',
      'redis+bus://:secret@h',
      'redis://:secret@h?deadline=soon',
      'redis://:secret@h?bound=-1',
      'redis://:secret@[h',
      'redis+unix://:secret@/',
      'redis+unix://:secret@host/run/redis.sock',
      'redis+unix:///secret.sock?db=x',
      'rediss+unix:///secret.sock',
    ]) {
      it(`refuses ${url}, and repeats no secret`, () => {
        assert.throws(
          () => redisStore(url),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && !inspect(error).split('\n')[0]!.includes('secret'),
        )
      })
    }

    for (const [options, sentence] of [
      [{ perfix: 'x' }, /perfix is not an option; did you mean prefix\?/],
      [{ coherence: { T: 1 } }, /coherence\.T is not an option; there are bound\./],
      [{ coherence: { bound: 5 } }, /coherence\.bound/],
      [{ deadline: 0 }, /deadline/],
      [{ deadline: Infinity }, /deadline/],
    ] as const) {
      it(`refuses ${inspect(options)}`, () => {
        assert.throws(
          () => redisStore('redis://h', options as object),
          (error) => isSessionError(error, 'ERR_SESSION_OPTION') && sentence.test(error.message),
        )
      })
    }

    it('takes a bare redis: for the usual local address', () => {
      for (const url of ['redis:', 'rediss:', 'REDIS://', 'redis://localhost', 'redis+cluster:', 'redis://[::1]/?']) {
        redisStore(url)
      }
    })

    it('takes options from the URL', async () => {
      const key = newKey()
      const own = redisStore(`${server.url}/3?prefix=p%3A&deadline=60000&bound=0`)
      try {
        savedOf(await own.save(key, '{}', later(), undefined))
        assert.equal(await server.cli('-n', '3', 'EXISTS', `p:${key}`), '1')
        assert.equal('watch' in own, false)
      } finally {
        await own.close!()
      }
    })
  })

  it('reaches a server by its socket', async () => {
    const socket = `${server.directory}/of #a% server.sock`
    const own = await redisServer({ args: ['--unixsocket', socket] })
    await until(() => isOpen(socket))
    const stored = redisStore(`redis+unix://${encodeURI(socket).replaceAll('#', '%23')}?db=3`, { deadline: PATIENCE })
    const client = redisStore(new Redis({ path: socket, db: 3, lazyConnect: true }), { deadline: PATIENCE })
    try {
      const key = newKey()
      savedOf(await stored.save(key, '{}', later(), undefined))
      assert.equal(await own.cli('-n', '3', 'EXISTS', `session:${key}`), '1')
      assert.equal((await client.load(key))?.text, '{}')
      await own.kill()
      const { error } = await rejection(stored.load(key))
      assert.match(error.message, /cannot be reached: connect|was lost/)
    } finally {
      await Promise.all([stored.close!(), client.close!()])
      await own.stop()
    }
  })

  it('shows neither password nor session in an error of the driver', async () => {
    const guarded = await redisServer({ password: 'right-secret' })
    const wrong = redisStore(`redis://:wrong-secret@127.0.0.1:${guarded.port}`, { deadline: PATIENCE })
    const right = redisStore(`redis://:right-secret@127.0.0.1:${guarded.port}`, { deadline: PATIENCE })
    try {
      for (let attempt = 0; attempt < 2; attempt++) {
        const { error } = await rejection(wrong.load(newKey()))
        const everything = inspect(error, { depth: 12, showHidden: true })
        assert.match(everything, /WRONGPASS/)
        assert.ok(!everything.includes('secret'), everything)
      }
      savedOf(await right.save(newKey(), '{}', later(), undefined))
      await guarded.cli('CONFIG', 'SET', 'maxmemory', '1')
      const { error } = await rejection(right.save(newKey(), 'the-session', later(), undefined))
      const everything = inspect(error, { depth: 12, showHidden: true })
      assert.match(everything, /OOM/)
      assert.ok(!everything.includes('the-session'), everything)
    } finally {
      await Promise.all([wrong.close!(), right.close!()])
      await guarded.stop()
    }
  })

  it('says what to install where ioredis is missing, and finds it beside the application', async () => {
    // The compiled store in a place from where no ioredis is in sight, as a linked package is.
    const away = temporaryDirectory('redis-store')
    const script = `
      const { redisStore } = await import(${JSON.stringify(`${away}/src/stores/redis.js`)})
      try { redisStore('redis://127.0.0.1:1'); console.log('made') } catch (error) { console.log(error.code, error.message) }`
    const run = async (cwd: string): Promise<string> => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd })
      return stdout.trim()
    }
    cpSync(new URL('../../src/', import.meta.url), join(away, 'src'), { recursive: true })
    writeFileSync(join(away, 'package.json'), '{"type":"module"}')
    assert.match(await run(away), /^ERR_SESSION_OPTION store redis: needs the package ioredis 6; npm i ioredis$/)
    assert.equal(await run(process.cwd()), 'made')
  })

  for (const direction of ['from files', 'to files']) {
    it(`takes part in a move ${direction}, while nodes of both kinds write and others end sessions`, async (test) => {
      const query = `?prefix=${newKey().slice(0, 8)}:`
      const directory = temporaryDirectory()
      const ends: Store[] = []
      test.after(() => Promise.all(ends.map((one) => one.close?.())))
      const open = (): [from: Store, to: Store] => {
        const there = redisStore(`${server.url}${query}`, { deadline: PATIENCE })
        const pair = [fileStore({ directory, pruneInterval: 0 }), there] as [Store, Store]
        ends.push(...pair)
        return direction === 'from files' ? pair : [pair[1], pair[0]]
      }
      const [from, to] = open()
      const nodes = (['to', 'from', 'to', 'from'] as const).map((writesTo) => movingStore(...open(), { writesTo }))
      const [kept, ended] = [newKey(), newKey()]
      for (const key of [kept, ended]) savedOf(await from.save(key, '[]', later(), undefined))

      const add = async (node: Store, key: string, number: number): Promise<void> => {
        let known = await node.load(key)
        while (known) {
          const text = JSON.stringify([...(JSON.parse(known.text) as number[]), number])
          const { saved, conflict }: Saved = await node.save(key, text, later(), known)
          if (saved) return
          known = conflict
        }
      }
      const writers = Array.from({ length: 20 }, (_, n) => nodes[n % nodes.length]!)
      await Promise.all([
        ...writers.flatMap((node, n) => [add(node, kept, n), add(node, ended, n)]),
        ...nodes.map((node) => node.delete(ended)),
      ])
      const last = await nodes[0]!.load(kept)
      assert.deepEqual(
        (JSON.parse(last?.text ?? '') as number[]).toSorted((a, b) => a - b),
        writers.map((_, n) => n),
      )
      for (const node of nodes) assert.equal(await node.load(ended), undefined)
      savedOf(await nodes[0]!.save(kept, '[]', later(), last))
      assert.deepEqual([await collect(nodes[0]!.keys!()), await collect(to.keys!())], [[kept], [kept]])
    })
  }

  it('opens no connection before its first use, and leaves none after close', async () => {
    const clients = async (): Promise<number> => (await server.cli('CLIENT', 'LIST')).split('\n').length
    const before = await clients()
    const own = redisStore(server.url, { deadline: PATIENCE })
    assert.equal(await clients(), before)
    await own.ping!()
    assert.equal(await clients(), before + 1)
    await own.close!()
    assert.equal(await clients(), before)
  })

  it('lets the process end after close, watched or not, connected or not', async () => {
    const script = `
      const { redisStore } = await import(${JSON.stringify(new URL('../../src/stores/redis.js', import.meta.url).href)})
      for (const query of ['', '?protocol=2']) {
        const store = redisStore(${JSON.stringify(server.url)} + query)
        const link = store.watch({ saved() {}, deleted() {} }).linkOf('')
        while (!link.vouches()) await new Promise((resolve) => setTimeout(resolve, 5))
        await store.close()
        const nowhere = redisStore('redis://127.0.0.1:1' + query)
        nowhere.watch({ saved() {}, deleted() {} })
        await nowhere.load('').catch(() => {})
        await nowhere.close()
      }`
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 120_000 })
  })
})
