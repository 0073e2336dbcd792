import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Keygrip from 'keygrip'
import Koa from 'koa'
import { SessionCookie } from '../src/cookie.ts'
import { Diagnostics } from '../src/diagnostics.ts'
import { newId } from '../src/id.ts'
import { getSession, memoryStore, session, type SessionOptions, type Store } from '../src/index.ts'
import { keyringOf } from '../src/keys.ts'
import type { CostOfRequest } from './support/cost-of-requests.ts'

// Counts and no times, so that these are as certain on a busy machine as on a quiet one. The times: `npm run bench`.

const KEYS = ['a key for the cost of requests']
const run = promisify(execFile)

/** What Koa alone with AsyncLocalStorage.run makes is the floor; beyond it, an async middleware makes two. */
const PROMISES_ABOVE_FLOOR = 2

describe('a request that reads a cached session', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cost-'))
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('computes no signature, no hash and no random number', async () => {
    const { calls, callsOfLogin } = await costOf('memory', directory)
    assert.ok((callsOfLogin['hash'] ?? 0) > 0 && (callsOfLogin['createHmac'] ?? 0) > 0, 'the counter counts')
    assert.deepEqual(calls, {})
  })

  it('asks the file system one thing, on the file store: whether its copy is current', async () => {
    const { calls, callsOfLogin } = await costOf('file', directory)
    assert.ok((callsOfLogin['renameSync'] ?? 0) > 0, 'the counter counts')
    assert.deepEqual(calls, { statSync: 1 })
  })

  it(`makes at most ${PROMISES_ABOVE_FLOOR} promises more than Koa with AsyncLocalStorage.run alone`, async () => {
    const [floor, memory, file] = await Promise.all(['als', 'memory', 'file'].map((kind) => costOf(kind, directory)))
    assert.ok(floor && memory && file && floor.promises > 0, 'the counter counts')
    assert.ok(memory.promises - floor.promises <= PROMISES_ABOVE_FLOOR, `memory: ${memory.promises - floor.promises}`)
    assert.ok(file.promises - floor.promises <= PROMISES_ABOVE_FLOOR, `files: ${file.promises - floor.promises}`)
  })

  it('does not ask the Keygrip of the application', async (t) => {
    const { keygrip, asked } = countingKeygrip()
    const site = await siteWith({ keys: keygrip })
    t.after(() => site.close())
    await site.get('/write?1')
    assert.ok(asked.times > 0, 'the counter counts')
    await site.get('/read')
    asked.times = 0
    for (let turn = 0; turn < 20; turn++) await site.get('/read')
    assert.equal(asked.times, 0)
  })
})

describe('a request of a visitor who has no session', () => {
  it('makes no id and computes nothing, although it looks into its session', async () => {
    const { calls } = await costOf('visitor', '')
    assert.deepEqual(calls, {})
  })
})

describe('what is remembered of a verified cookie', () => {
  it('is not the whole header that it came in', () => {
    const cookie = new SessionCookie({ name: 'sid' }, keyringOf(KEYS), new Diagnostics('sid'))
    const others = 'x'.repeat(6000)
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let visitor = 0; visitor < 5000; visitor++) {
      const [pair] = cookie.write(newId(), false).split(';', 1)
      // From bytes, as Node makes its headers.
      const header = Buffer.from(`${visitor}=${others}; ${pair}`).toString('latin1')
      assert.equal(cookie.read(header).length, 1)
    }
    collectGarbage()
    const each = (process.memoryUsage().heapUsed - before) / 5000
    assert.equal(cookie.read('sid=forged').length, 0) // it is still there, with all that it remembers
    assert.ok(each < 2000, `${Math.round(each)} bytes for each cookie`)
  })
})

describe('the calls of the store', () => {
  const scenarios: [what: string, paths: string[], expected: string[], options?: SessionOptions][] = [
    ['none for a visitor whose session is not touched', ['/untouched', '/untouched'], []],
    ['none for a visitor whose session is only read', ['/read', '/object'], []],
    ['one for the first value of a visitor', ['/write?1'], ['save']],
    ['none to read a value', ['!/write?1', '/read', '/read', '/untouched'], []],
    ['none to read an object', ['!/write?1', '/object', '/object'], []],
    ['none to set what is there already', ['!/write?1', '/write?1'], []],
    ['one for each request that changes something', ['!/write?1', '/write?2', '/write?3'], ['save', 'save']],
    ['one for a request that changes several values', ['!/write?1', '/writeSome'], ['save']],
    ['one to log out', ['!/write?1', '/destroy'], ['delete']],
    ['none after the logout', ['!/write?1', '!/destroy', '/read'], []],
    ['one for each read without a cache', ['!/write?1', '/read', '/read'], ['load', 'load'], { cache: false }],
    ['two for a change without a cache', ['!/write?1', '/write?2'], ['load', 'save'], { cache: false }],
  ]
  for (const [what, paths, expected, options] of scenarios) {
    it(`are ${what}`, async (t) => {
      const { store, calls } = recording(memoryStore({ pruneInterval: 0 }))
      const site = await siteWith({ ...options, keys: KEYS, store })
      t.after(() => site.close())
      for (const path of paths) {
        await site.get(path.replace('!', ''))
        // With an exclamation mark: what has to happen first.
        if (path.startsWith('!')) calls.length = 0
      }
      assert.deepEqual(calls, expected)
    })
  }
})

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

async function costOf(kind: string, directory: string): Promise<CostOfRequest> {
  const script = fileURLToPath(new URL('./support/cost-of-requests.js', import.meta.url))
  const { stdout } = await run(process.execPath, [script, kind, directory], { timeout: 60_000 })
  return JSON.parse(stdout) as CostOfRequest
}

/** A Keygrip, and how often it was asked. It makes its methods anew for each instance, so no class can override them. */
function countingKeygrip(): { keygrip: Keygrip; asked: { times: number } } {
  const keygrip = new Keygrip(KEYS)
  const asked = { times: 0 }
  for (const method of ['sign', 'verify', 'index'] as const) {
    const original = keygrip[method] as (...args: string[]) => unknown
    Object.assign(keygrip, {
      [method](...args: string[]): unknown {
        asked.times++
        return original(...args)
      },
    })
  }
  return { keygrip, asked }
}

/** The store, and the names of what it was asked, in order. */
function recording(store: Store): { store: Store; calls: string[] } {
  const calls: string[] = []
  function note<Answer>(name: string, answer: Answer): Answer {
    calls.push(name)
    return answer
  }
  return {
    calls,
    store: {
      ...store,
      load: (key) => note('load', store.load(key)),
      save: (key, text, expiresAt, expected) => note('save', store.save(key, text, expiresAt, expected)),
      touch: (key, expiresAt) => note('touch', store.touch(key, expiresAt)),
      delete: (key) => note('delete', store.delete(key)),
    },
  }
}

interface Site {
  get(path: string): Promise<void>
  close(): void
}

/** A visitor, and a site for him. */
async function siteWith(options: SessionOptions): Promise<Site> {
  const app = new Koa()
  app.use(session({ store: memoryStore({ pruneInterval: 0 }), ...options }))
  app.use(async (ctx) => {
    const data = (): Record<string, unknown> => getSession() as unknown as Record<string, unknown>
    if (ctx.path === '/read') void data()['value']
    else if (ctx.path === '/object') void data()['cart']
    else if (ctx.path === '/write') Object.assign(data(), { value: ctx.querystring, cart: { items: [1, 2] } })
    else if (ctx.path === '/writeSome') Object.assign(data(), { value: 'new', cart: {}, more: true })
    else if (ctx.path === '/destroy') await getSession().destroy()
    ctx.body = 'ok'
  })
  const server: Server = createServer(app.callback()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let cookie = ''
  return {
    async get(path) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
      assert.equal(response.status, 200)
      await response.text()
      cookie = response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? cookie
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
