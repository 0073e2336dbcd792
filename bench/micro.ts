// What each step of a request costs by itself, hot, in nanoseconds of processor time (so that waiting behind other
// processes does not count). For ranking alternatives: in a server the same step costs three to six times as much,
// because caches are cold there.

import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtempSync, rmSync } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import Koa from 'koa'
import { cached } from '../src/cache.ts'
import { SessionCookie } from '../src/cookie.ts'
import { Diagnostics } from '../src/diagnostics.ts'
import { keyOf, newId } from '../src/id.ts'
import { getSession, memoryStore, session, type Store } from '../src/index.ts'
import { keyringOf } from '../src/keys.ts'
import { Lifecycle } from '../src/lifecycle.ts'
import { sessionOf } from '../src/session.ts'
import type { SessionActions, SessionState } from '../src/state.ts'
import { fileStore } from '../src/stores/file.ts'
import type { Found } from '../src/store.ts'
import { Codec } from '../src/value.ts'
import { spreadOf } from './statistics.ts'

const SAMPLES = 15
const WARM_UPS = 8
const SAMPLE_MILLISECONDS = 40
const KEY = 'the signing key of the benchmark'

/** Keeps a result alive, so that the compiler cannot leave out what makes it. */
let sink: unknown

interface Case {
  readonly name: string
  /** One operation; with a promise if it is asynchronous. */
  readonly run: () => unknown
  readonly isAsync?: true
}

async function time({ run, isAsync }: Case): Promise<string> {
  const nanoseconds: number[] = []
  let count = 64
  for (let sample = -WARM_UPS; sample < SAMPLES; sample++) {
    const before = process.cpuUsage()
    if (isAsync) for (let index = 0; index < count; index++) sink = await run()
    else for (let index = 0; index < count; index++) sink = run()
    const { user, system } = process.cpuUsage(before)
    const took = (user + system) / 1000
    if (sample >= 0) nanoseconds.push((took / count) * 1e6)
    count = Math.max(16, Math.round((count * SAMPLE_MILLISECONDS) / Math.max(took, 0.01)))
  }
  const { median, low, high } = spreadOf(nanoseconds)
  return `${Math.round(median)} | ${Math.round(low)}–${Math.round(high)}`
}

const refuse = async (): Promise<never> => Promise.reject(new Error('not here'))
const ACTIONS: SessionActions = {
  save: refuse,
  reload: refuse,
  update: refuse,
  regenerate: refuse,
  destroy: refuse,
  sealedBy: () => undefined,
}

function lifecycleOver(store: Store): { lifecycle: Lifecycle; cache: Store } {
  const diagnostics = new Diagnostics('sid')
  const cache = cached(store, { max: 10_000, maxBytes: 2 ** 25, maxAge: 3_600_000, allowStale: false }, diagnostics)
  const options = { idleTimeout: 3_600_000, absoluteTimeout: 36_000_000, persistent: false, maxRecordBytes: 65_536, codec: new Codec() }
  return { lifecycle: new Lifecycle(cache, options, diagnostics), cache }
}

type Data = Record<string, unknown>

function dataOf(state: SessionState): Data {
  return sessionOf(state) as unknown as Data
}

async function stored(lifecycle: Lifecycle, size: number): Promise<{ key: string; found: Found }> {
  const state = lifecycle.create(ACTIONS)
  const data = dataOf(state)
  data['userId'] = 'user-1'
  data['user'] = { id: 'user-1', name: 'Name of user-1', roles: ['editor', 'author'], locale: 'en' }
  data['views'] = 1
  if (size > 0)
    data['cart'] = Array.from({ length: size / 66 }, (_, n) => ({
      sku: `sku-${n}`,
      title: 'A thing',
      quantity: 1,
      price: 1999,
    }))
  await lifecycle.commit(state)
  return { key: state.key, found: state.found as Found }
}

async function stepCases(directory: string): Promise<Case[]> {
  const cookie = new SessionCookie({ name: 'sid' }, keyringOf([KEY]), new Diagnostics('sid'))
  const id = newId()
  const [pair] = cookie.write(id, false).split(';')
  // A new string each time, as a request brings one.
  const headers = Array.from({ length: 1024 }, (_, n) => `theme=dark; ${pair}; n=${n}`)
  let turn = 0
  const unknown = `sid=${newId()}.${'x'.repeat(43)}`

  const memory = lifecycleOver(memoryStore({ pruneInterval: 0 }))
  const files = lifecycleOver(fileStore({ directory, pruneInterval: 0 }))
  const inMemory = await stored(memory.lifecycle, 0)
  const inFiles = await stored(files.lifecycle, 0)
  const large = await stored(memory.lifecycle, 20_000)

  const open = ({ key, found }: { key: string; found: Found }): SessionState =>
    memory.lifecycle.open(ACTIONS, key, found, id)
  const writer = async (): Promise<unknown> => {
    const found = (await memory.cache.load(inMemory.key)) as Found
    const state = memory.lifecycle.open(ACTIONS, inMemory.key, found, id)
    dataOf(state)['views'] = turn++
    return memory.lifecycle.commit(state)
  }
  return [
    { name: 'cookie: read, memo hit', run: () => cookie.read(headers[turn++ & 1023]) },
    { name: 'cookie: read, wrong signature (one HMAC)', run: () => cookie.read(unknown) },
    { name: 'cookie: write (one HMAC)', run: () => cookie.write(id, false) },
    { name: 'a new id', run: newId },
    { name: 'the key of an id (SHA-256)', run: () => keyOf(id) },
    { name: 'cache hit, memory', run: () => memory.cache.load(inMemory.key) },
    { name: 'cache hit, files (one stat)', run: () => files.cache.load(inFiles.key) },
    { name: 'lifecycle.load on a hit, memory', run: () => memory.lifecycle.load(inMemory.key) },
    { name: 'open a session', run: () => sessionOf(open(inMemory)) },
    { name: 'open, read a string', run: () => dataOf(open(inMemory))['userId'] },
    { name: 'open, read a small object', run: () => dataOf(open(inMemory))['user'] },
    { name: 'open, read a string, commit nothing', run: () => readAndCommit(open(inMemory), 'userId') },
    { name: 'open, read a small object, commit nothing', run: () => readAndCommit(open(inMemory), 'user') },
    { name: 'the same on 20 kB, a string', run: () => readAndCommit(open(large), 'userId') },
    { name: 'the same on 20 kB, all of it', run: () => readAndCommit(open(large), 'cart') },
    { name: 'touch that is not due', run: () => memory.lifecycle.touch(inMemory.key, inMemory.found) },
    { name: 'set one key and commit, memory', run: writer, isAsync: true },
  ]

  function readAndCommit(state: SessionState, name: string): unknown {
    sink = dataOf(state)[name]
    return memory.lifecycle.commit(state)
  }
}

/** Whole requests, from Node's parsed request to the last byte of the answer, without a socket. */
async function requestCases(directory: string): Promise<Case[]> {
  const storage = new AsyncLocalStorage<object>()
  const bare = new Koa()
  bare.use(async (ctx) => {
    ctx.body = { value: 'user-1' }
  })
  const als = new Koa()
  als.use((_, next) => storage.run({ value: 'user-1' }, next))
  als.use(async (ctx) => {
    ctx.body = storage.getStore()
  })
  const cases: Case[] = [
    { name: 'request: Koa alone', run: requester(bare.callback(), ''), isAsync: true },
    { name: 'request: Koa + AsyncLocalStorage.run', run: requester(als.callback(), ''), isAsync: true },
  ]
  for (const [name, store] of [
    ['memory', memoryStore()],
    ['files', fileStore({ directory })],
  ] as const) {
    const app = new Koa()
    app.use(session({ keys: [KEY], store }))
    app.use(async (ctx) => {
      const data = getSession() as unknown as Data
      if (ctx.url === '/login') data['user'] = { id: 'user-1', name: 'Name of user-1' }
      if (ctx.url === '/login') data['userId'] = 'user-1'
      if (ctx.url === '/write') data['views'] = ((data['views'] as number | undefined) ?? 0) + 1
      ctx.body = { value: ctx.url === '/object' ? (data['user'] as Data)['name'] : data['userId'] }
    })
    const handle = app.callback()
    const [setCookie] = (await answer(handle, '/login', '')).getHeader('set-cookie') as string[]
    const cookie = setCookie?.split(';')[0] ?? ''
    cases.push(
      { name: `request: a string is read, ${name}`, run: requester(handle, cookie, '/read'), isAsync: true },
      { name: `request: a small object is read, ${name}`, run: requester(handle, cookie, '/object'), isAsync: true },
      { name: `request: no cookie, ${name}`, run: requester(handle, '', '/read'), isAsync: true },
      { name: `request: one key is written, ${name}`, run: requester(handle, cookie, '/write'), isAsync: true },
    )
  }
  return cases
}

type Handle = (request: IncomingMessage, response: ServerResponse) => Promise<void>

function requester(handle: Handle, cookie: string, url = '/read'): () => Promise<unknown> {
  return () => answer(handle, url, cookie)
}

class Void extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}

function answer(handle: Handle, url: string, cookie: string): Promise<ServerResponse> {
  return new Promise((resolve) => {
    const socket = new Void() // its cost is in every figure alike
    const request = new IncomingMessage(socket as never)
    request.method = 'GET'
    request.url = url
    request.httpVersionMajor = request.httpVersionMinor = 1
    request.headers = cookie === '' ? { host: '127.0.0.1' } : { host: '127.0.0.1', cookie }
    const response = new ServerResponse(request)
    response.assignSocket(socket as never)
    response.once('finish', () => {
      response.detachSocket(socket as never)
      resolve(response)
    })
    void handle(request, response)
  })
}

const directory = mkdtempSync(join(tmpdir(), 'session-micro-'))
try {
  process.stdout.write(`Node ${process.versions.node}\n\n| | ns, median | quartiles |\n|---|---|---|\n`)
  const only = process.argv[2]
  const cases = [...(await stepCases(join(directory, 'a'))), ...(await requestCases(join(directory, 'b')))]
  for (const one of cases) {
    if (only === undefined || one.name.includes(only)) process.stdout.write(`| ${one.name} | ${await time(one)} |\n`)
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}
void sink
process.exit() // the stores' timers are no reason to stay
