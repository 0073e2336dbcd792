// Counts, in a process of its own, what one request costs by what it asks, and prints it as JSON: in `calls` everything
// that the request calls of `node:fs` and `node:crypto`, in `promises` the promises that it makes. In `callsOfLogin` what
// the very first request called, to show that such calls are counted.
//
// node dist/test/support/programs/cost-of-requests.js <als | memory | file> <directory>
//
// als: no session, and AsyncLocalStorage alone.

import { createHook } from 'node:async_hooks'
import crypto from 'node:crypto'
import fs from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { Handle } from '../../../bench/socketless.ts'
import { SITUATIONS, type Situation, type SituationName } from '../cost-limits.ts'

export interface CostOfRequest {
  readonly promises: number
  readonly calls: Readonly<Record<string, number>>
}

export interface CostOfRequests {
  readonly callsOfLogin: Readonly<Record<string, number>>
  /** By the name of the situation. */
  readonly costs: Readonly<Record<string, CostOfRequest>>
}

const WARM_UP = 20
const REQUESTS = 100

const [, , kind, directory] = process.argv

/** Calls by name; what is replaced here calls the real thing. */
const calls = new Map<string, number>()
/** Some call each other, in some versions of Node: only what is called from outside counts. */
let depth = 0
function countCallsOf(module: object): void {
  const functions = module as Record<string, unknown>
  for (const [name, { value: original, writable }] of Object.entries(Object.getOwnPropertyDescriptors(functions))) {
    // Not the classes: they are called with `new`.
    if (typeof original !== 'function' || !writable || /^[A-Z_]/.test(name)) continue
    functions[name] = function (this: unknown, ...args: unknown[]): unknown {
      if (depth === 0) calls.set(name, (calls.get(name) ?? 0) + 1)
      depth++
      try {
        return Reflect.apply(original, this, args)
      } finally {
        depth--
      }
    }
  }
}
countCallsOf(fs)
countCallsOf(crypto)
syncBuiltinESMExports()

// Only now, so that it finds what was replaced above.
const { alsApp, sessionApp } = await import('../../../bench/apps.ts')
const { fileStore, memoryStore } = await import('../../../src/index.ts')
const { LASTING } = await import('../sites/http.ts')

function handler(): Handle {
  if (kind === 'als') return alsApp()
  const store =
    kind === 'file'
      ? fileStore({ directory: directory as string, pruneInterval: 0 })
      : memoryStore({ pruneInterval: 0 })
  return sessionApp({ store }).handle
}

const server = createServer(LASTING, handler())
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let cookie = ''

/** By callback, so that the client makes no promises of its own. */
function request(path: string, sent: string, done: () => void): void {
  const { port } = server.address() as AddressInfo
  get({ port, host: '127.0.0.1', path, agent, headers: sent === '' ? {} : { cookie: sent } }, (response) => {
    const [setCookie] = response.headers['set-cookie'] ?? []
    if (setCookie !== undefined) cookie = setCookie.split(';', 1)[0] as string
    if (response.statusCode !== 200) throw new Error(`${path} was answered with ${response.statusCode}`)
    response.on('end', () => setImmediate(done)).resume()
  })
}

function repeat(count: number, situation: Situation, done: () => void): void {
  if (count === 0) done()
  else request(situation.path, situation.hasCookie ? cookie : '', () => repeat(count - 1, situation, done))
}

let promises = 0
const hook = createHook({
  init(_id, type) {
    if (type === 'PROMISE') promises++
  },
})

function measure(situation: Situation, done: (cost: CostOfRequest) => void): void {
  repeat(WARM_UP, situation, () => {
    calls.clear()
    promises = 0
    hook.enable()
    repeat(REQUESTS, situation, () => {
      hook.disable()
      const counted = Object.fromEntries([...calls].map(([name, count]) => [name, count / REQUESTS]))
      done({ promises: promises / REQUESTS, calls: counted })
    })
  })
}

function measureAll(names: readonly string[], costs: Record<string, CostOfRequest>, done: () => void): void {
  const [name, ...rest] = names
  if (name === undefined) done()
  else
    measure(SITUATIONS[name as SituationName], (cost) => {
      costs[name] = cost
      measureAll(rest, costs, done)
    })
}

server.listen(0, '127.0.0.1', () => {
  request('/login', '', () => {
    const callsOfLogin = Object.fromEntries(calls)
    const costs: Record<string, CostOfRequest> = {}
    measureAll(kind === 'als' ? ['read'] : Object.keys(SITUATIONS), costs, () => {
      const answer: CostOfRequests = { callsOfLogin, costs }
      process.stdout.write(JSON.stringify(answer), () => process.exit())
    })
  })
})
