import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorkingCopy } from '../../src/session/working-copy.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { sleep, type Doubt } from './environments/environment.ts'
import { HistoryWriter, now, readHistory } from './history.ts'
import { mutate, restoreScripts, type MutantName } from './mutants.ts'
import { CheckedNode } from './node.ts'
import { FaultyCable } from './proxy.ts'
import { Random } from './random.ts'
import { verify, type Verdict } from './verify.ts'
import { openStore } from './worker.ts'

const PREFIX = 'played:'
const DEADLINE = 1000

/** What is on the stage: node A behind a cable, node B beside the server, and a session that both have read. */
interface Stage {
  readonly a: CheckedNode
  readonly b: CheckedNode
  readonly cable: FaultyCable
  readonly server: RedisServer
  readonly session: Key
  readonly bound: Milliseconds
  readonly doubts: Doubt[]
  readonly now: () => Milliseconds
}

interface Play {
  readonly protocol: 2 | 3
  readonly bound: Milliseconds
  readonly perform: (stage: Stage) => Promise<void>
}

export type PlayName = 'overtaken' | 'replica' | 'joined' | 'forgotten'

/** Schedules that chance finds too seldom: each shows one mistake for certain. */
export const PLAYS: Readonly<Record<PlayName, Play>> = {
  /** The answer to a read is under way while the session is destroyed, and the news of that arrives first. */
  overtaken: {
    protocol: 2,
    bound: 150,
    async perform({ a, b, cable, session, bound }) {
      await b.set(await open(b, session), 'a')
      await droppedBy(a)
      cable.delayFirst(80, { exactly: true })
      const reading = a.read(session)
      await sleep(30)
      await b.destroy(await open(b, session))
      await reading
      cable.heal()
      for (let reads = 0; reads < 20; reads++) {
        await sleep(bound / 10)
        await a.read(session)
      }
    },
  },
  /** A request has read its session; when it commits, the server has become a replica that has not got it. */
  replica: {
    protocol: 3,
    bound: 300,
    async perform({ a, server, session }) {
      const state = await open(a, session)
      const dump = await server.cli('GET', PREFIX + session)
      await server.cli('DEL', PREFIX + session)
      await server.cli('REPLICAOF', '127.0.0.1', '1')
      await a.set(state, 'a')
      await server.cli('REPLICAOF', 'NO', 'ONE')
      await server.cli('SET', PREFIX + session, dump)
    },
  },
  /** A read waits for a slow answer; another one, long after a write, must not be given the same answer. */
  joined: {
    protocol: 3,
    bound: 100,
    async perform({ a, b, cable, session, bound }) {
      await b.set(await open(b, session), 'a')
      await droppedBy(a)
      cable.delay(330, { exactly: true }) // shorter than the silence after which A would give up
      const first = a.read(session)
      await sleep(50)
      await b.set(await open(b, session), 'a')
      await sleep(bound * 2)
      await Promise.all([first, a.read(session)])
    },
  },
  /** The server forgets a version (a failover), and the next one has another content. Nobody may take it for the first. */
  forgotten: {
    protocol: 3,
    bound: 100,
    async perform({ a, b, server, session, doubts, now: moment }) {
      const before = await server.cli('GET', PREFIX + session)
      const from = moment()
      await a.set(await open(a, session), 'a')
      const state = await open(a, session)
      await server.cli('SET', PREFIX + session, before)
      await server.cli('DEL', `${PREFIX}epoch`)
      doubts.push({ from, to: moment() })
      await sleep(250)
      await b.set(await open(b, session), 'b')
      await a.set(state, 'c')
      await a.read(session)
    },
  },
}

/** Performs it on the library, or on a broken one, and judges what was seen. */
export async function perform(name: PlayName, mutant?: MutantName): Promise<Verdict> {
  const { protocol, bound, perform: act } = PLAYS[name]
  const directory = mkdtempSync(join(tmpdir(), 'session-play-'))
  const origin = process.hrtime.bigint()
  const doubts: Doubt[] = []
  const cleaning: (() => unknown)[] = [restoreScripts, () => rmSync(directory, { recursive: true })]
  try {
    const server = await redisServer()
    cleaning.push(() => server.stop())
    const cable = new FaultyCable(server.port, new Random(1))
    const ports = { A: await cable.open(), B: server.port }
    cleaning.push(() => cable.close())

    function nodeAt(place: 'A' | 'B'): CheckedNode {
      const url = `redis://127.0.0.1:${ports[place]}?protocol=${protocol}&prefix=${PREFIX}`
      const store = openStore({ url, bound, deadline: DEADLINE })
      cleaning.push(() => store.close?.())
      const node = new CheckedNode(mutate(store, mutant), DEADLINE, place, new HistoryWriter(directory, place, origin))
      cleaning.push(() => node.close())
      return node
    }
    const a = nodeAt('A')
    const b = nodeAt('B')
    const session = (await b.create()) as Key
    for (const node of [a, b]) await cachedBy(node, session)
    await act({ a, b, cable, server, session, bound, doubts, now: () => now(origin) })
    return verify(readHistory(directory), { bound, doubts })
  } finally {
    for (const clean of cleaning.toReversed()) await clean()
  }
}

async function open(node: CheckedNode, session: Key): Promise<WorkingCopy> {
  const state = await node.read(session)
  if (typeof state === 'string') throw new Error(`the play needs a session; it is ${state}`)
  return state
}

/** Until the news of a write has come, so that the next read has to ask. */
async function droppedBy(node: CheckedNode): Promise<void> {
  await until(() => node.diagnostics.stats.cacheSize === 0)
}

/** Until the first lease has come, nothing is cached. */
async function cachedBy(node: CheckedNode, session: Key): Promise<void> {
  const before = node.diagnostics.stats.hits
  await until(async () => {
    await node.read(session)
    return node.diagnostics.stats.hits > before
  })
}
