import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { sentinelSetup, type RedisServer } from '../../support/servers/redis-server.ts'
import { until } from '../../support/servers/server-process.ts'
import { LONGEST_FAILOVER, REPLICATION_LAG, follows, isMaster, unreachable } from './replication.ts'
import { PATIENT, sleep, type Doubt, type Environment, type Fault, type Surroundings } from './environment.ts'

/** From the promotion of a replica until a sentinel that did not lead the failover says so. */
const NOTICED_WITHIN = 3000
const SETTLED_AFTER = 500

const run = promisify(execFile)

/**
 * A master, two replicas and three sentinels. Redis replicates after it has acknowledged, so a failover may take back
 * acknowledged writes; and a master that comes back from a pause answers as one until the sentinels have told it
 * otherwise. These times are noted as doubts.
 */
export async function sentinelEnvironment({ bound, random, now }: Surroundings): Promise<Environment> {
  const setup = await sentinelSetup()
  const doubts: Doubt[] = []
  let hasEnded = false
  const place = { url: `${setup.url}?prefix=checked:`, bound, deadline: 1000 }

  const sentinels = [...setup.url.matchAll(/:(\d+)/g)].map(([, port]) => port as string)

  async function master(): Promise<RedisServer> {
    const port = await setup.masterPort()
    return setup.servers.find((server) => server.port === port)!
  }

  /** Whether all sentinels agree on another master, and it knows. */
  async function isReplaced(server: RedisServer): Promise<boolean> {
    const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main']
    const answers = await Promise.all(sentinels.map((port) => run('redis-cli', ['-p', port, ...question])))
    const ports = new Set(answers.map(({ stdout }) => Number(stdout.split('\n')[1])))
    const successor = setup.servers.find(({ port }) => ports.has(port))
    if (ports.size > 1 || !successor || successor === server) return false
    return isMaster(successor)
  }

  /** Whether every other server follows the master: only then is there one that may take over with all that there is. */
  async function isWell(): Promise<boolean> {
    const acting = await master()
    const others = setup.servers.filter((server) => server !== acting)
    return (await Promise.all(others.map((server) => follows(server, acting)))).every(Boolean)
  }

  const well = (): Promise<void> => until(() => isWell().catch(unreachable), LONGEST_FAILOVER)

  /** Everybody but the sentinels and the replicas: without their connections, the sentinels take the master for dead. */
  async function killVisitors(server: RedisServer): Promise<void> {
    for (const type of ['normal', 'pubsub']) {
      const clients = (await server.cli('CLIENT', 'LIST', 'TYPE', type)).split('\n')
      const visitors = clients.filter((client) => !client.includes('name=sentinel') && !client.includes('cmd=client'))
      const ids = visitors.map((client) => /^id=(\d+)/.exec(client)?.[1]).filter((id) => id !== undefined)
      for (const id of ids) if (random.chance(0.5)) await server.cli('CLIENT', 'KILL', 'ID', id)
    }
  }

  /** Notes failovers that nobody asked for: on a busy machine the sentinels may take a slow master for a dead one. */
  async function watch(): Promise<void> {
    let known = await setup.masterPort()
    let before = now()
    while (!hasEnded) {
      await sleep(250)
      const asked = now()
      const port = await setup.masterPort()
      if (port !== known && doubts.every(({ to }) => to < Infinity)) {
        const doubt = { from: before - NOTICED_WITHIN, to: Infinity }
        doubts.push(doubt)
        await well()
        await sleep(SETTLED_AFTER)
        doubt.to = now()
      }
      known = port
      before = asked
    }
  }

  const onMaster = (name: string, weight: number, body: (server: RedisServer) => Promise<void>): Fault => ({
    name,
    weight,
    scene: 'servers',
    async run() {
      await body(await master())
    },
  })
  const onMasterReplacedSoon: typeof onMaster = (name, weight, body) =>
    onMaster(name, weight, (server) => setup.replacingSoon(() => body(server)))
  const faults: Fault[] = [
    onMaster('connections killed', 2, killVisitors),
    onMaster('master stopped for a moment', 2, async (server) => {
      await server.freeze()
      await sleep(random.between(20, 400))
      server.thaw()
    }),
    onMasterReplacedSoon('master killed, failover', 0.5, async (server) => {
      await well()
      const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
      doubts.push(doubt)
      await server.kill()
      await until(() => isReplaced(server).catch(unreachable), LONGEST_FAILOVER)
      await sleep(SETTLED_AFTER)
      doubt.to = now()
      await server.restart()
      await well()
    }),
    onMasterReplacedSoon('master stopped, failover, awake again', 0.2, async (server) => {
      await well()
      const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
      doubts.push(doubt)
      await server.freeze()
      await until(() => isReplaced(server).catch(unreachable), LONGEST_FAILOVER)
      await sleep(random.between(0, 500))
      server.thaw()
      await well()
      await sleep(SETTLED_AFTER)
      doubt.to = now()
    }),
  ]
  await well()
  const watching = watch().catch(() => {})
  return {
    kind: 'sentinel',
    bound,
    faults,
    doubts,
    direct: { ...place, deadline: PATIENT },
    placeFor: async () => place,
    calm: well,
    async stop() {
      hasEnded = true
      await setup.stop()
      await watching
    },
  }
}
