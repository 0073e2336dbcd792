import { clusterSetup, until, type RedisServer } from '../../support/redis-server.ts'
import { sleep, type Doubt, type Environment, type Fault, type Surroundings } from './environment.ts'

const PREFIX = 'checked:'
/** What was acknowledged so shortly before a failover may not have reached the replica. */
const REPLICATION_LAG = 200
const SETTLED_AFTER = 500
const LONGEST_FAILOVER = 40_000

/** What one node knows of another one. */
interface Known {
  readonly id: string
  readonly port: number
  readonly flags: string
  readonly masterId: string
}

/**
 * Three masters with a replica each. Nothing is cached there, so the bound is 0: except around a failover, where Redis
 * may take back acknowledged writes, or answer from a master that has not heard of its successor. Those are doubts.
 */
export async function clusterEnvironment({ random, now, live }: Surroundings): Promise<Environment> {
  const setup = await clusterSetup()
  const doubts: Doubt[] = []
  const place = { url: `${setup.url}?prefix=${PREFIX}`, bound: 1000, deadline: 1000 }

  async function view(node: RedisServer): Promise<Known[]> {
    const lines = (await node.cli('CLUSTER', 'NODES')).split('\n').map((line) => line.split(' '))
    return lines.map(([id = '', address = '', flags = '', masterId = '']) => ({
      id,
      flags,
      masterId,
      port: Number(/:(\d+)@/.exec(address)?.[1]),
    }))
  }

  const serverOf = ({ port }: Known): RedisServer => setup.nodes.find((node) => node.port === port)!
  const isMaster = ({ flags }: Known): boolean => flags.includes('master') && !flags.includes('fail')

  /** A master, its replica, and somebody to ask while both are away. */
  async function pair(): Promise<{ master: RedisServer; replica: RedisServer; witness: RedisServer } | undefined> {
    const known = await view(setup.nodes[0]!)
    const master = random.oneOf(known.filter(isMaster))!
    const replica = known.find(({ masterId }) => masterId === master.id)
    const witness = known.find((other) => isMaster(other) && other !== master)!
    return replica && { master: serverOf(master), replica: serverOf(replica), witness: serverOf(witness) }
  }

  async function areWell(): Promise<boolean> {
    const states = await Promise.all(setup.nodes.map((node) => node.cli('CLUSTER', 'INFO')))
    const roles = await Promise.all(setup.nodes.map((node) => node.cli('INFO', 'replication')))
    const views = await Promise.all(setup.nodes.map(view))
    return (
      states.every((state) => state.includes('cluster_state:ok')) &&
      roles.every((role) => role.includes('role:master') || role.includes('master_link_status:up')) &&
      views.every((known) => known.filter(isMaster).length === 3 && known.every(({ flags }) => !flags.includes('fail')))
    )
  }

  const promoted = (replica: RedisServer): Promise<void> =>
    until(async () => (await replica.cli('INFO', 'replication')).includes('role:master'), LONGEST_FAILOVER)

  const onServers = (name: string, weight: number, run: () => Promise<void>): Fault => ({ name, weight, scene: 'servers', run })
  const failover = async (down: (master: RedisServer) => unknown, up: (master: RedisServer) => unknown): Promise<void> => {
    const chosen = await pair()
    if (!chosen) return
    const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
    doubts.push(doubt)
    await down(chosen.master)
    await promoted(chosen.replica)
    await sleep(random.between(0, 500))
    await up(chosen.master)
    await until(areWell, LONGEST_FAILOVER)
    await sleep(SETTLED_AFTER)
    doubt.to = now()
  }
  const faults: Fault[] = [
    onServers('CLIENT KILL normal', 2, async () => void (await random.oneOf(setup.nodes)!.cli('CLIENT', 'KILL', 'TYPE', 'normal'))),
    onServers('node stopped for a moment', 2, async () => {
      const node = random.oneOf(setup.nodes)!
      node.freeze()
      await sleep(random.between(20, 500))
      node.thaw()
    }),
    onServers('slot of a session in use moved', 4, async () => {
      const session = random.oneOf(live())
      if (session) await move(PREFIX + session)
    }),
    onServers('CLUSTER FAILOVER', 1, async () => {
      const chosen = await pair()
      if (!chosen) return
      await chosen.replica.cli('CLUSTER', 'FAILOVER')
      await promoted(chosen.replica)
      await until(areWell, LONGEST_FAILOVER)
    }),
    onServers('master killed, failover', 0.7, () =>
      failover(
        (master) => master.kill(),
        (master) => master.restart(),
      ),
    ),
    onServers('master stopped, failover, awake again', 0.7, () =>
      failover(
        (master) => master.freeze(),
        (master) => master.thaw(),
      ),
    ),
  ]

  /** Moves the slot, and leaves it in between for a while: the key on its new server, the slot not. */
  async function move(key: string): Promise<void> {
    const source = await setup.masterOf(key)
    const slot = await source.cli('CLUSTER', 'KEYSLOT', key)
    const known = await view(source)
    const from = known.find(({ port }) => port === source.port)!
    const to = random.oneOf(known.filter((other) => isMaster(other) && other !== from))!
    const target = serverOf(to)
    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
    await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
    await sleep(random.between(0, 300))
    const keys = (await source.cli('CLUSTER', 'GETKEYSINSLOT', slot, '100')).split('\n').filter(Boolean)
    if (keys.length > 0) await source.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '2000', 'KEYS', ...keys)
    await sleep(random.between(0, 1000))
    await target.cli('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    for (const master of known.filter((other) => isMaster(other) && other !== to)) {
      await serverOf(master).cli('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    }
  }

  return {
    kind: 'cluster',
    bound: 0,
    faults,
    doubts,
    direct: place,
    placeFor: async () => place,
    calm: () => until(areWell, LONGEST_FAILOVER),
    stop: () => setup.stop(),
  }
}
