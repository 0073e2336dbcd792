import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { WorkingCopy } from '../../src/session/working-copy.ts'
import type { Link, Listener, Store, Watch } from '../../src/store.ts'
import { placement } from '../../src/stores/placement.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { clusterProxies, type ClusterProxies } from '../support/proxies/cluster-proxies.ts'
import type { PostgresServer } from '../support/servers/postgres-server.ts'
import { redisServer, type ClusterSetup, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import type { Doubt } from './environments/environment.ts'
import { HistoryWriter, now, readHistory, record } from './history.ts'
import { misplaced, mutate, restoreScripts, type MutantName } from './mutants.ts'
import { CheckedNode } from './node.ts'
import { FaultyCable } from './proxy.ts'
import { Random } from './random.ts'
import { verify, type Verdict } from './verify.ts'
import { openStore, type StorePlace } from './worker.ts'

/** What the names of the sessions begin with. */
export const PREFIX = 'played:'
/** Nothing in a play is to be given up. */
const DEADLINE = 60_000

/** A node, and what it has heard of the others. */
export interface Player {
  readonly node: CheckedNode
  readonly store: Store
  /** Messages of saves and deletes that have come, whatever the node made of them. */
  readonly heard: () => number
  readonly link: (key?: Key) => Link
}

/** What is on every stage: two players, and a session that both have read. */
interface Stage {
  readonly a: Player
  readonly b: Player
  readonly session: Key
}

/** With Redis, player A is behind a cable and player B beside the server. */
interface RedisStage extends Stage {
  readonly cable: FaultyCable
  readonly server: RedisServer
  readonly doubts: Doubt[]
  readonly now: () => Milliseconds
}

/** On a Cluster, player A is behind a cable to each node, and player B beside them. */
interface ClusterStage extends Stage {
  readonly cluster: ClusterSetup
  readonly proxies: ClusterProxies
  readonly now: () => Milliseconds
  /** Empties all servers. */
  readonly flush: () => Promise<void>
}

/** With several servers, player A is behind a cable to each of them, lists them in another order, and player B is beside them. */
interface ShardsStage extends Stage {
  /** To the server of this session. */
  readonly cableTo: (session: Key) => FaultyCable
  readonly now: () => Milliseconds
}

export interface ShardsPlay {
  readonly protocol: 'shards'
  readonly bound: Milliseconds
  readonly oldest?: Milliseconds
  /** Whether A has not read the session before. */
  readonly isCold?: boolean
  readonly perform: (stage: ShardsStage) => Promise<void>
}

export interface ClusterPlay {
  readonly protocol: 'cluster'
  readonly bound: Milliseconds
  /** How old a read may be. Default: the bound; 0 if the play waits until the news of every write has come. */
  readonly oldest?: Milliseconds
  readonly perform: (stage: ClusterStage) => Promise<void>
}

/** Nothing stands between the players and their sessions, and time passes as the play wants it. */
export interface PlainPlay {
  readonly protocol: 'file' | 'sqlite' | 'postgres'
  readonly perform: (stage: PlainStage) => Promise<void>
}

interface PlainStage extends Stage {
  readonly clock: Clock
}

/** The clock of the players. */
class Clock {
  readonly #ahead = new AsyncLocalStorage<Milliseconds>()
  readonly #now = Date.now
  #passed: Milliseconds = 0

  start(): void {
    Date.now = () => this.#now() + this.#passed + (this.#ahead.getStore() ?? 0)
  }

  stop(): void {
    Date.now = this.#now
  }

  pass(length: Milliseconds): void {
    this.#passed += length
  }

  /** On a node whose clock is ahead. */
  ahead<Result>(length: Milliseconds, work: () => Promise<Result>): Promise<Result> {
    return this.#ahead.run(length, work)
  }
}

export interface RedisPlay {
  readonly protocol: 2 | 3
  /** The coherence bound of the stores. */
  readonly bound: Milliseconds
  /** How old a read may be. Default: the bound; 0 if the play waits until the news of every write has come. */
  readonly oldest?: Milliseconds
  readonly perform: (stage: RedisStage) => Promise<void>
}

export type Play = RedisPlay | ClusterPlay | ShardsPlay | PlainPlay

function isPlain(play: Play): play is PlainPlay {
  return !('bound' in play)
}

/** Servers that take long to start, and that plays use one after the other. */
export interface SharedServers {
  readonly cluster?: ClusterSetup
  readonly postgres?: PostgresServer
  /** Servers that know nothing of each other. */
  readonly shards?: readonly RedisServer[]
}

/**
 * Performs it on the library, or on a broken one, and judges what was seen. `shared` has the server that the play needs.
 * `audit`: which share of what the caches answer is audited.
 */
export async function perform(
  play: Play,
  mutant?: MutantName,
  { cluster, postgres, shards }: SharedServers = {},
  audit = 0,
): Promise<Verdict> {
  const directory = temporaryDirectory('session-play')
  const history = join(directory, 'history')
  mkdirSync(history)
  const origin = process.hrtime.bigint()
  const cleaning: (() => unknown)[] = [restoreScripts]

  function playerAt(place: 'A' | 'B', storePlace: Omit<StorePlace, 'deadline'>): Player {
    const store = openStore(misplaced({ ...storePlace, deadline: DEADLINE }, mutant))
    cleaning.push(() => store.close?.())
    const { overheard, heard, link } = listeningIn(store)
    const writer = new HistoryWriter(history, place, origin)
    const node = new CheckedNode(mutate(overheard, mutant), DEADLINE, place, writer, audit)
    cleaning.push(() => node.close())
    return { node, store, heard, link }
  }

  async function bothAt(places: Record<'A' | 'B', Omit<StorePlace, 'deadline'>>, isCold = false): Promise<Stage> {
    const a = playerAt('A', places.A)
    const b = playerAt('B', places.B)
    let session: Key | undefined
    // A connection that a busy machine took for a lost one may have failed it.
    await until(async () => (session = await b.node.create()) !== undefined)
    for (const player of isCold ? [b] : [a, b]) await cachedBy(player, session!)
    return { a, b, session: session! }
  }

  function urlOf(protocol: PlainPlay['protocol']): string {
    if (protocol === 'file') return `file:${join(directory, 'sessions')}`
    if (protocol === 'sqlite') return `sqlite://${join(directory, 'sessions.db')}`
    if (!postgres) throw new Error('this play needs a PostgreSQL')
    return `${postgres.url}?deadline=${DEADLINE}&pruneInterval=0`
  }

  try {
    if (isPlain(play)) {
      const place = { url: urlOf(play.protocol), bound: 0 }
      const clock = new Clock()
      clock.start()
      cleaning.push(() => clock.stop())
      await play.perform({ ...(await bothAt({ A: place, B: place })), clock })
      return verify(readHistory(history), { bound: 0, doubts: [] })
    }
    const { bound, oldest = bound } = play
    if (play.protocol === 'cluster') {
      if (!cluster) throw new Error('this play needs a Cluster')
      const proxies = await clusterProxies(cluster)
      cleaning.push(() => proxies.close())
      const url = `${cluster.url}?prefix=${PREFIX}`
      const flush = async (): Promise<void> => {
        const begun = now(origin)
        for (const master of await cluster.masters()) await master.cli('FLUSHALL')
        const flushed = { process: 'play', number: 1, kind: 'flush', session: '', outcome: 'done' } as const
        record(history, { ...flushed, begun, ended: now(origin) })
      }
      const stage = await bothAt({ A: { url, bound, natMap: proxies.natMap }, B: { url, bound } })
      await play.perform({ ...stage, cluster, proxies, now: () => now(origin), flush })
      proxies.heal()
      return verify(readHistory(history), { bound: oldest, doubts: [] })
    }
    if (play.protocol === 'shards') {
      if (!shards) throw new Error('this play needs several servers')
      const cables = shards.map(({ port }) => new FaultyCable(port, new Random(1)))
      const ports = await Promise.all(cables.map((cable) => cable.open()))
      for (const cable of cables) cleaning.push(() => cable.close())
      const names = shards.map((_, index) => `server-${index}`)
      // Rotated, so that no server has the same place in both lists.
      const rotated = <Item>(items: readonly Item[]): Item[] => [...items.slice(1), ...items.slice(0, 1)]
      const at = (portsOf: readonly number[], namesOf: readonly string[]): Omit<StorePlace, 'deadline'> => {
        const hosts = portsOf.map((port) => `127.0.0.1:${port}`)
        return { url: `redis+shards://${hosts.join()}?names=${namesOf.join()}&prefix=${PREFIX}`, bound }
      }
      const B = at(
        shards.map(({ port }) => port),
        names,
      )
      const stage = await bothAt({ A: at(rotated(ports), rotated(names)), B }, play.isCold)
      const cableOf = placement(new Map(cables.map((cable, index) => [names[index]!, cable])))
      await play.perform({ ...stage, cableTo: cableOf, now: () => now(origin) })
      for (const cable of cables) cable.heal()
      return verify(readHistory(history), { bound: oldest, doubts: [] })
    }
    const { protocol } = play
    const server = await redisServer()
    cleaning.push(() => server.stop())
    const cable = new FaultyCable(server.port, new Random(1))
    const cablePort = await cable.open()
    cleaning.push(() => cable.close())
    const at = (port: number): Omit<StorePlace, 'deadline'> => {
      return { url: `redis://127.0.0.1:${port}?protocol=${protocol}&prefix=${PREFIX}`, bound }
    }
    const doubts: Doubt[] = []
    const stage = await bothAt({ A: at(cablePort), B: at(server.port) })
    await play.perform({ ...stage, cable, server, doubts, now: () => now(origin) })
    return verify(readHistory(history), { bound: oldest, doubts })
  } finally {
    for (const clean of cleaning.toReversed()) await clean()
  }
}

/** The store, and what it tells its one listener. */
function listeningIn(store: Store): { overheard: Store } & Pick<Player, 'heard' | 'link'> {
  let messages = 0
  let watch: Watch | undefined
  return {
    heard: () => messages,
    link: (key = '') => watch!.linkOf(key),
    overheard: {
      ...store,
      ...(store.watch && {
        watch(listener: Listener) {
          watch = store.watch!({
            saved: (key, version) => (messages++, listener.saved(key, version)),
            deleted: (key) => (messages++, listener.deleted(key)),
          })
          return watch
        },
      }),
    },
  }
}

/** The session as this player sees it, once the store answers. */
export async function open({ node }: Player, session: Key): Promise<WorkingCopy> {
  let state: Awaited<ReturnType<typeof node.read>> = 'failed'
  await until(async () => (state = await node.read(session)) !== 'failed')
  if (typeof state === 'string') throw new Error(`the play needs a session; it is ${state}`)
  return state
}

/** Until the news of a write has come, so that the next read has to ask. */
export async function droppedBy({ node }: Player): Promise<void> {
  await until(() => node.diagnostics.stats.cacheSize === 0)
}

/** How often the server has been asked for a session. */
export async function readsOf(server: RedisServer): Promise<number> {
  const [, reads] = /cmdstat_get:calls=(\d+)/.exec(await server.cli('INFO', 'commandstats')) ?? []
  return Number(reads)
}

/** Until the first lease has come, nothing is cached. */
async function cachedBy({ node, store }: Player, session: Key): Promise<void> {
  // A store that can do neither is asked each time, and told what the cache knows.
  if (!store.watch && !store.isCurrent) return void (await node.read(session))
  const before = node.diagnostics.stats.hits
  await until(async () => {
    await node.read(session)
    return node.diagnostics.stats.hits > before
  })
}
