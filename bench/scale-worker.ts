// Holds a great many sessions in one process, and answers what requests cost then. A child of scale.ts.

import { createHash } from 'node:crypto'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyOf } from '../src/session/token.ts'
import { fileStore, memoryStore, redisStore, type Store } from '../src/index.ts'
import { keyringOf } from '../src/http/keyring.ts'
import { KEY, alsApp, sessionApp } from './apps.ts'
import type { Delays, Pruning, SizePoint, StoreName } from './scale-results.ts'
import { answer, type Handle } from './socketless.ts'
import { spreadOf, type Spread } from './statistics.ts'

export interface WorkerOptions {
  readonly store: StoreName
  readonly directory: string
  readonly redisPort: number
  readonly samples: number
}

export type WorkerQuestion =
  | { readonly ask: 'floor' }
  | { readonly ask: 'fill'; readonly from: number; readonly to: number }
  | { readonly ask: 'measure'; readonly sessions: number }
  | { readonly ask: 'prune'; readonly sessions: number; readonly expired: number }

const LIFE = 6 * 3_600_000
const ACTIVE = 1000
const COLD = 20_000
const SMALL_CACHE = 100
/** Requests, or calls of the store, under way at once. */
const AT_ONCE = 32
const SAMPLE_MILLISECONDS = 120

const options = JSON.parse(process.argv[2] as string) as WorkerOptions
const keyring = keyringOf([KEY])
const store = newStore()

function newStore(): Store {
  if (options.store === 'memory') return memoryStore({ pruneInterval: 0 })
  if (options.store === 'files') return fileStore({ directory: options.directory, pruneInterval: 0 })
  return redisStore(`redis://127.0.0.1:${options.redisPort}`, { prefix: 'scale:' })
}

/** Always the same, so that no process has to tell another. */
function idOf(user: number): string {
  return createHash('sha256').update(`user ${user}`).digest('base64url')
}

function cookieOf(user: number): string {
  const id = idOf(user)
  return `sid=${id}.${keyring.sign(`sid=${id}`)}`
}

/** What the library itself stores for a login. */
async function recordText(): Promise<string> {
  const seen: string[] = []
  const watched = memoryStore({ pruneInterval: 0 })
  const { handle, sessions } = sessionApp({
    idleTimeout: LIFE,
    store: {
      ...watched,
      save(key, text, expiresAt, expected) {
        seen.push(text)
        return watched.save(key, text, expiresAt, expected)
      },
    },
  })
  await answer(handle, '/login')
  await sessions.close()
  return seen[0] as string
}

async function atOnce(from: number, to: number, act: (index: number) => unknown): Promise<void> {
  let next = from
  const work = async (): Promise<void> => {
    while (next < to) await act(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function fill(from: number, to: number): Promise<void> {
  const text = await recordText()
  const expiresAt = Date.now() + LIFE
  // A text of its own for each, as each login has; copies of one string would share their memory.
  const bytes = Buffer.from(text)
  await atOnce(from, to, (user) => store.save(keyOf(idOf(user)), bytes.toString('latin1'), expiresAt, undefined))
}

/** Microseconds of processor time for each request. */
async function costOf(handle: Handle, url: string, cookies: readonly string[]): Promise<Spread> {
  const microseconds: number[] = []
  let turn = 0
  const request = (): unknown => answer(handle, url, cookies[turn++ % cookies.length])
  await atOnce(0, Math.max(5000, cookies.length), request) // compiled, and whatever the cache can hold is there
  let count = 1000
  for (let sample = -2; sample < options.samples; sample++) {
    const before = process.cpuUsage()
    await atOnce(0, count, request)
    const { user, system } = process.cpuUsage(before)
    if (sample >= 0) microseconds.push((user + system) / count)
    count = Math.max(500, Math.round((count * SAMPLE_MILLISECONDS * 1000) / Math.max(user + system, 1)))
  }
  return spreadOf(microseconds)
}

/** So many users, from all over the store. */
function cookiesOf(count: number, sessions: number): string[] {
  const users = Math.min(count, sessions)
  return Array.from({ length: users }, (_, index) => cookieOf(Math.floor((index * sessions) / users)))
}

async function measure(sessions: number): Promise<Omit<SizePoint, 'store' | 'sessions'>> {
  const warm = sessionApp({ store, idleTimeout: LIFE })
  const cold = sessionApp({
    store: options.store === 'memory' ? store : newStore(),
    idleTimeout: LIFE,
    cache: { max: SMALL_CACHE },
  })
  const active = cookiesOf(ACTIVE, sessions)
  const [checked] = active
  const body = (await answer(warm.handle, '/read', checked)).getHeader('content-length')
  if (Number(body) !== '{"value":"user-1"}'.length) throw new Error('a session that was stored is not found')
  const warmRead = await costOf(warm.handle, '/read', active)
  const write = await costOf(warm.handle, '/write', active)
  const coldRead = await costOf(cold.handle, '/read', cookiesOf(COLD, sessions))
  const { loads } = cold.sessions.stats()
  if (loads < options.samples * 500) throw new Error('the cold reads were answered by the cache')
  const { rss } = process.memoryUsage()
  globalThis.gc?.()
  return { warmRead, coldRead, write, rss: rss / 2 ** 20, heap: process.memoryUsage().heapUsed / 2 ** 20 }
}

const RESOLUTION = 1

async function delaysDuring(act: () => Promise<unknown>): Promise<{ delays: Delays; seconds: number }> {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  const startedAt = performance.now()
  await act()
  const seconds = (performance.now() - startedAt) / 1000
  histogram.disable()
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION)
  return {
    delays: {
      median: beyond(histogram.percentile(50)),
      p99: beyond(histogram.percentile(99)),
      max: beyond(histogram.max),
    },
    seconds,
  }
}

const SOON = 3000

/** By a save, because a touch never shortens. */
async function endSoon(user: number): Promise<void> {
  const key = keyOf(idOf(user))
  const found = await store.load(key)
  if (found === undefined) throw new Error('a session that was stored is not found')
  await store.save(key, found.text, Date.now() + SOON, found)
}

async function prune(sessions: number, expired: number): Promise<Pruning> {
  const pruned = async (): Promise<number> => (await store.prune?.()) ?? 0
  const idle = await delaysDuring(() => sleep(2000))
  const looking = await delaysDuring(pruned)
  await atOnce(0, expired, endSoon)
  await sleep(SOON)
  let removed = 0
  const removing = await delaysDuring(async () => {
    removed = await pruned()
  })
  if (removed !== expired) throw new Error(`${removed} of ${expired} expired sessions were removed`)
  return {
    sessions,
    idle: idle.delays,
    looking: looking.delays,
    lookingSeconds: looking.seconds,
    expired,
    removing: removing.delays,
    removingSeconds: removing.seconds,
  }
}

async function answerTo(question: WorkerQuestion): Promise<unknown> {
  switch (question.ask) {
    case 'floor':
      return costOf(alsApp(), '/read', [''])
    case 'fill':
      return fill(question.from, question.to)
    case 'measure':
      return measure(question.sessions)
    case 'prune':
      return prune(question.sessions, question.expired)
  }
}

process.on('message', ({ id, ...question }: WorkerQuestion & { id: number }) => {
  answerTo(question as WorkerQuestion).then(
    (result) => process.send?.({ id, result }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.({ port: 0 })
