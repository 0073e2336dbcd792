import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Koa from 'koa'
import { alsApp } from '../bench/apps.ts'
import { answer, cookieOf, type Handle } from '../bench/socketless.ts'
import { SessionCookie } from '../src/http/cookie.ts'
import { Diagnostics } from '../src/diagnostics.ts'
import { newToken } from '../src/session/token.ts'
import { fileStore, getSession, memoryStore, session, type SessionOptions, type Store } from '../src/index.ts'
import { keyringOf } from '../src/http/keyring.ts'
import {
  ALLOCATION_FLAGS,
  LIMITS,
  MOST_PROMISES_OF_LOGIN,
  MOST_READINGS_OF_CLOCK,
  MOST_SURVIVORS,
  MOST_SURVIVORS_OF_LOGIN,
  SITUATIONS,
  SURVIVAL_FLAGS,
  type Limits,
  type SituationName,
  type StoreName,
} from './support/cost-limits.ts'
import { LASTING } from './support/sites/http.ts'
import type { CostOfRequests } from './support/programs/cost-of-requests.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

// Counts and no times, so that these are as certain on a busy machine as on a quiet one. The times: `npm run bench`.

const KEYS = ['a key for the cost of requests']
const run = promisify(execFile)

const directory = temporaryDirectory('cost')
after(() => rmSync(directory, { recursive: true, force: true }))

const STORES: readonly StoreName[] = ['memory', 'file']
const TABLE = 'test/support/cost-limits.ts'

/** The limits of each situation on each store, as a test for each of them. */
function each(test: (limits: Limits, name: SituationName, store: StoreName) => void): void {
  for (const store of STORES) {
    for (const name of Object.keys(SITUATIONS) as SituationName[]) test(LIMITS[store][name], name, store)
  }
}

/** As they are measured, in a process of their own for each store; together, once. */
const costs = new Map<string, Promise<CostOfRequests>>()
function costsOf(kind: StoreName | 'als'): Promise<CostOfRequests> {
  const known = costs.get(kind) ?? inChild<CostOfRequests>('cost-of-requests', kind)
  costs.set(kind, known)
  return known
}

const allocations = new Map<string, Promise<Record<string, number>>>()
function allocationsOf(kind: StoreName | 'als', attempt = 0): Promise<Record<string, number>> {
  const known =
    allocations.get(`${kind} ${attempt}`) ??
    inChild<Record<string, number>>('allocations-of-requests', kind, ALLOCATION_FLAGS)
  allocations.set(`${kind} ${attempt}`, known)
  return known
}

const survivors = new Map<string, Promise<Record<string, number>>>()
function survivorsOf(kind: StoreName | 'als'): Promise<Record<string, number>> {
  const known = survivors.get(kind) ?? inChild<Record<string, number>>('survivors-of-requests', kind, SURVIVAL_FLAGS)
  survivors.set(kind, known)
  return known
}

/** Of a second process as well, if the first one is over the limit: what varies is what the compiler adds. */
async function allocated(store: StoreName, name: SituationName, limit: number): Promise<number> {
  const floor = (await allocationsOf('als'))['read'] ?? 0
  assert.ok(floor > 1000, 'the counter counts')
  const first = ((await allocationsOf(store))[name] ?? NaN) - floor
  return first <= limit ? first : Math.min(first, ((await allocationsOf(store, 1))[name] ?? NaN) - floor)
}

describe('what a request calls of the file system and of crypto', () => {
  it('is counted: a login hashes, signs and draws a token, and on files writes', async () => {
    const { callsOfLogin } = await costsOf('file')
    for (const name of ['hash', 'createHmac', 'randomFillSync', 'renameSync']) assert.ok(callsOfLogin[name], name)
  })

  each(({ calls }, name, store) => {
    const listed = Object.entries(calls).map(([call, times]) => `${call} × ${times}`)
    it(`is ${listed.join(', ') || 'nothing'} for ${SITUATIONS[name].title}, on ${store}`, async () => {
      assert.deepEqual((await costsOf(store)).costs[name]?.calls, calls, `the limits stand in ${TABLE}`)
    })
  })
})

describe('the promises that a request makes beyond Koa with AsyncLocalStorage alone', () => {
  each(({ promises }, name, store) => {
    it(`are at most ${promises} for ${SITUATIONS[name].title}, on ${store}`, async () => {
      const floor = (await costsOf('als')).costs['read']?.promises ?? 0
      assert.ok(floor > 0, 'the counter counts')
      const made = ((await costsOf(store)).costs[name]?.promises ?? NaN) - floor
      assert.ok(
        made <= promises,
        `${made} promises, ${promises} allowed by ${TABLE}: look for a new await or async between src/middleware.ts and the store`,
      )
    })
  })
})

describe('the promises that a login makes beyond Koa with AsyncLocalStorage alone', () => {
  it(`are at most ${MOST_PROMISES_OF_LOGIN}`, async () => {
    const app = new Koa()
    app.use(session({ keys: KEYS, store: memoryStore({ pruneInterval: 0 }) }))
    app.use(async (ctx) => {
      await getSession().regenerate()
      Object.assign(getSession(), { user: 'ann' })
      ctx.body = 'ok'
    })
    const floor = await promisesOf(alsApp())
    const made = (await promisesOf(app.callback())) - floor
    assert.ok(floor > 0, 'they are counted')
    assert.ok(made <= MOST_PROMISES_OF_LOGIN, `${made} promises, ${MOST_PROMISES_OF_LOGIN} allowed by ${TABLE}`)
  })
})

/** Of the last one of three requests, each of which comes with the cookie that the one before was given. */
async function promisesOf(handle: Handle): Promise<number> {
  let promises = 0
  const hook = createHook({ init: (_id, type) => void (promises += Number(type === 'PROMISE')) })
  let cookie = ''
  for (let request = 0; request < 3; request++) {
    promises = 0
    hook.enable()
    const response = await answer(handle, '/read', cookie)
    hook.disable()
    cookie = cookieOf(response)
  }
  return promises
}

describe('the bytes that a request allocates beyond Koa with AsyncLocalStorage alone', () => {
  each(({ bytes }, name, store) => {
    it(`are at most ${bytes} for ${SITUATIONS[name].title}, on ${store}`, async (t) => {
      const measured = await allocated(store, name, bytes)
      t.diagnostic(`${measured} bytes, ${bytes} allowed`)
      assert.ok(
        measured <= bytes,
        `${measured} bytes, ${bytes} allowed by ${TABLE}. What allocates them: ` +
          `node --heap-prof ${ALLOCATION_FLAGS.join(' ')} dist/test/support/programs/allocations-of-requests.js ${store} <an empty directory>, ` +
          'and open the .heapprofile in the Memory panel of Chrome.',
      )
    })
  })
})

describe('what is left of a request when it is over', () => {
  for (const store of STORES) {
    it(`is nothing that waits for a full collection, on ${store}`, async (t) => {
      const floor = (await survivorsOf('als'))['read'] ?? NaN
      for (const [name, survivors] of Object.entries(await survivorsOf(store))) {
        const measured = survivors - floor
        t.diagnostic(`${measured} bytes of ${name}`)
        const most = name === 'login' ? MOST_SURVIVORS_OF_LOGIN : MOST_SURVIVORS
        assert.ok(measured < most, `${measured} bytes of ${name}, ${most} allowed by ${TABLE}`)
      }
    })
  }
})

describe('what is remembered of a verified cookie', () => {
  it('is not the whole header that it came in', () => {
    const cookie = new SessionCookie('sid', new Diagnostics('sid'))
    cookie.useKeys(keyringOf(KEYS))
    const others = 'x'.repeat(6000)
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let visitor = 0; visitor < 5000; visitor++) {
      const pair = cookie.write(newToken())
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

/** Where our code is, for a stack: as it was compiled, and as source maps show it. */
const OURS = ['..', '../..'].map((root) => `${resolve(import.meta.dirname, root)}/src/`)

describe('the readings of the clock', () => {
  it(`are at most ${MOST_READINGS_OF_CLOCK} for a string of a cached session`, async (t) => {
    for (const store of [memoryStore({ pruneInterval: 0 }), fileStore({ directory, pruneInterval: 0 })]) {
      const site = await siteWith({ keys: KEYS, store })
      t.after(() => site.close())
      for (const path of ['/write?1', '/read']) await site.get(path)
      const clock = t.mock.method(Date, 'now')
      const readingsOf = async (path: string): Promise<number> => {
        clock.mock.resetCalls()
        await site.get(path)
        // Of the client, and of Node itself, as well.
        return clock.mock.calls.filter(({ stack }) => OURS.some((folder) => stack.stack?.includes(folder))).length
      }
      await readingsOf('/read')
      const readings = await readingsOf('/read')
      assert.ok(readings > 0, 'they are counted')
      assert.ok(readings <= MOST_READINGS_OF_CLOCK, `${readings} readings`)
      clock.mock.restore()
    }
  })
})

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

async function inChild<Answer>(name: string, kind: string, flags: readonly string[] = []): Promise<Answer> {
  const script = fileURLToPath(new URL(`./support/programs/${name}.js`, import.meta.url))
  const { stdout } = await run(process.execPath, [...flags, script, kind, join(directory, name)])
  return JSON.parse(stdout) as Answer
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
  const server: Server = createServer(LASTING, app.callback()).listen(0, '127.0.0.1')
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
