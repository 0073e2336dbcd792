import { redisServer, type RedisServer } from '../../support/servers/redis-server.ts'
import { until } from '../../support/servers/server-process.ts'
import { FaultyCable } from '../proxy.ts'
import type { StorePlace } from '../worker.ts'
import { cableFaults } from './cable-faults.ts'
import { PATIENT, sleep, type Environment, type Fault, type Surroundings } from './environment.ts'

const DEADLINE = 1000
const NAMES = ['one', 'two', 'three']
/** While the list changes: the last server comes, and the first one goes. */
const BEFORE = NAMES.slice(0, 2)
const AFTER = NAMES.slice(1)

/**
 * Three servers that know nothing of each other and sync every write to their disks, and a faulty cable from each worker
 * to each of them. A worker knows the servers by other addresses and in another order than the next one.
 *
 * `kind` resharding: the list of servers changes. Every second worker is still of the first of two deploys, and moves
 * nothing.
 */
export async function shardsEnvironment(
  kind: 'shards' | 'resharding',
  surroundings: Surroundings,
): Promise<Environment> {
  const { bound, random, workers } = surroundings
  const servers = await Promise.all(
    NAMES.map(() => redisServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })),
  )
  const cables = Array.from({ length: workers }, () => servers.map(({ port }) => new FaultyCable(port, random)))
  const ports = await Promise.all(cables.map((ofWorker) => Promise.all(ofWorker.map((cable) => cable.open()))))

  /** The servers as a worker knows them. */
  function place(portsOf: readonly number[], worker = 0): StorePlace {
    const list = (names: readonly string[]): string => {
      const order = names.map((_, index) => names[(worker + index) % names.length] as string)
      const hosts = order.map((name) => `127.0.0.1:${portsOf[NAMES.indexOf(name)]}`)
      return `redis+shards://${hosts.join()}?names=${order.join()}`
    }
    if (kind === 'shards') return { url: list(NAMES), bound, deadline: DEADLINE }
    const writesTo = worker % 2 === 0 ? 'to' : 'from'
    return { url: list(AFTER), from: list(BEFORE), writesTo, bound, deadline: DEADLINE }
  }

  const onServers = (name: string, weight: number, run: (server: RedisServer) => Promise<unknown>): Fault[] =>
    servers.map((server, index) => ({
      name,
      weight: weight / servers.length,
      scene: `server ${index}`,
      run: async () => void (await run(server)),
    }))
  const share = 1 / (workers * servers.length)
  const struck = cables.flatMap((ofWorker, worker) =>
    ofWorker.map((cable, index) => ({ cable, scene: `cable ${worker} ${index}`, share })),
  )
  const faults: Fault[] = [
    ...onServers('CLIENT KILL normal', 1, (server) => server.cli('CLIENT', 'KILL', 'TYPE', 'normal')),
    ...onServers('CLIENT KILL pubsub', 1.5, (server) => server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')),
    ...onServers('server stopped', 3, async (server) => {
      await server.freeze()
      await sleep(random.between(20, bound * 5))
      server.thaw()
    }),
    ...onServers('server killed', 2, async (server) => {
      await server.kill()
      await sleep(random.between(0, 1500))
      await server.restart()
    }),
    ...cableFaults(struck, random, {
      weights: { hole: 3, oneConnection: 3, delay: 2, cut: 1 },
      longestHole: bound * 5,
      longDelay: 900,
    }),
  ]
  return {
    kind,
    bound,
    faults,
    doubts: [],
    direct: { ...place(servers.map(({ port }) => port)), deadline: PATIENT },
    placeFor: async (worker) => place(ports[worker] as number[], worker),
    async calm() {
      for (const cable of cables.flat()) cable.heal()
      await until(async () =>
        (await Promise.all(servers.map((server) => server.cli('PING')))).every((it) => it === 'PONG'),
      )
    },
    async stop() {
      await Promise.all(cables.flat().map((cable) => cable.close()))
      await Promise.all(servers.map((server) => server.stop()))
    },
  }
}
