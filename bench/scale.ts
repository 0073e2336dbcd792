import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { versionOf } from './nodes.ts'
import { Child, PROCESSORS, ROOT, SERVER_CPU, startServer, type Load, type Server } from './processes.ts'
import { PrivateRedis } from './redis.ts'
import type { Pruning, ScaleResults, SizePoint, ProcessesPoint, StoreName } from './scale-results.ts'
import type { WorkerOptions, WorkerQuestion } from './scale-worker.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { spreadOf, type Spread } from './statistics.ts'
import { variantNamed } from './variants.ts'

export interface ScalePlan {
  readonly node: string
  readonly load: Load
  /** Milliseconds that it may take: 8 minutes are enough for everything on a machine that writes files fast. */
  readonly time: number
  /** Smaller, to try whether everything works. */
  readonly isSmall: boolean
  readonly say: (text: string) => void
}

const SIZES: Readonly<Record<StoreName, readonly number[]>> = {
  memory: [1000, 10_000, 100_000, 1_000_000],
  Redis: [1000, 10_000, 100_000, 300_000],
  files: [1000, 10_000, 100_000, 300_000],
}
const SMALL_SIZES: typeof SIZES = { memory: [1000, 3000], Redis: [1000, 3000], files: [1000, 3000] }

/** Costs and memory as sessions grow, pruning, and several processes. What does not fit into the time is left out. */
export async function measureScale({ node, load, time, isSmall, say }: ScalePlan): Promise<ScaleResults> {
  const until = Date.now() + time
  const leftOut: string[] = []
  const sizes = isSmall ? SMALL_SIZES : SIZES
  const samples = isSmall ? 3 : 9
  const redis = await PrivateRedis.start()
  const directory = mkdtempSync(join(tmpdir(), 'session-scale-'))
  const points: SizePoint[] = []
  let pruning: Pruning | undefined
  try {
    const floor = await floorOf(node, samples)
    const processes = await measureProcesses(node, load, redis, isSmall, say)
    for (const store of ['memory', 'Redis', 'files'] as const) {
      let held = 0
      let last = 0
      for (const sessions of sizes[store]) {
        // The next size may take as much longer as it is larger.
        if (Date.now() + last * (sessions / (held || sessions)) > until) {
          leftOut.push(`${store} with ${sessions} sessions`)
          continue
        }
        const startedAt = Date.now()
        const worker = await startWorker(node, { store, directory, redisPort: redis.port, samples })
        try {
          await worker.ask({ ask: 'fill', from: store === 'memory' ? 0 : held, to: sessions })
          points.push(rounded({ store, sessions, ...(await worker.ask<Measured>({ ask: 'measure', sessions })) }))
          held = sessions
          last = Date.now() - startedAt
          say(`scale: ${store}, ${sessions} sessions, ${Math.round(last / 1000)} s`)
        } finally {
          await worker.stop()
        }
      }
      if (store !== 'files' || held === 0) continue
      if (Date.now() > until - last) leftOut.push('pruning')
      else pruning = await measurePruning(node, directory, held, say)
    }
    return {
      node: versionOf(node),
      processors: PROCESSORS,
      floor,
      sizes: points,
      processes,
      pruning,
      leftOut,
    }
  } finally {
    await redis.stop()
    // By a process of its own, because it takes long with so many files.
    execFileSync('rm', ['-rf', directory])
  }
}

type Measured = Omit<SizePoint, 'store' | 'sessions'>

class Worker {
  readonly #child: Child
  constructor(child: Child) {
    this.#child = child
  }
  async ask<Answer>(question: WorkerQuestion): Promise<Answer> {
    return (await this.#child.ask<{ result: Answer }>(question)).result
  }
  stop(): Promise<void> {
    return this.#child.stop()
  }
}

async function startWorker(node: string, options: WorkerOptions): Promise<Worker> {
  const program = join(ROOT, 'dist/bench/scale-worker.js')
  const flags = ['--expose-gc', '--max-old-space-size=4096']
  return new Worker(await new Child(SERVER_CPU, node, [...flags, program, JSON.stringify(options)]).ready())
}

async function floorOf(node: string, samples: number): Promise<Spread> {
  const worker = await startWorker(node, { store: 'memory', directory: '', redisPort: 0, samples })
  try {
    return roundedSpread(await worker.ask<Spread>({ ask: 'floor' }))
  } finally {
    await worker.stop()
  }
}

async function measurePruning(
  node: string,
  directory: string,
  sessions: number,
  say: (text: string) => void,
): Promise<Pruning> {
  say(`scale: pruning ${sessions} file sessions`)
  const worker = await startWorker(node, { store: 'files', directory, redisPort: 0, samples: 1 })
  try {
    return await worker.ask<Pruning>({ ask: 'prune', sessions, expired: Math.floor(sessions / 3) })
  } finally {
    await worker.stop()
  }
}

const MOST_PROCESSES = 4
const USUAL = SCENARIOS[0] as Scenario
/** More users than connections, so that every request of a user may meet another process. */
const SHARED = { ...USUAL, users: 256, connections: 64 }

async function measureProcesses(
  node: string,
  load: Load,
  redis: PrivateRedis,
  isSmall: boolean,
  say: (text: string) => void,
): Promise<ProcessesPoint[]> {
  const points: ProcessesPoint[] = []
  const directory = mkdtempSync(join(tmpdir(), 'session-scale-'))
  for (const variant of ['koa-bare', 'ours-file', 'ours-redis'].map(variantNamed)) {
    const servers: Server[] = []
    try {
      for (let count = 0; count < MOST_PROCESSES; count++) {
        servers.push(await startServer(variant, { node, redisPort: redis.port, directory, isFree: true }))
      }
      for (const path of ['/read', '/write'] as const) {
        const targets = servers.map((_, index) => ({
          name: `${variant.name} ${path} ${index + 1}`,
          processes: index + 1,
          speeds: [] as number[],
        }))
        for (const { name, processes } of targets) {
          const ports = servers.slice(0, processes).map(({ port }) => port)
          await load.open(name, ports, { ...SHARED, path }, variant.isBare ?? false)
          await load.slice(name, isSmall ? 200 : 1000)
        }
        for (let round = 0; round < (isSmall ? 2 : 5); round++) {
          for (const { name, speeds } of targets) {
            const { requests, seconds } = await load.slice(name, isSmall ? 200 : 500)
            speeds.push(requests / seconds)
          }
        }
        for (const { name, processes, speeds } of targets) {
          await load.close(name)
          points.push({ variant: variant.name, path, processes, requestsPerSecond: roundedSpread(spreadOf(speeds)) })
        }
      }
      say(`scale: 1 to ${MOST_PROCESSES} processes of ${variant.title}`)
    } finally {
      for (const server of servers) await server.stop()
    }
  }
  execFileSync('rm', ['-rf', directory])
  return points
}

function rounded({ store, sessions, ...measured }: SizePoint): SizePoint {
  return {
    store,
    sessions,
    warmRead: roundedSpread(measured.warmRead),
    coldRead: roundedSpread(measured.coldRead),
    write: roundedSpread(measured.write),
    heap: Math.round(measured.heap),
    rss: Math.round(measured.rss),
  }
}

function roundedSpread({ median, low, high, count }: Spread): Spread {
  const short = (value: number): number => Number(value.toPrecision(4))
  return { median: short(median), low: short(low), high: short(high), count }
}
