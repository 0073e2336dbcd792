import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileStore, memoryStore } from '../../src/index.ts'
import { END, pipelined, sessionOf, siteWith, Agent } from '../support/sites/http.ts'
import { startHere } from '../support/sites/test-site.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import type { Measured } from '../support/programs/many-sessions.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MEGABYTE = 1024 * 1024
const HOUR = 3_600_000

describe('G16: 50 000 sessions served by one process with a small cache', () => {
  it('take no more memory than the cache may, and leave nothing of a request behind', async (test) => {
    const [sessions, max, maxBytes] = [50_000, 2000, 2 * MEGABYTE]
    const child = fork(
      join(import.meta.dirname, '../support/programs/many-sessions.js'),
      [`${sessions}`, `${max}`, `${maxBytes}`],
      // One thread, so that what the compiler adds is there at the same moments on every machine.
      { execArgv: ['--expose-gc', '--single-threaded'] },
    )
    test.after(() => child.kill('SIGKILL'))
    const [measured] = (await once(child, 'message')) as [Measured]
    assert.ok(measured.loads >= sessions, 'each was loaded')
    assert.ok(
      measured.mostCacheBytes <= maxBytes && measured.mostCacheBytes > maxBytes / 2,
      `${measured.mostCacheBytes} bytes at most`,
    )
    assert.ok(measured.cacheBytes <= maxBytes && measured.cacheSize <= max, `${measured.cacheSize} sessions`)
    // By half of them every cache is full: whatever grows after that grows for ever. A byte a session would show.
    const growth = measured.heapAfterAll - measured.heapAfterHalf
    assert.ok(growth < 0.75 * MEGABYTE, `${growth} bytes of growth over 25 000 sessions`)
    assert.ok(measured.contextsAlive <= 4, `${measured.contextsAlive} contexts and sessions are still held`)
  })
})

describe('G16: the cache', () => {
  it('keeps to its number of sessions, and those that fall out are still there', async (test) => {
    const store = memoryStore()
    const port = await startHere(test, { store, cache: { max: 5 } })
    const agents = Array.from({ length: 50 }, () => new Agent(port))
    for (const [index, agent] of agents.entries()) await agent.get(`/write?key=n&value=${index}`)
    const { result } = (await new Agent(port).get('/stats')).json<{ result: { cacheSize: number } }>()
    assert.equal(result.cacheSize, 5)
    for (const [index, agent] of agents.entries())
      assert.deepEqual((await agent.get('/read')).json()['result'], { n: `${index}` })
    assert.equal((await keysOf(store)).length, 50)
  })

  it('does not keep what is larger than all of it', async (test) => {
    const port = await startHere(test, { store: 'memory:', cache: { maxBytes: 10_000 } })
    const agent = new Agent(port)
    await agent.get(`/write?key=big&value=${'x'.repeat(6000)}`)
    const { result } = (await agent.get('/stats')).json<{ result: { cacheBytes: number } }>()
    assert.ok(result.cacheBytes <= 10_000)
    assert.equal((await agent.get('/read')).json<{ result: { big: string } }>().result.big.length, 6000)
  })
})

describe('a warm read on files', () => {
  it('costs one stat, and no reading, writing or touching: 10 000 requests', async (test) => {
    const files = fileStore({ directory: temporaryDirectory() })
    const store = recordingStore({ over: files, isSynchronous: true, power: 'isCurrent' })
    const { agent, port, sessions } = await siteWith(test, { store, cache: { maxAge: HOUR } }, (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/in') session['cart'] = { items: [1, 2] }
      ctx.body = session['cart'].items.length === 2 ? END : 'wrong'
    })
    const browser = agent()
    await browser.get('/in')
    await browser.get('/')
    const { questions } = store
    store.calls.length = 0
    await pipelined(port, '/', Array<string>(10_000).fill(browser.cookieHeader))
    assert.deepEqual([store.calls, store.questions], [[], questions + 10_000])
    assert.ok(sessions.stats().hits >= 10_000)
  })
})
