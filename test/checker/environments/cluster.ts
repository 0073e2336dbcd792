import { clusterSetup, type RedisServer } from '../../support/servers/redis-server.ts'
import { until } from '../../support/servers/server-process.ts'
import { LONGEST_FAILOVER, REPLICATION_LAG, follows, isMaster, unreachable } from './replication.ts'
import { sleep, type Doubt, type Environment, type Fault, type Surroundings } from './environment.ts'

const PREFIX = 'checked:'
const SETTLED_AFTER = 500

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
  const isActing = ({ flags }: Known): boolean => flags.includes('master') && !flags.includes('fail')

  /** A master, its replica, and somebody to ask while both are away. */
  async function pair(): Promise<{ master: RedisServer; replica: RedisServer; witness: RedisServer } | undefined> {
    const known = await view(setup.nodes[0]!)
    const master = random.oneOf(known.filter(isActing))!
    const replica = known.find(({ masterId }) => masterId === master.id)
    const witness = known.find((other) => isActing(other) && other !== master)!
    return replica && { master: serverOf(master), replica: serverOf(replica), witness: serverOf(witness) }
  }

  /** Whether all agree on who is there, and every replica has what its master has: only then may one take over. */
  async function areWell(): Promise<boolean> {
    const states = await Promise.all(setup.nodes.map((node) => node.cli('CLUSTER', 'INFO')))
    if (!states.every((state) => state.includes('cluster_state:ok'))) return false
    const views = await Promise.all(setup.nodes.map(view))
    if (
      views.some((known) => known.filter(isActing).length !== 3 || known.some(({ flags }) => flags.includes('fail')))
    ) {
      return false
    }
    const known = views[0]!
    const replicas = known.filter((one) => !isActing(one))
    const pairs = replicas.map((one) => [serverOf(one), known.find(({ id }) => id === one.masterId)] as const)
    const following = pairs.map(async ([replica, master]) => master !== undefined && follows(replica, serverOf(master)))
    return pairs.length === 3 && (await Promise.all(following)).every(Boolean)
  }

  const well = (): Promise<void> => until(() => areWell().catch(unreachable), LONGEST_FAILOVER)
  const promoted = (replica: RedisServer): Promise<void> =>
    until(() => isMaster(replica).catch(unreachable), LONGEST_FAILOVER)

  const onServers = (name: string, weight: number, run: () => Promise<void>): Fault => ({
    name,
    weight,
    scene: 'servers',
    run,
  })
  const failover = async (
    down: (master: RedisServer) => unknown,
    up: (master: RedisServer) => unknown,
  ): Promise<void> => {
    const chosen = await pair()
    if (!chosen) return
    await well()
    const doubt = { from: now() - REPLICATION_LAG, to: Infinity }
    doubts.push(doubt)
    await down(chosen.master)
    await promoted(chosen.replica)
    await sleep(random.between(0, 500))
    await up(chosen.master)
    await well()
    await sleep(SETTLED_AFTER)
    doubt.to = now()
  }
  const faults: Fault[] = [
    onServers(
      'CLIENT KILL normal',
      2,
      async () => void (await random.oneOf(setup.nodes)!.cli('CLIENT', 'KILL', 'TYPE', 'normal')),
    ),
    onServers('node stopped for a moment', 2, async () => {
      const node = random.oneOf(setup.nodes)!
      await node.freeze()
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
      await well()
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
    const to = random.oneOf(known.filter((other) => isActing(other) && other !== from))!
    const target = serverOf(to)
    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
    await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
    await sleep(random.between(0, 300))
    const keys = (await source.cli('CLUSTER', 'GETKEYSINSLOT', slot, '100')).split('\n').filter(Boolean)
    if (keys.length > 0) await source.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '2000', 'KEYS', ...keys)
    await sleep(random.between(0, 1000))
    await target.cli('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    for (const master of known.filter((other) => isActing(other) && other !== to)) {
      await serverOf(master).cli('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    }
  }

  await well()
  return {
    kind: 'cluster',
    bound: 0,
    faults,
    doubts,
    direct: place,
    placeFor: async () => place,
    calm: well,
    stop: () => setup.stop(),
  }
}
