import { setTimeout as sleep } from 'node:timers/promises'
import { whatIsWrong } from './check.ts'
import { startServer, type Load, type Memory, type Places, type Server } from './processes.ts'
import type { PrivateRedis } from './redis.ts'
import type { Scenario } from './scenarios.ts'
import type { Variant } from './variants.ts'

/** What one slice of one server gave. */
export interface Sample {
  readonly node: string
  readonly scenario: string
  readonly variant: string
  readonly launch: number
  readonly round: number
  readonly requestsPerSecond: number
  /** Microseconds of the server's processor for one request, its other threads included. */
  readonly cpuPerRequest: number
  /** How much of the slice the server was running, 0 to 1 (more with other threads): far below 1, something else was the limit. */
  readonly busy: number
  /** What the store was asked for each request, by name: commands of Redis, or calls of the store in the server. */
  readonly storeCalls: Readonly<Record<string, number>>
}

/** What one server held in memory at the end of a launch, in bytes. */
export interface MemorySample extends Memory {
  readonly node: string
  readonly scenario: string
  readonly variant: string
  readonly launch: number
}

export interface Failure {
  readonly node: string
  readonly scenario: string
  readonly variant: string
  readonly why: string
}

export interface Plan {
  readonly launches: number
  readonly rounds: number
  /** Milliseconds. */
  readonly slice: number
  /** Requests. Not a time, in which a server on a busy machine would hardly be compiled. */
  readonly warmUp: number
}

export interface Environment {
  readonly nodeName: string
  readonly node: string
  readonly load: Load
  readonly redis: PrivateRedis | undefined
  readonly places: Places
}

/**
 * One launch of every server that takes part in a scenario: all stay up, and slices go round by round from server to
 * server, so that a noisy neighbour meets all of them. Each round begins with another server.
 */
export async function measureLaunch(
  scenario: Scenario,
  variants: readonly Variant[],
  launch: number,
  plan: Plan,
  { nodeName, node, load, redis, places }: Environment,
): Promise<{ samples: Sample[]; memories: MemorySample[]; failures: Failure[] }> {
  const samples: Sample[] = []
  const memories: MemorySample[] = []
  const failures: Failure[] = []
  const servers: Server[] = []
  const fail = (variant: Variant, why: unknown): void => {
    failures.push({
      node: nodeName,
      scenario: scenario.name,
      variant: variant.name,
      why: why instanceof Error ? why.message : String(why),
    })
  }
  try {
    for (const variant of variants) {
      try {
        servers.push(await startServer(variant, { ...places, node, cache: scenario.cache }))
      } catch (error) {
        fail(variant, error)
      }
    }
    const able: Server[] = []
    for (const server of servers) {
      const wrong = await whatIsWrong(server, scenario)
      try {
        if (wrong !== undefined) throw new Error(wrong)
        await load.open(server.name, [server.port], scenario, server.variant.isBare ?? false)
        if (scenario.rotates) await server.rotate()
        await warmUp(server, plan.warmUp, load)
        able.push(server)
      } catch (error) {
        fail(server.variant, error)
      }
    }
    const idle = able.some(({ variant }) => variant.usesRedis) ? await idleCommands(redis) : {}
    for (let round = 0; round < plan.rounds; round++) {
      // By another step each round, so that nobody comes after the same neighbour every time.
      for (const server of rotated(able, round * 3 + launch)) {
        try {
          const sample = await measureSlice(server, plan.slice, load, redis, idle)
          samples.push({
            node: nodeName,
            scenario: scenario.name,
            variant: server.variant.name,
            launch,
            round,
            ...sample,
          })
        } catch (error) {
          able.splice(able.indexOf(server), 1)
          fail(server.variant, error)
        }
      }
    }
    for (const server of able) {
      const identity = { node: nodeName, scenario: scenario.name, variant: server.variant.name, launch }
      memories.push({ ...identity, ...(await server.memory()) })
    }
  } finally {
    for (const server of servers) {
      await load.close(server.name)
      await server.stop()
    }
  }
  return { samples, memories, failures }
}

/** Slow servers are given up on earlier: what makes them slow is not that they are cold. */
const MAX_WARM_UP = 3000

async function warmUp(server: Server, requests: number, load: Load): Promise<void> {
  const until = Date.now() + MAX_WARM_UP
  for (let done = 0; done < requests && Date.now() < until;) done += (await load.slice(server.name, 200)).requests
}

type Measured = Omit<Sample, 'node' | 'scenario' | 'variant' | 'launch' | 'round'>

async function measureSlice(
  server: Server,
  milliseconds: number,
  load: Load,
  redis: PrivateRedis | undefined,
  idle: Readonly<Record<string, number>>,
): Promise<Measured> {
  const counted = server.variant.usesRedis ? redis : undefined
  const count = async (): Promise<{ cpu: number; calls: Readonly<Record<string, number>> }> => {
    const { cpu, storeCalls } = await server.usage()
    return { cpu, calls: counted?.commands() ?? storeCalls }
  }
  const before = await count()
  const { requests, seconds } = await load.slice(server.name, milliseconds)
  const after = await count()
  const microseconds = after.cpu - before.cpu
  return {
    requestsPerSecond: requests / seconds,
    cpuPerRequest: microseconds / requests,
    busy: microseconds / 1e6 / seconds,
    storeCalls: Object.fromEntries(
      Object.entries(after.calls).map(([name, calls]) => [
        name,
        Math.max(0, calls - (before.calls[name] ?? 0) - (counted ? (idle[name] ?? 0) * seconds : 0)) / requests,
      ]),
    ),
  }
}

/** What Redis is asked each second while nobody asks the servers: their heartbeats. */
async function idleCommands(redis: PrivateRedis | undefined): Promise<Record<string, number>> {
  if (!redis) return {}
  const before = redis.commands()
  const startedAt = performance.now()
  await sleep(1000)
  const seconds = (performance.now() - startedAt) / 1000
  return Object.fromEntries(
    Object.entries(redis.commands()).map(([name, calls]) => [name, (calls - (before[name] ?? 0)) / seconds]),
  )
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length > 0 ? by % items.length : 0
  return [...items.slice(start), ...items.slice(0, start)]
}
