import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { fileStore } from '../../src/stores/file.ts'
import { redisShards } from '../../src/stores/redis-shards.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import type { Store } from '../../src/store.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { HistoryWriter } from './history.ts'
import { misplaced, mutate, type MutantName } from './mutants.ts'
import { CheckedNode } from './node.ts'
import { Random } from './random.ts'

/** Where a worker's sessions are. */
export interface StorePlace {
  /** `file:`, a URL of `redisStore` or `redisShards`, or that of an SQL store. */
  readonly url: string
  /** The coherence bound, where there is one. */
  readonly bound: Milliseconds
  readonly deadline: Milliseconds
  /** Of `redisShards`: the servers before, while the list changes, and where new sessions are made. */
  readonly from?: string
  readonly writesTo?: 'from' | 'to'
  /** On a Cluster: how each node is reached, by the address that it announces. */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>>
}

/** What a worker is told when it starts. */
export interface WorkerSettings {
  /** Its place among the workers and how often that place has been filled, such as `2.0`. */
  readonly name: string
  readonly seed: number
  readonly origin: string
  readonly directory: string
  readonly lanes: number
  readonly place: StorePlace
  readonly mutant: MutantName | undefined
  /** How much its clock is ahead of the others'. */
  readonly ahead: Milliseconds
}

export type ToWorker =
  | { readonly slots: readonly (Key | undefined)[]; readonly retired: readonly Key[] }
  | { readonly stop: true }

/** A session to be used by all instead of another one. */
export interface Replacement {
  readonly slot: number
  readonly replaced: Key | undefined
  readonly session: Key
}

/** `done`: how many operations were acknowledged since the last such message. */
export type FromWorker = Replacement | { readonly done: number }

const NAMES = ['a', 'b', 'c', 'd', 'nested1', 'nested2']
const VISITORS = 3
/** Which share of what the cache answers is audited. */
const AUDIT = 0.1
const PRUNE_EVERY: Milliseconds = 700
const MINUTE: Milliseconds = 60_000
const USERS = ['ada', 'eve']
const CARRIED = [...NAMES, 'origin', 'counter']
/** The idle timeout of sessions that live for longer in one request, and for how long that is under way. */
const SHORT_IDLE: Milliseconds = 30_000
const LONG: Milliseconds = 50_000

export function openStore({ url, from, writesTo = 'to', bound, deadline, natMap }: StorePlace): Store {
  if (url.startsWith('file:')) return fileStore({ directory: url.slice('file:'.length), pruneInterval: 0 })
  // Their deadline stands in the URL, and their bound is always 0.
  if (/^(?:postgres|sqlite):/.test(url)) return storeFromUrl(url)
  const options = { coherence: { bound }, deadline }
  if (url.startsWith('redis+shards:'))
    return redisShards(url, from === undefined ? options : { ...options, from, writesTo })
  if (!natMap) return redisStore(url, options)
  const client = new Cluster(Object.values(natMap), { natMap, lazyConnect: true })
  return redisStore(client, { ...options, prefix: new URLSearchParams(url.split('?')[1]).get('prefix')! })
}

async function main({ name, seed, origin, directory, lanes, place, mutant, ahead }: WorkerSettings): Promise<void> {
  const here = Date.now
  if (ahead > 0) Date.now = () => here() + ahead
  const store = openStore(misplaced(place, mutant))
  const history = new HistoryWriter(directory, name, BigInt(origin))
  const node = new CheckedNode(mutate(store, mutant), place.deadline, name, history, AUDIT)
  let slots: (Key | undefined)[] = []
  let retired: Key[] = []
  let isStopping = false

  function announce(slot: number, session: Key): void {
    const replaced = slots[slot]
    slots[slot] = session
    if (replaced) retired = [...retired.slice(-11), replaced]
    process.send?.({ slot, replaced, session } satisfies FromWorker)
  }

  async function fill(slot: number): Promise<void> {
    const session = await node.create({ user: USERS[slot] })
    if (session) announce(slot, session)
  }

  /** One request after the other. */
  async function lane(random: Random): Promise<void> {
    while (!isStopping) {
      const slot = Math.floor(random.next() * slots.length)
      const current = slots[slot]
      const session = random.chance(0.3) ? random.oneOf(retired) : current
      if (session) await request(session, session === current ? slot : undefined, random)
      else if (!current) await fill(slot)
      await pause(random.chance(0.3) ? 0 : random.between(0, 4))
    }
  }

  /** `slot`: the place that this session holds, so that somebody takes it over when the session ends. */
  async function request(session: Key, slot: number | undefined, random: Random): Promise<void> {
    if (random.chance(0.02)) return node.list(random.oneOf(USERS) as string)
    if (random.chance(0.001)) return node.revokeAll(random.oneOf(USERS) as string)
    if (random.chance(0.04)) return node.touch(session, random.between(10 * MINUTE, 60 * MINUTE))
    const state = await node.read(session)
    if (state === 'failed') return pause(random.between(5, 40))
    if (state === 'absent') {
      if (slot === undefined && random.chance(0.1)) await node.signIn(session, CARRIED)
      if (slot !== undefined && slots[slot] === session && random.chance(0.2)) await fill(slot)
      return
    }
    // The longer a request takes, the more has changed when it commits.
    if (random.chance(0.4)) await pause(random.chance(0.8) ? random.between(0, 5) : random.between(5, 60))
    const action = random.next()
    if (action < 0.55) node.touchIfDue(state)
    else if (action < 0.8) await node.set(state, random.oneOf(NAMES) as string)
    else if (action < 0.86) await node.delete(state, random.oneOf(NAMES) as string)
    else if (action < 0.975) await node.increment(state)
    else if (action < 0.987) {
      const heir = await node.regenerate(state)
      if (heir && slot !== undefined && slots[slot] === session) announce(slot, heir)
    } else {
      const isDestroyed = await node.destroy(state)
      if (isDestroyed && slot !== undefined && slots[slot] === session) await fill(slot)
    }
  }

  /** Reads one session again and again for as long as it lives, and so notices when it lives too long. */
  async function visitor(random: Random): Promise<void> {
    while (!isStopping) {
      const session = random.oneOf(random.chance(0.7) ? slots : retired)
      const until = performance.now() + random.between(200, 2500)
      while (session && !isStopping && performance.now() < until) {
        const state = await node.read(session)
        if (typeof state === 'string') break
        node.touchIfDue(state)
        await pause(random.between(0, 8))
      }
      await pause(random.between(5, 20))
    }
  }

  /** Requests that last for longer than the session would live without them. */
  async function longRequests(random: Random): Promise<void> {
    while (!isStopping) {
      const session = await node.create({ idle: SHORT_IDLE })
      const state = session === undefined ? 'failed' : await node.read(session)
      const until = performance.now() + LONG
      while (typeof state === 'object' && !isStopping && performance.now() < until) {
        node.touchIfDue(state)
        await pause(250)
      }
      if (typeof state === 'object') {
        await node.set(state, random.oneOf(NAMES) as string)
        await node.destroy(state)
      } else await pause(250)
    }
  }

  /** One after the other: on a database, it is many statements. */
  async function pruneAgainAndAgain(): Promise<void> {
    while (!isStopping) {
      await sleep(PRUNE_EVERY, undefined, { ref: false })
      await store.prune?.().catch(() => {})
    }
  }

  let told = 0
  const reporting = setInterval(() => {
    node.report()
    process.send?.({ done: history.done - told } satisfies FromWorker)
    told = history.done
  }, 250)
  process.on('message', (message: ToWorker) => {
    if ('stop' in message) isStopping = true
    else {
      slots = [...message.slots]
      retired = [...message.retired]
    }
  })
  await new Promise<void>((resolve) => process.once('message', () => resolve()))
  void pruneAgainAndAgain()
  await Promise.all([
    ...Array.from({ length: lanes }, (_, index) => lane(new Random(seed + index))),
    ...Array.from({ length: VISITORS }, (_, index) => visitor(new Random(seed + lanes + index))),
    longRequests(new Random(seed + lanes + VISITORS)),
  ])
  clearInterval(reporting)
  await node.close()
  node.report()
  await store.close?.()
  process.disconnect?.()
}

function pause(length: Milliseconds): Promise<void> {
  return new Promise((resolve) => (length === 0 ? setImmediate(resolve) : setTimeout(resolve, length)))
}

if (process.argv[1] === import.meta.filename) {
  // Whoever started it is gone: nobody would ever end it.
  process.on('disconnect', () => setTimeout(() => process.exit(), 3000).unref())
  await main(JSON.parse(process.argv[2] as string) as WorkerSettings)
}
