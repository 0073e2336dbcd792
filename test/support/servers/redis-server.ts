import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../temporary-directory.ts'
import { redisCli } from './redis-cli.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer, until, type ServerProcess } from './server-process.ts'

const run = promisify(execFile)

export const requires: Requirement = { commands: ['redis-server'], debianPackage: 'redis-server' }

/**
 * A redis-server process of its own on a free loopback port, without persistence, in a directory of its own. It ends with
 * the test process, however that ends.
 */
export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly directory: string
  /** Resolves to what redis-cli prints of the reply. */
  cli(...args: string[]): Promise<string>
  /** Stops the process where it stands (SIGSTOP): connections stay open, nothing is answered from here on. */
  freeze(): Promise<void>
  thaw(): void
  /** kill -9; resolves when the port is closed. */
  kill(): Promise<void>
  /** Starts it again on the same port, with further arguments; what was not saved is lost. */
  restart(...more: string[]): Promise<void>
  /** Ends it for good. */
  stop(): Promise<void>
}

export interface RedisServerOptions {
  /** Further arguments for redis-server. */
  readonly args?: readonly string[]
  /** Run as a sentinel with this configuration. */
  readonly sentinel?: string
  readonly password?: string
  readonly port?: number
}

/** No persistence, and no waiting for more replicas. */
const SERVER = ['--save', '', ...words('--appendonly no --enable-debug-command yes --repl-diskless-sync-delay 0')]

export async function redisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const port = options.port ?? (await freePort())
  const directory = temporaryDirectory('redis-server')
  const configuration = join(directory, 'sentinel.conf')
  if (options.sentinel !== undefined) writeFileSync(configuration, options.sentinel)
  const args = [
    ...(options.sentinel === undefined ? [] : [configuration, '--sentinel']),
    ...words(`--port ${port} --bind 127.0.0.1 --daemonize no`),
    '--dir',
    directory,
    ...(options.sentinel === undefined ? SERVER : []),
    ...(options.password === undefined ? [] : ['--requirepass', options.password]),
    ...(options.args ?? []),
  ]
  const startWith = (more: readonly string[]): Promise<ServerProcess> =>
    startServer({ command: [commandOf(requires), ...args, ...more], directory, port })
  let running = await startWith([])
  const cli = (...command: string[]): Promise<string> => redisCli(port, options.password, command)
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    directory,
    cli,
    freeze: () => running.freeze(),
    thaw: () => running.thaw(),
    kill: () => running.kill(),
    async restart(...more) {
      running = await startWith(more)
    },
    stop: () => running.kill(),
  }
}

/** A Redis of this test alone, which ends with it. */
export async function privateRedis(test: Pick<TestContext, 'after'>): Promise<RedisServer> {
  const server = await redisServer()
  test.after(() => server.stop())
  return server
}

/**
 * For how long a server says nothing until the others take it for dead. The long time is longer than a busy machine lets
 * one wait, so that no master is replaced unless a test wants it.
 */
const SILENCE = { untilReplaced: 15_000, untilReplacedSoon: 1000 } as const

/** What replaces a master that is dead. */
export interface Replacing {
  /** While this goes on, a master that says nothing for a second is replaced; at any other time none is for 15 seconds. */
  replacingSoon<Result>(work: () => Promise<Result>): Promise<Result>
}

/** A master, two replicas and three sentinels that watch them. */
export interface SentinelSetup extends Replacing {
  readonly servers: readonly RedisServer[]
  readonly url: string
  /** The port of the present master, as the sentinels see it. */
  masterPort(): Promise<number>
  stop(): Promise<void>
}

export async function sentinelSetup(): Promise<SentinelSetup> {
  const master = await redisServer()
  const replicaOf = ['--replicaof', '127.0.0.1', String(master.port)]
  const replicas = await Promise.all([1, 2].map(() => redisServer({ args: replicaOf })))
  await until(async () => (await master.cli('INFO', 'replication')).split('state=online').length === 3)
  const configuration = [
    `sentinel monitor main 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds main ${SILENCE.untilReplaced}`,
    'sentinel failover-timeout main 3000',
    'sentinel parallel-syncs main 1',
  ].join('\n')
  const sentinels = await Promise.all([1, 2, 3].map(() => redisServer({ sentinel: configuration })))
  await until(async () => {
    const seen = await Promise.all(sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'MASTER', 'main')))
    return seen.every((text) => field(text, 'num-other-sentinels') === '2' && field(text, 'num-slaves') === '2')
  })
  const tell = async (silence: number): Promise<void> => {
    const words = ['SENTINEL', 'SET', 'main', 'down-after-milliseconds', String(silence)]
    for (const sentinel of sentinels) await sentinel.cli(...words)
  }
  return {
    replacingSoon: replacing(tell),
    servers: [master, ...replicas],
    url: `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`,
    async masterPort() {
      const answer = await sentinels[0]!.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main')
      return Number(answer.split('\n')[1])
    },
    async stop() {
      await Promise.all([...sentinels, master, ...replicas].map((server) => server.stop()))
    },
  }
}

/** Three masters, each with a replica. */
export interface ClusterSetup extends Replacing {
  /** Those that have been added too. */
  readonly nodes: readonly RedisServer[]
  readonly url: string
  /** The node that owns the key's slot now, as another node sees it. */
  masterOf(key: string): Promise<RedisServer>
  /** The nodes that act as masters now. */
  masters(): Promise<RedisServer[]>
  /** One more master, without any slot, whom all others know. */
  add(): Promise<RedisServer>
  /** Takes an added master away again, which has no slot any more. */
  remove(node: RedisServer): Promise<void>
  stop(): Promise<void>
}

/** `announced`: the port by which the other servers reach this one of the bus. Default: that port itself. */
export async function clusterSetup(
  announced: (busPort: number) => Promise<number> = async (busPort) => busPort,
): Promise<ClusterSetup> {
  const start = async (): Promise<RedisServer> => {
    const busPort = await freePort()
    return redisServer({
      args: [
        ...words(`--cluster-enabled yes --cluster-port ${busPort}`),
        ...words(`--cluster-announce-bus-port ${await announced(busPort)}`),
        ...words(`--cluster-node-timeout ${SILENCE.untilReplaced} --cluster-replica-validity-factor 0`),
      ],
    })
  }
  const nodes = await Promise.all(Array.from({ length: 6 }, start))
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
  const tell = async (silence: number): Promise<void> => {
    // A server that is down comes back with the long time.
    for (const node of nodes) await node.cli('CONFIG', 'SET', 'cluster-node-timeout', String(silence)).catch(() => {})
  }
  const replacingSoon = replacing(tell)
  // Servers that look at each other more often also hear of each other sooner.
  await replacingSoon(async () => {
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'])
    await until(async () => {
      const states = await Promise.all(nodes.map((node) => node.cli('CLUSTER', 'INFO')))
      if (!states.every((state) => state.includes('cluster_state:ok'))) return false
      const views = await Promise.all(nodes.map((node) => node.cli('CLUSTER', 'NODES')))
      const roles = await Promise.all(nodes.map((node) => node.cli('INFO', 'replication')))
      return (
        views.every((view) => (view.match(/\bslave\b/g) ?? []).length === 3 && !/handshake|fail/.test(view)) &&
        roles.every((role) => role.includes('role:master') || role.includes('master_link_status:up'))
      )
    })
  })
  return {
    replacingSoon,
    nodes,
    url: `redis+cluster://${addresses.join(',')}`,
    async masterOf(key) {
      for (const node of nodes) {
        // A frozen or dead node does not answer; the next one will.
        const slot = Number(await node.cli('CLUSTER', 'KEYSLOT', key).catch(() => NaN))
        const owner = (await node.cli('CLUSTER', 'NODES').catch(() => ''))
          .split('\n')
          .map((line) => line.split(' '))
          .find((parts) => parts[2]?.includes('master') && !parts[2].includes('fail') && owns(parts.slice(8), slot))
        const port = Number(/:(\d+)@/.exec(owner?.[1] ?? '')?.[1])
        const found = nodes.find((candidate) => candidate.port === port)
        if (found) return found
      }
      throw new Error('no master owns the slot')
    },
    async masters() {
      const roles = await Promise.all(nodes.map((node) => node.cli('ROLE').catch(() => '')))
      return nodes.filter((_, index) => roles[index]!.startsWith('master'))
    },
    async add() {
      const node = await start()
      const [, busPort] = /:\d+@(\d+)/.exec(await node.cli('CLUSTER', 'NODES'))!
      nodes.push(node)
      const id = await node.cli('CLUSTER', 'MYID')
      await replacingSoon(async () => {
        await nodes[0]!.cli('CLUSTER', 'MEET', '127.0.0.1', String(node.port), busPort!)
        await until(async () => {
          const views = await Promise.all(nodes.map((each) => each.cli('CLUSTER', 'NODES')))
          const state = await node.cli('CLUSTER', 'INFO')
          return views.every((view) => view.includes(id) && !view.includes('handshake')) && state.includes('state:ok')
        })
      })
      return node
    },
    async remove(node) {
      const id = await node.cli('CLUSTER', 'MYID')
      nodes.splice(nodes.indexOf(node), 1)
      // Before the others forget it: it would introduce itself again.
      await node.stop()
      for (const other of nodes) await other.cli('CLUSTER', 'FORGET', id)
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

/** `tell`: lets all who decide know for how long a master may say nothing. */
function replacing(tell: (silence: number) => Promise<void>): Replacing['replacingSoon'] {
  return async (work) => {
    await tell(SILENCE.untilReplacedSoon)
    try {
      return await work()
    } finally {
      await tell(SILENCE.untilReplaced)
    }
  }
}

function owns(ranges: readonly string[], slot: number): boolean {
  return ranges.some((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return slot >= first! && slot <= last!
  })
}

/** Whether this server is the replica of a master that it can reach and has copied. */
export async function isReplicaInStep(server: RedisServer): Promise<boolean> {
  return (await server.cli('INFO', 'replication')).includes('master_link_status:up')
}

function words(text: string): string[] {
  return text.split(' ')
}

function field(reply: string, name: string): string | undefined {
  const lines = reply.split('\n')
  return lines[lines.indexOf(name) + 1]
}
