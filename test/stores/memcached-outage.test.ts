import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { Found, Store } from '../../src/store.ts'
import { memcachedStore } from '../../src/stores/memcached.ts'
import { heldUp } from '../support/held-up.ts'
import { memcachedServer, type MemcachedServer } from '../support/servers/memcached-server.ts'
import { until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, rejectionAtOnce, rejectionBy, savedOf } from '../support/stores/records.ts'
import { tcpProxy, type TcpProxy } from '../support/proxies/tcp-proxy.ts'

/** A thread on the way to a server, which lets no `cas` through, and says when an answer has gone on to the store. */
const WITHOUT_CAS = `
  const { parentPort, workerData: { port, hasRead } } = require('node:worker_threads')
  const { connect, createServer } = require('node:net')
  const way = createServer((socket) => {
    const server = connect(port, '127.0.0.1')
    socket.on('data', (data) => String(data).startsWith('cas ') || server.write(data))
    server.on('data', (data) => socket.write(data, () => {
      Atomics.store(hasRead, 0, 1)
      Atomics.notify(hasRead, 0)
    }))
  })
  way.listen(0, '127.0.0.1', () => parentPort.postMessage(way.address().port))`

/** For a server that says nothing. */
const DEADLINE = 1000
const LOST = /cannot be reached, or the connection to it was lost/

describe('memcachedStore in an outage', () => {
  let server: MemcachedServer
  let neighbour: MemcachedServer
  let proxy: TcpProxy
  const stores: Store[] = []

  before(async () => {
    ;[server, neighbour] = await Promise.all([memcachedServer(), memcachedServer()])
    proxy = await tcpProxy(server.port)
  })
  afterEach(async () => {
    await Promise.all(stores.splice(0).map(async (store) => store.close?.()))
  })
  after(async () => {
    await proxy.close()
    await Promise.all([server.stop(), neighbour.stop()])
  })

  function open(url: string = server.url, deadline = PATIENCE): Store {
    const store = memcachedStore(url, { deadline })
    stores.push(store)
    return store
  }

  /** Every operation on the key rejects by the deadline, and says something that matches. */
  async function everythingFails(store: Store, reason: RegExp, deadline = PATIENCE, key = newKey()): Promise<void> {
    const known: Found = { text: '', version: 1, expiresAt: later() }
    const failures = await Promise.all(
      [
        store.load(key),
        store.save(key, '{}', later(), undefined),
        store.save(key, '{}', later(), known),
        store.touch(key, later()),
        store.delete(key),
        store.ping!(),
      ].map((operation) => rejectionBy(deadline, operation)),
    )
    for (const { error } of failures) assert.match(inspect(error, { depth: 9 }), reason)
  }

  /** However it goes, the server is back for the next test. */
  async function whileDown(check: () => Promise<void>): Promise<void> {
    await server.kill()
    try {
      await check()
    } finally {
      await server.restart()
    }
  }

  /** Works again, each time with a new key, since what fails may have been stored. Only its deadline may be missed. */
  async function heals(store: Store): Promise<void> {
    await until(() => works(store))
    await until(async () => {
      const key = newKey()
      try {
        const first = savedOf(await store.save(key, '1', later(), undefined))
        savedOf(await store.save(key, '2', later(), first))
        assert.equal((await store.load(key))?.text, '2')
        return true
      } catch (error) {
        if (/did not answer within/.test(inspect(error, { depth: 9 }))) return false
        throw error
      }
    })
  }

  /** Whether the server answers this store. */
  function works(store: Store): Promise<boolean> {
    return Promise.resolve(store.ping!()).then(
      () => true,
      () => false,
    )
  }

  it('rejects at once while the server is down, from the first operation on, and heals', async () => {
    const store = open()
    await whileDown(async () => {
      for (let round = 0; round < 2; round++) await everythingFails(store, /cannot be reached[^]*ECONNREFUSED/)
    })
    await heals(store)
  })

  it('rejects what was under way when the server dies, and heals when it is back, empty', async () => {
    const store = open()
    const key = newKey()
    const found = savedOf(await store.save(key, '{}', later(), undefined))
    await server.freeze()
    const underWay = rejection(store.load(key))
    await whileDown(async () => {
      assert.match((await underWay).error.message, LOST)
      await everythingFails(store, /ECONNREFUSED/)
    })
    await heals(store)
    assert.equal(await store.load(key), undefined)
    assert.deepEqual(await store.save(key, '{}', later(), found), { gone: true })
  })

  it('rejects by the deadline while the server hangs, then at once, and heals', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      await everythingFails(store, /did not answer within 1000 ms/, DEADLINE)
      // One finds out whether it answers again; whoever comes meanwhile does not wait with it.
      const probe = rejectionBy(DEADLINE, store.load(newKey()))
      await Promise.all(Array.from({ length: 5 }, async () => rejectionAtOnce(store.load(newKey()))))
      await probe
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  it('keeps its deadline for what queues behind a command that hangs', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      const first = rejectionBy(DEADLINE, store.load(newKey()))
      await sleep(DEADLINE / 2)
      await rejectionBy(DEADLINE, store.load(newKey()))
      await first
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  it('says that the server hangs, also when this process was held up past the deadline', async () => {
    const store = open(server.url, DEADLINE)
    await until(() => works(store))
    await server.freeze()
    try {
      const loading = rejection(store.load(newKey()))
      heldUp(DEADLINE * 1.5)
      assert.match((await loading).error.message, /did not answer within 1000 ms/)
      const [probe, meanwhile] = [rejection(store.load(newKey())), rejectionAtOnce(store.load(newKey()))]
      assert.match((await meanwhile).error.message, /does not answer/)
      await probe
    } finally {
      server.thaw()
    }
    await heals(store)
  })

  it('takes an answer that came while this process was held up past the deadline', async () => {
    // With one thread, a server answers in order also what comes over several connections.
    const own = await memcachedServer('-t', '1')
    try {
      const store = open(own.url, DEADLINE)
      await until(() => works(store))
      const loading = store.load(newKey())
      heldUp(DEADLINE * 1.5)
      const asked = `const socket = require('node:net').connect(${own.port}, '127.0.0.1')
        socket.resume().write('version\\r\\nquit\\r\\n')`
      execFileSync(process.execPath, ['-e', asked])
      assert.equal(await loading, undefined)
    } finally {
      await own.stop()
    }
  })

  it('is not blamed by an operation whose time was over between two steps, because this process was held up', async (test) => {
    const hasRead = new Int32Array(new SharedArrayBuffer(4))
    const way = new Worker(WITHOUT_CAS, { eval: true, workerData: { port: server.port, hasRead } })
    test.after(() => way.terminate())
    const [port] = (await once(way, 'message')) as [number]
    const store = open(`memcached://127.0.0.1:${port}`, DEADLINE)
    const key = newKey()
    savedOf(await store.save(key, 'kept', later(), undefined))
    Atomics.store(hasRead, 0, 0)
    const touching = rejection(store.touch(key, later(1_200_000)))
    Atomics.wait(hasRead, 0, 0)
    heldUp(DEADLINE)
    assert.match((await touching).error.message, /could not be asked any more within 1000 ms/)
    assert.equal((await store.load(key))?.text, 'kept')
  })

  it('ends no command because somebody sets the clock forward', async (test) => {
    const store = open()
    await store.ping!()
    await server.freeze()
    try {
      const loading = store.load(newKey())
      const now = Date.now.bind(Date)
      test.mock.method(Date, 'now', () => now() + 24 * 60 * 60 * 1000)
      // memcache-client looks after its commands each quarter of a second.
      await Promise.race([loading, sleep(600)])
      server.thaw()
      assert.equal(await loading, undefined)
    } finally {
      server.thaw()
    }
  })

  it('rejects by the deadline when the way to the server swallows everything, and heals', async () => {
    const store = open(`memcached://127.0.0.1:${proxy.port}`, DEADLINE)
    proxy.blackHole()
    try {
      await everythingFails(store, /did not answer within 1000 ms/, DEADLINE)
    } finally {
      proxy.heal()
    }
    await heals(store)
  })

  it('rejects what was under way when the connection is cut, and never sends it again', async () => {
    const store = open(`memcached://127.0.0.1:${proxy.port}`)
    const key = newKey()
    savedOf(await store.save(key, '1', later(), undefined))
    const found = await store.load(key)
    const writes = await server.stat('cmd_set')
    proxy.swallowAnswers()
    const underWay = rejection(store.save(key, '2', later(), found))
    await until(async () => (await server.stat('cmd_set')) > writes)
    proxy.cut()
    assert.match((await underWay).error.message, LOST)
    assert.equal((await store.load(key))?.text, '2', 'it had arrived')
    assert.equal(await server.stat('cmd_set'), writes + 1)
  })

  it('fails for the sessions of a server that is down, and for no others', async () => {
    const store = open(`memcached://${server.address},${neighbour.address}`)
    const { here, there } = await spread(store)
    const items = await neighbour.stat('curr_items')
    await whileDown(async () => {
      for (const key of here) await everythingFails(store, LOST, PATIENCE, key)
      for (const key of there) {
        const found = await store.load(key)
        assert.equal(found?.text, 'before')
        savedOf(await store.save(key, 'meanwhile', later(), found))
      }
      assert.equal(await neighbour.stat('curr_items'), items, 'nothing has moved to the neighbour')
    })
    await heals(store)
    for (const key of here) assert.equal(await store.load(key), undefined, 'lost with its server, and nowhere else')
    for (const key of there) assert.equal((await store.load(key))?.text, 'meanwhile')
  })

  it('keeps nobody waiting for a server that hangs but those whose sessions it has', async () => {
    const store = open(`memcached://${server.address},${neighbour.address}`)
    const { here, there } = await spread(store)
    await server.freeze()
    let answered = 0
    const stuck = here.map(async (key) => {
      const found = await store.load(key)
      answered++
      return found
    })
    try {
      for (const key of there) assert.equal((await store.load(key))?.text, 'before')
      assert.equal(answered, 0, 'the neighbour has answered while the others still wait')
    } finally {
      server.thaw()
    }
    for (const found of await Promise.all(stuck)) assert.equal(found?.text, 'before')
  })

  /** Three sessions on the server, and three on its neighbour. */
  async function spread(store: Store): Promise<{ here: string[]; there: string[] }> {
    const here: string[] = []
    const there: string[] = []
    while (here.length < 3 || there.length < 3) {
      const key = newKey()
      savedOf(await store.save(key, 'before', later(), undefined))
      const isHere = (await server.ask(`get session:${key}`)).length > 1
      const list = isHere ? here : there
      if (list.length < 3) list.push(key)
    }
    return { here, there }
  }
})
