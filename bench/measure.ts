import { whatIsWrong } from './check.ts'
import { startServer, type Load, type PrivateRedis, type Server } from './processes.ts'
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
  readonly megabytes: number
  /** Redis commands for each request, by name. */
  readonly commands: Readonly<Record<string, number>>
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
  readonly warmUp: number
}

export interface Environment {
  readonly nodeName: string
  readonly node: string
  readonly load: Load
  readonly redis: PrivateRedis | undefined
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
  { nodeName, node, load, redis }: Environment,
): Promise<{ samples: Sample[]; failures: Failure[] }> {
  const samples: Sample[] = []
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
        servers.push(await startServer(variant, { node, redisPort: redis?.port ?? 0, cache: scenario.cache }))
      } catch (error) {
        fail(variant, error)
      }
    }
    const able: Server[] = []
    for (const server of servers) {
      const wrong = await whatIsWrong(server, scenario)
      try {
        if (wrong !== undefined) throw new Error(wrong)
        await load.open(server.port, scenario, server.variant.isBare ?? false)
        if (scenario.rotates) await server.rotate()
        await load.slice(server.port, plan.warmUp)
        able.push(server)
      } catch (error) {
        fail(server.variant, error)
      }
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const server of rotated(able, round + launch)) {
        try {
          const sample = await measureSlice(server, plan.slice, load, redis)
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
  } finally {
    for (const server of servers) {
      await load.close(server.port)
      await server.stop()
    }
  }
  return { samples, failures }
}

type Measured = Omit<Sample, 'node' | 'scenario' | 'variant' | 'launch' | 'round'>

async function measureSlice(
  server: Server,
  milliseconds: number,
  load: Load,
  redis: PrivateRedis | undefined,
): Promise<Measured> {
  const counted = server.variant.usesRedis ? redis : undefined
  const commandsBefore = counted?.commands()
  const before = await server.usage()
  const { requests, seconds } = await load.slice(server.port, milliseconds)
  const after = await server.usage()
  const commandsAfter = counted?.commands()
  const microseconds = after.cpu - before.cpu
  return {
    requestsPerSecond: requests / seconds,
    cpuPerRequest: microseconds / requests,
    busy: microseconds / 1e6 / seconds,
    megabytes: after.rss / 2 ** 20,
    commands: perRequest(commandsBefore, commandsAfter, requests),
  }
}

function perRequest(
  before: Map<string, number> | undefined,
  after: Map<string, number> | undefined,
  requests: number,
): Record<string, number> {
  const commands: Record<string, number> = {}
  for (const [name, calls] of after ?? []) {
    const each = (calls - (before?.get(name) ?? 0)) / requests
    if (each > 0 && name !== 'info') commands[name] = each
  }
  return commands
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length > 0 ? by % items.length : 0
  return [...items.slice(start), ...items.slice(0, start)]
}

/** A variant's samples beside those of another in the same rounds of the same launches. */
export function pairsOf(samples: readonly Sample[], variant: string, base: string): { own: Sample; base: Sample }[] {
  const pairs: { own: Sample; base: Sample }[] = []
  for (const own of samples) {
    if (own.variant !== variant) continue
    const other = samples.find(
      (each) => each.variant === base && each.launch === own.launch && each.round === own.round,
    )
    if (other) pairs.push({ own, base: other })
  }
  return pairs
}
