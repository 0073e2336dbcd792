// Counts, in a process of its own, what one warm request costs, and prints it as JSON: in `calls` everything that the
// request calls of `node:fs` and `node:crypto`, in `promises` the promises that it makes. In `callsOfLogin` what the very
// first request called, to show that such calls are counted.
//
// node dist/test/support/cost-of-requests.js <als | visitor | memory | file> <directory>
//
// als: no session, and AsyncLocalStorage alone. visitor: a visitor without a session, on the memory store.

import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import crypto from 'node:crypto'
import fs from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'

export interface CostOfRequest {
  readonly promises: number
  readonly calls: Readonly<Record<string, number>>
  readonly callsOfLogin: Readonly<Record<string, number>>
}

const WARM_UP = 20
const REQUESTS = 100

const [, , kind, directory] = process.argv

/** Calls by name; what is replaced here calls the real thing. */
const calls = new Map<string, number>()
function countCallsOf(module: object): void {
  const functions = module as Record<string, unknown>
  for (const [name, { value: original, writable }] of Object.entries(Object.getOwnPropertyDescriptors(functions))) {
    // Not the classes: they are called with `new`.
    if (typeof original !== 'function' || !writable || /^[A-Z_]/.test(name)) continue
    functions[name] = function (this: unknown, ...args: unknown[]): unknown {
      calls.set(name, (calls.get(name) ?? 0) + 1)
      return Reflect.apply(original, this, args)
    }
  }
}
countCallsOf(fs)
countCallsOf(crypto)
syncBuiltinESMExports()

const app = new Koa()
if (kind === 'als') {
  const storage = new AsyncLocalStorage<{ userId: string }>()
  app.use((_ctx, next) => storage.run({ userId: 'alice' }, next))
  app.use(async (ctx) => {
    ctx.body = { value: storage.getStore()?.userId }
  })
} else {
  // Only now, so that it finds what was replaced above.
  const { session, getSession, memoryStore, fileStore } = await import('../../src/index.ts')
  const store = kind === 'file' ? fileStore({ directory: directory as string, pruneInterval: 0 }) : memoryStore()
  app.use(session({ keys: ['a key for the cost of requests'], store }))
  app.use(async (ctx) => {
    const data = getSession() as unknown as { userId?: string }
    if (ctx.path === '/login') data.userId = 'alice'
    ctx.body = { value: data.userId }
  })
}

const server = createServer(app.callback())
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let cookie = ''

/** By callback, so that the client makes no promises of its own. */
function request(path: string, done: () => void): void {
  const { port } = server.address() as AddressInfo
  get({ port, host: '127.0.0.1', path, agent, headers: cookie === '' ? {} : { cookie } }, (response) => {
    const [setCookie] = response.headers['set-cookie'] ?? []
    if (setCookie !== undefined) cookie = setCookie.split(';', 1)[0] as string
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => (body += chunk))
    response.on('end', () => {
      if (body !== (kind === 'visitor' ? '{}' : '{"value":"alice"}')) throw new Error(`a wrong answer: ${body}`)
      setImmediate(done)
    })
  })
}

function repeat(count: number, done: () => void): void {
  if (count === 0) done()
  else request('/read', () => repeat(count - 1, done))
}

let promises = 0
const hook = createHook({
  init(_id, type) {
    if (type === 'PROMISE') promises++
  },
})

server.listen(0, '127.0.0.1', () => {
  request(kind === 'visitor' ? '/read' : '/login', () => {
    const callsOfLogin = Object.fromEntries(calls)
    repeat(WARM_UP, () => {
      calls.clear()
      hook.enable()
      repeat(REQUESTS, () => {
        hook.disable()
        const counted = Object.fromEntries([...calls].map(([name, count]) => [name, count / REQUESTS]))
        const costs: CostOfRequest = { promises: promises / REQUESTS, calls: counted, callsOfLogin }
        process.stdout.write(JSON.stringify(costs), () => process.exit())
      })
    })
  })
})
