import { redisServer } from '../../support/servers/redis-server.ts'
import { FaultyCable } from '../proxy.ts'
import type { StorePlace } from '../worker.ts'
import { cableFaults, onEach } from './cable-faults.ts'
import { PATIENT, sleep, type Environment, type Fault, type Surroundings } from './environment.ts'

const DEADLINE = 1000
const PREFIX = 'checked:'

/** One server that syncs every write to its disk, and a faulty cable from each worker to it. */
export async function redisEnvironment(protocol: 2 | 3, surroundings: Surroundings): Promise<Environment> {
  const { bound, random, workers } = surroundings
  const server = await redisServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const cables = Array.from({ length: workers }, () => new FaultyCable(server.port, random))
  const ports = await Promise.all(cables.map((cable) => cable.open()))
  const place = (port: number): StorePlace => ({
    url: `redis://127.0.0.1:${port}?protocol=${protocol}&prefix=${PREFIX}`,
    bound,
    deadline: DEADLINE,
  })

  const onServer = (name: string, weight: number, run: Fault['run']): Fault => ({ name, weight, scene: 'server', run })
  const struck = cables.map((cable, index) => ({ cable, scene: `cable ${index}`, share: 1 / workers }))
  const faults: Fault[] = [
    onServer('CLIENT KILL normal', 1, async () => void (await server.cli('CLIENT', 'KILL', 'TYPE', 'normal'))),
    onServer('CLIENT KILL pubsub', 1.5, async () => void (await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'))),
    onServer('SCRIPT FLUSH', 0.3, async () => void (await server.cli('SCRIPT', 'FLUSH'))),
    onServer('server stopped', 1.5, async () => {
      await server.freeze()
      await sleep(random.between(20, bound * 3))
      server.thaw()
    }),
    onServer('server killed', 0.7, async () => {
      await server.kill()
      await sleep(random.between(0, 300))
      await server.restart()
    }),
    onServer('FLUSHALL', 0.3, async () => {
      const flushed = surroundings.flushing()
      await server.cli('FLUSHALL')
      flushed()
    }),
    ...cableFaults(struck, random, {
      weights: { hole: 2, oneConnection: 3, delay: 2, cut: 1 },
      longestHole: bound * 5,
      longDelay: 900,
    }),
    ...onEach(struck, 'delayed data', protocol === 2 ? 1 : 0, async (cable) => {
      // Only the answers, while the messages come over another connection at once.
      cable.delayFirst(random.between(20, bound / 2))
      await sleep(random.between(200, 1500))
    }),
  ]
  return {
    kind: protocol === 3 ? 'redis' : 'redis2',
    bound,
    faults,
    doubts: [],
    direct: { ...place(server.port), deadline: PATIENT },
    placeFor: async (worker) => place(ports[worker] as number),
    async calm() {
      for (const cable of cables) cable.heal()
      await server.cli('PING')
    },
    async stop() {
      await Promise.all(cables.map((cable) => cable.close()))
      await server.stop()
    },
  }
}
