/** Serves a great many sessions in one process, and tells its parent what memory that took. Run with --expose-gc. */
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Keygrip from 'keygrip'
import Koa from 'koa'
import { memoryStore, session, type Store } from '../../../src/index.ts'
import { END, KEY, pipelined, sessionOf } from '../sites/http.ts'

export interface Measured {
  readonly heapAfterHalf: number
  readonly heapAfterAll: number
  readonly cacheSize: number
  readonly cacheBytes: number
  readonly mostCacheBytes: number
  readonly loads: number
  readonly contextsAlive: number
}

const [sessionCount = 0, max = 0, maxBytes = 0] = process.argv.slice(2).map(Number)
/** So many collections in a row that find no more than this, and nothing is left to find. */
const IDLE_ROUNDS = 5
const NOTHING = 1000
const keygrip = new Keygrip([KEY], 'sha256')

/** Has a record for every key, and keeps none of them: what grows is not the store. */
function boundlessStore(): Store {
  const createdAt = Date.now()
  const text =
    `{"format":1,"createdAt":${createdAt},"idleTimeout":1800000,"absoluteTimeout":28800000,"data":{\n` +
    `"user":"alice",\n"cart":{"items":[${'{"id":1,"name":"something"},'.repeat(20)}null]}\n}}`
  const expiresAt = createdAt + 1_800_000
  return {
    ...memoryStore({ pruneInterval: 0 }),
    load: () => ({ text: ` ${text}`.slice(1), version: 1, expiresAt }),
    save: (_key, saved, until, expected) => ({
      saved: { text: saved, version: (expected?.version ?? 0) + 1, expiresAt: until },
    }),
    isCurrent: () => true,
  }
}

async function main(): Promise<Measured> {
  const app = new Koa()
  app.silent = true
  const sessions = session({ keys: [KEY], store: boundlessStore(), cache: { max, maxBytes } })
  const contexts: WeakRef<object>[] = []
  let count = 0
  let mostCacheBytes = 0
  app.use(sessions)
  app.use((ctx) => {
    if (count % 500 === 0) {
      contexts.push(new WeakRef(ctx), new WeakRef(ctx.session))
      mostCacheBytes = Math.max(mostCacheBytes, sessions.stats().cacheBytes)
    }
    void sessionOf(ctx)['cart'].items.length
    // Some change something, some fail: neither may stay behind.
    if (count % 10 === 0) sessionOf(ctx)['n'] = count
    if (count++ % 25 === 0) ctx.res.on('close', () => {})
    ctx.body = END
  })
  const server = createServer(app.callback()).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const heaps: number[] = []
  for (let half = 0; half < 2; half++) {
    for (let served = 0; served < sessionCount / 2; served += 5000) await pipelined(port, '/', newCookies(5000))
    heaps.push(await settledHeap(server))
  }
  const { cacheSize, cacheBytes, loads } = sessions.stats()
  const contextsAlive = contexts.filter((reference) => reference.deref()).length
  server.close()
  return {
    heapAfterHalf: heaps[0] as number,
    heapAfterAll: heaps[1] as number,
    cacheSize,
    cacheBytes,
    mostCacheBytes,
    loads,
    contextsAlive,
  }
}

function newCookies(count: number): string[] {
  return Array.from({ length: count }, () => {
    const id = randomBytes(32).toString('base64url')
    return `sid=${id}.${keygrip.sign(`sid=${id}`)}`
  })
}

/** The heap once all connections are closed and a further collection finds nothing, however long that takes. */
async function settledHeap(server: Server): Promise<number> {
  const connections = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
  while ((await connections()) > 0) await nextTurn()
  let least = Infinity
  for (let idle = 0; idle < IDLE_ROUNDS; idle++) {
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    globalThis.gc?.()
    const heap = process.memoryUsage().heapUsed
    if (heap < least - NOTHING) idle = 0
    least = Math.min(least, heap)
  }
  return least
}

process.send?.(await main())
process.disconnect?.()
