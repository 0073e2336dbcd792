import { BusProxy } from '../../support/proxies/bus-proxy.ts'
import { clusterSetup, type RedisServer } from '../../support/servers/redis-server.ts'
import { until } from '../../support/servers/server-process.ts'
import { slotMove } from '../../support/servers/slot-move.ts'
import { FaultyCable } from '../proxy.ts'
import { LONGEST_FAILOVER, REPLICATION_LAG, follows, isMaster, unreachable } from './replication.ts'
import { cableFaults } from './cable-faults.ts'
import { PATIENT, sleep, type Doubt, type Environment, type Fault, type Surroundings } from './environment.ts'

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
 * Three masters with a replica each, and a faulty cable from each worker to each of them. Around a failover Redis may
 * take back acknowledged writes, or answer from a master that has not heard of its successor. Those are doubts.
 */
export async function clusterEnvironment(surroundings: Surroundings): Promise<Environment> {
  const { bound, random, now, live, workers } = surroundings
  /** By the port that each server announces. */
  const buses = new Map<number, BusProxy>()
  const setup = await clusterSetup(async (busPort) => {
    const bus = new BusProxy()
    const announced = await bus.open(busPort)
    buses.set(announced, bus)
    return announced
  })
  const doubts: Doubt[] = []
  const direct = { url: `${setup.url}?prefix=${PREFIX}`, bound, deadline: PATIENT }
  const cables = Array.from({ length: workers }, () => setup.nodes.map(({ port }) => new FaultyCable(port, random)))
  const natMaps = await Promise.all(
    cables.map(async (ofWorker) => {
      const ports = await Promise.all(ofWorker.map((cable) => cable.open()))
      return Object.fromEntries(
        setup.nodes.map(({ port }, index) => [`127.0.0.1:${port}`, { host: '127.0.0.1', port: ports[index]! }]),
      )
    }),
  )

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
    const master = random.oneOf(known.filter(isActing))
    const replica = known.find(({ masterId }) => masterId === master?.id)
    const witness = known.find((other) => isActing(other) && other !== master)
    // On a busy machine the servers may take each other for dead for a moment.
    if (!master || !replica || !witness) return undefined
    return { master: serverOf(master), replica: serverOf(replica), witness: serverOf(witness) }
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

  /** From now on the servers of either side hear nothing of those of the other one. */
  async function part(here: readonly RedisServer[], there?: readonly RedisServer[]): Promise<void> {
    const facts = new Map<RedisServer, { id: string; bus: BusProxy }>()
    for (const node of setup.nodes) {
      const self = (await node.cli('CLUSTER', 'NODES')).split('\n').find((line) => line.includes('myself'))!
      const [, id, busPort] = /^(\w+) \S+@(\d+)/.exec(self)!
      facts.set(node, { id: id!, bus: buses.get(Number(busPort))! })
    }
    const others = there ?? setup.nodes.filter((node) => !here.includes(node))
    for (const [side, away] of [
      [here, others],
      [others, here],
    ] as const) {
      const ids = new Set(away.map((node) => facts.get(node)!.id))
      for (const node of side) facts.get(node)!.bus.cutOff((id) => ids.has(id))
    }
  }

  const mend = (): void => buses.forEach((bus) => bus.heal())

  const onServers = (name: string, weight: number, run: () => Promise<void>): Fault => ({
    name,
    weight,
    scene: 'servers',
    run,
  })
  const onReplacingServers: typeof onServers = (name, weight, run) =>
    onServers(name, weight, () => setup.replacingSoon(run))
  const share = 1 / (workers * setup.nodes.length)
  const struck = cables.flatMap((ofWorker, index) =>
    ofWorker.map((cable) => ({ cable, scene: `cables ${index}`, share })),
  )
  const failover = async (
    down: (master: RedisServer) => unknown,
    up: (master: RedisServer) => unknown,
    before?: (master: RedisServer) => Promise<void>,
  ): Promise<void> => {
    const chosen = await pair()
    if (!chosen) return
    await well()
    await before?.(chosen.master)
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
    onServers('slot of a session in use moved and moved back', 2, async () => {
      const session = random.oneOf(live())
      if (!session) return
      const source = await setup.masterOf(PREFIX + session)
      await move(PREFIX + session)
      await sleep(random.between(0, 500))
      await move(PREFIX + session, source)
    }),
    onServers('slot of a session in use half moved for a while', 1, async () => {
      const session = random.oneOf(live())
      if (!session) return
      const half = await slotMove(setup, PREFIX + session)
      await half.open()
      await half.carry()
      // Longer than any lease lasts: what is shorter than that, nobody can notice.
      await sleep(bound + random.between(100, 600))
      // Redis takes nothing back: a server whose slot is on the way out refuses what it is sent of it (ASK).
      await half.close()
    }),
    onServers('FLUSHALL', 0.3, async () => {
      await well()
      const flushed = surroundings.flushing()
      for (const master of await setup.masters()) await master.cli('FLUSHALL')
      flushed()
    }),
    ...cableFaults(struck, random, {
      weights: { hole: 2, oneConnection: 3, delay: 1, cut: 1 },
      longestHole: bound * 5,
      longDelay: 600,
    }),
    onReplacingServers('CLUSTER FAILOVER', 1, async () => {
      const chosen = await pair()
      if (!chosen) return
      await chosen.replica.cli('CLUSTER', 'FAILOVER')
      await promoted(chosen.replica)
      await well()
    }),
    onReplacingServers('master killed, failover', 0.7, () =>
      failover(
        (master) => master.kill(),
        (master) => master.restart(),
      ),
    ),
    onReplacingServers('master stopped, failover, awake again', 0.7, () =>
      failover(
        (master) => master.freeze(),
        (master) => master.thaw(),
      ),
    ),
    onReplacingServers('master killed, failover, back with old data', 0.7, () =>
      failover(
        (master) => master.kill(),
        (master) => master.restart(),
        async (master) => {
          await master.cli('SAVE')
          await sleep(random.between(300, 1500))
        },
      ),
    ),
    onReplacingServers('master cut off from all others, failover', 0.7, () =>
      failover((master) => part([master]), mend),
    ),
    onReplacingServers('master and replica cut off, and heard again', 0.7, async () => {
      const chosen = await pair()
      if (!chosen) return
      await well()
      // Nobody may take over: the minority has no votes, and the majority no replica. Its sessions cannot be reached.
      await part([chosen.master, chosen.replica])
      await sleep(random.between(200, 3000))
      mend()
      await well()
    }),
    onReplacingServers('master cut off from one other master', 1, async () => {
      const chosen = await pair()
      if (!chosen) return
      await well()
      await part([chosen.master], [chosen.witness])
      await sleep(random.between(200, 3000))
      mend()
      await well()
    }),
    onServers('master added, given slots of sessions in use, and taken away', 0.7, async () => {
      await well()
      const added = await setup.add()
      const moved: (readonly [key: string, source: RedisServer])[] = []
      for (const session of live()) {
        const key = PREFIX + session
        const source = await setup.masterOf(key)
        if (source === added) continue
        moved.push([key, source])
        await move(key, added)
      }
      await sleep(random.between(0, 1000))
      for (const [key, source] of moved) await move(key, source)
      await setup.remove(added)
      await well()
    }),
  ]

  /** Moves the slot, and leaves it in between for a while: the key on its new server, the slot not. */
  async function move(key: string, target?: RedisServer): Promise<void> {
    const step = await slotMove(setup, key, target ?? random.oneOf(await otherMasters(key)))
    await step.open()
    await sleep(random.between(0, 300))
    await step.carry()
    await sleep(random.between(0, 1000))
    await step.close()
  }

  async function otherMasters(key: string): Promise<RedisServer[]> {
    const owner = await setup.masterOf(key)
    return (await setup.masters()).filter((master) => master !== owner)
  }

  await well()
  return {
    kind: 'cluster',
    bound,
    faults,
    doubts,
    direct,
    placeFor: async (worker) => ({ ...direct, deadline: 1000, natMap: natMaps[worker]! }),
    async calm() {
      for (const cable of cables.flat()) cable.heal()
      mend()
      await well()
    },
    async stop() {
      await Promise.all(cables.flat().map((cable) => cable.close()))
      await setup.stop()
      await Promise.all([...buses.values()].map((bus) => bus.close()))
    },
  }
}
