import { sentinelSetup, until, type RedisServer } from '../../support/redis-server.ts'
import { sleep, type Doubt, type Environment, type Fault, type Surroundings } from './environment.ts'

/** What was acknowledged so shortly before a failover may not have reached the replica. */
const REPLICATION_LAG = 200
const SETTLED_AFTER = 500
const LONGEST_FAILOVER = 40_000

/**
 * A master, a replica and three sentinels. Redis replicates after it has acknowledged, so a failover may take back
 * acknowledged writes; and a master that comes back from a pause answers as one until the sentinels have told it
 * otherwise. These times are noted as doubts.
 */
export async function sentinelEnvironment({ bound, random, now }: Surroundings): Promise<Environment> {
  const setup = await sentinelSetup()
  const doubts: Doubt[] = []
  const place = { url: `${setup.url}?prefix=checked:`, bound, deadline: 1000 }

  async function roles(): Promise<{ master: RedisServer; replica: RedisServer }> {
    const port = await setup.masterPort()
    const [one, other] = setup.servers
    return one.port === port ? { master: one, replica: other } : { master: other, replica: one }
  }

  async function isPromoted(server: RedisServer): Promise<boolean> {
    const answers = await Promise.all(
      setup.sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main')),
    )
    if (!answers.every((answer) => answer.endsWith(`\n${server.port}`))) return false
    return (await server.cli('INFO', 'replication')).includes('role:master')
  }

  async function isReplica(server: RedisServer): Promise<boolean> {
    const facts = await server.cli('INFO', 'replication')
    return facts.includes('role:slave') && facts.includes('master_link_status:up')
  }

  const onMaster = (name: string, weight: number, run: (master: RedisServer, replica: RedisServer) => Promise<void>): Fault => ({
    name,
    weight,
    scene: 'servers',
    async run() {
      const { master, replica } = await roles()
      await run(master, replica)
    },
  })
  const faults: Fault[] = [
    onMaster('CLIENT KILL normal', 1, async (master) => void (await master.cli('CLIENT', 'KILL', 'TYPE', 'normal'))),
    onMaster('CLIENT KILL pubsub', 2, async (master) => void (await master.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'))),
    onMaster('master stopped for a moment', 2, async (master) => {
      master.freeze()
      await sleep(random.between(20, 400))
      master.thaw()
    }),
    onMaster('master killed, failover', 1, async (master, replica) => {
      const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
      doubts.push(doubt)
      await master.kill()
      await until(() => isPromoted(replica), LONGEST_FAILOVER)
      await sleep(SETTLED_AFTER)
      doubt.to = now()
      await master.restart()
      await until(() => isReplica(master), LONGEST_FAILOVER)
    }),
    onMaster('master stopped, failover, awake again', 0.5, async (master, replica) => {
      const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
      doubts.push(doubt)
      master.freeze()
      await until(() => isPromoted(replica), LONGEST_FAILOVER)
      await sleep(random.between(0, 500))
      master.thaw()
      await until(() => isReplica(master), LONGEST_FAILOVER)
      await sleep(SETTLED_AFTER)
      doubt.to = now()
    }),
  ]
  return {
    kind: 'sentinel',
    bound,
    faults,
    doubts,
    direct: place,
    placeFor: async () => place,
    async calm() {
      const { replica } = await roles()
      await until(() => isReplica(replica), LONGEST_FAILOVER)
    },
    stop: () => setup.stop(),
  }
}
