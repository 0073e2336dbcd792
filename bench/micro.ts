// What each step of a request costs by itself, hot, in nanoseconds of processor time (so that waiting behind other
// processes does not count), and whole requests without a socket. Prints Markdown, or JSON with --json.

import { mkdtempSync, rmSync } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { storeStack } from '../src/layers/stack.ts'
import { setCookie, type CheckedCookie } from '../src/http/attributes.ts'
import { SessionCookie } from '../src/http/cookie.ts'
import { Diagnostics } from '../src/diagnostics.ts'
import { keyOf, newToken } from '../src/session/token.ts'
import { memoryStore, type Store } from '../src/index.ts'
import { keyringOf } from '../src/http/keyring.ts'
import { Lifecycle } from '../src/session/lifecycle.ts'
import { varyByCookie } from '../src/http/response.ts'
import { sessionOf } from '../src/session/object.ts'
import type { SessionHost } from '../src/session/host.ts'
import type { WorkingCopy } from '../src/session/working-copy.ts'
import { fileStore } from '../src/stores/file.ts'
import type { Found } from '../src/store.ts'
import { Codec } from '../src/record/codec.ts'
import { KEY, alsApp, bareApp, sessionApp, someData } from './apps.ts'
import { partsOf, type Part } from './profile.ts'
import { microTables } from './micro-report.ts'
import type { Step } from './micro-results.ts'
import { answer, cookieOf, type Handle } from './socketless.ts'
import { spreadOf } from './statistics.ts'

const { values: given } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    samples: { type: 'string', default: '15' },
  },
})
const SAMPLES = Number(given.samples)
const WARM_UPS = Math.ceil(SAMPLES / 2)
const SAMPLE_MILLISECONDS = 40

/** Keeps a result alive, so that the compiler cannot leave out what makes it. */
let sink: unknown

interface Case extends Omit<Step, 'nanoseconds'> {
  /** One operation; with a promise if it is asynchronous. */
  readonly run: () => unknown
  readonly isAsync?: true
}

async function time({ run, isAsync, ...step }: Case): Promise<Step> {
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
  return {
    ...step,
    nanoseconds: { median: Math.round(median), low: Math.round(low), high: Math.round(high), count: SAMPLES },
  }
}

const refuse = async (): Promise<never> => Promise.reject(new Error('not here'))
const HOST: SessionHost = {
  save: refuse,
  reload: refuse,
  update: refuse,
  regenerate: refuse,
  destroy: refuse,
  identify: refuse,
  signalOf: () => new AbortController().signal,
  sealedBy: () => undefined,
}

function lifecycleOver(store: Store): { lifecycle: Lifecycle; front: Store } {
  const diagnostics = new Diagnostics('sid')
  const cache = { max: 10_000, maxBytes: 2 ** 25, maxAge: 3_600_000, allowStale: false }
  const stack = storeStack(store, { encrypt: false, cache }, diagnostics)
  const options = {
    idleTimeout: 3_600_000,
    absoluteTimeout: 36_000_000,
    persistent: false,
    maxRecordBytes: 65_536,
    codec: new Codec(),
  }
  return { lifecycle: new Lifecycle(stack, options, diagnostics), front: stack.front }
}

type Data = Record<string, unknown>

function dataOf(copy: WorkingCopy): Data {
  return sessionOf(copy) as unknown as Data
}

async function stored(lifecycle: Lifecycle, size: number): Promise<{ key: string; found: Found }> {
  const copy = lifecycle.create(HOST)
  const things = Array.from({ length: size / 66 }, (_, n) => ({
    sku: `sku-${n}`,
    title: 'A thing',
    quantity: 1,
    price: 1999,
  }))
  Object.assign(dataOf(copy), someData('user-1'), size > 0 && { cart: things })
  await lifecycle.commit(copy)
  return { key: copy.key, found: copy.found as Found }
}

const ATTRIBUTES: CheckedCookie = { path: '/', secure: 'auto' }

async function stepCases(directory: string): Promise<Case[]> {
  const cookie = new SessionCookie('sid', new Diagnostics('sid'))
  cookie.useKeys(keyringOf([KEY]))
  const token = newToken()
  const pair = cookie.write(token)
  // A new string each time, as a request brings one.
  const headers = Array.from({ length: 1024 }, (_, n) => `theme=dark; ${pair}; n=${n}`)
  let turn = 0
  const unknown = `sid=${newToken()}.${'x'.repeat(43)}`

  const memory = lifecycleOver(memoryStore({ pruneInterval: 0 }))
  const files = lifecycleOver(fileStore({ directory, pruneInterval: 0 }))
  const inMemory = await stored(memory.lifecycle, 0)
  const inFiles = await stored(files.lifecycle, 0)
  const large = await stored(memory.lifecycle, 20_000)

  const open = ({ key, found }: { key: string; found: Found }): WorkingCopy =>
    memory.lifecycle.open(HOST, key, found, token)
  const writer = async (): Promise<unknown> => {
    const found = (await memory.front.load(inMemory.key)) as Found
    const copy = memory.lifecycle.open(HOST, inMemory.key, found, token)
    dataOf(copy)['views'] = turn++
    return memory.lifecycle.commit(copy)
  }
  const response = new ServerResponse(new IncomingMessage(null as never))
  const isOfWarmRead = true
  return [
    { name: 'cookie: find and verify, seen before', run: () => cookie.read(headers[turn++ & 1023]), isOfWarmRead },
    { name: 'cache: hit, memory', run: () => memory.front.load(inMemory.key), isOfWarmRead },
    { name: 'session: open', run: () => sessionOf(open(inMemory)), isOfWarmRead },
    { name: 'session: open and read a string', run: () => dataOf(open(inMemory))['userId'], isOfWarmRead },
    {
      name: 'session: open, read, find nothing to commit',
      run: () => readAndCommit(open(inMemory), 'userId'),
      isOfWarmRead,
    },
    { name: 'touch: not due', run: () => memory.lifecycle.touch(inMemory.key, inMemory.found), isOfWarmRead },
    { name: 'headers: Vary set, and removed again', run: () => vary(response), isOfWarmRead },
    { name: 'cookie: wrong signature (one HMAC)', run: () => cookie.read(unknown) },
    { name: 'cookie: write (one HMAC)', run: () => setCookie(cookie.write(token), ATTRIBUTES, false) },
    { name: 'token: a new one', run: newToken },
    { name: 'token: its key (SHA-256)', run: () => keyOf(token) },
    { name: 'cache: hit, files (one look at the directory)', run: () => files.front.load(inFiles.key) },
    { name: 'session: open and read a small object', run: () => dataOf(open(inMemory))['user'] },
    { name: 'session: 20 kB, a string', run: () => readAndCommit(open(large), 'userId') },
    { name: 'session: 20 kB, all of it', run: () => readAndCommit(open(large), 'cart') },
    { name: 'session: one key set and committed, memory', run: writer, isAsync: true },
  ]

  function vary(to: ServerResponse): void {
    varyByCookie(to)
    to.removeHeader('Vary')
  }

  function readAndCommit(copy: WorkingCopy, name: string): unknown {
    sink = dataOf(copy)[name]
    return memory.lifecycle.commit(copy)
  }
}

/** Whole requests, from Node's parsed request to the last byte of the answer, without a socket. */
async function requestCases(directory: string): Promise<Case[]> {
  const request = (name: string, handle: Handle, url = '/read', cookie = ''): Case => ({
    name,
    run: () => answer(handle, url, cookie),
    isAsync: true,
    isRequest: true,
  })
  const cases = [request('Koa alone', bareApp()), request('Koa + AsyncLocalStorage', alsApp())]
  for (const [name, store, encrypt] of [
    ['memory', memoryStore(), false],
    ['memory, encrypted', memoryStore(), true],
    ['files', fileStore({ directory }), false],
  ] as const) {
    const { handle } = sessionApp({ store, encrypt })
    const cookie = cookieOf(await answer(handle, '/login'))
    const wanted: [what: string, url: string, cookie: string][] = [
      ['no cookie, session not touched', '/anonymous', ''],
      ['no cookie', '/read', ''],
      ['a string is read', '/read', cookie],
      ['a small object is read', '/object', cookie],
      ['one key is written', '/write', cookie],
    ]
    for (const [what, url, sent] of wanted) cases.push(request(`${what}, ${name}`, handle, url, sent))
  }
  return cases
}

async function profileOfWarmReads(): Promise<Part[]> {
  const { handle } = sessionApp({ store: memoryStore() })
  const cookie = cookieOf(await answer(handle, '/login'))
  const repeat = async (times: number): Promise<void> => {
    for (let turn = 0; turn < times; turn++) sink = await answer(handle, '/read', cookie)
  }
  await repeat(SAMPLES * 1000)
  return partsOf(() => repeat(SAMPLES * 5000))
}

const directory = mkdtempSync(join(tmpdir(), 'session-micro-'))
try {
  const cases = [...(await stepCases(join(directory, 'a'))), ...(await requestCases(join(directory, 'b')))]
  const steps: Step[] = []
  for (const one of cases) if (one.name.includes(given.only)) steps.push(await time(one))
  const results = { node: process.version, steps, parts: given.only === '' ? await profileOfWarmReads() : [] }
  process.stdout.write(given.json ? JSON.stringify(results) : `${microTables(results).join('\n')}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
void sink
// The stores' timers are no reason to stay; what was written has to be out before.
process.stdout.write('', () => process.exit())
