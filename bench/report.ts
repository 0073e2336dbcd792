import { cpus, loadavg, release, totalmem, type as osType } from 'node:os'
import { readFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { barChart, type Bar } from './chart.ts'
import { PARALLEL_WRITERS, type Races } from './check.ts'
import { pairsOf, type Failure, type Plan, type Sample } from './measure.ts'
import { BENCH, ROOT, isPinned } from './processes.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { spreadOf, type Spread } from './statistics.ts'
import { VARIANTS, bareOf, variantNamed, type Variant } from './variants.ts'

/** Everything that a run found. */
export interface Results {
  readonly startedAt: string
  readonly loadBefore: number
  readonly nodes: readonly string[]
  readonly plan: Plan
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
  readonly races: readonly { readonly node: string; readonly variant: string; readonly races: Races }[]
}

/** One line of a table. */
interface Row {
  readonly variant: Variant
  readonly requestsPerSecond: Spread
  /** Of the bare server of the same framework, in the same round. */
  readonly ratio: Spread
  /** The same by processor time, which a neighbour disturbs less. */
  readonly cpuRatio: Spread
  readonly cpu: Spread
  readonly busy: number
  readonly megabytes: number
  readonly commands: string
}

function rowsOf(results: Results, scenario: string, node: string): Row[] {
  const samples = results.samples.filter((sample) => sample.scenario === scenario && sample.node === node)
  return VARIANTS.flatMap((variant) => {
    const own = samples.filter((sample) => sample.variant === variant.name)
    if (own.length === 0) return []
    const pairs = pairsOf(samples, variant.name, bareOf(variant))
    return {
      variant,
      requestsPerSecond: spreadOf(own.map((sample) => sample.requestsPerSecond)),
      ratio: spreadOf(pairs.map((pair) => pair.own.requestsPerSecond / pair.base.requestsPerSecond)),
      cpuRatio: spreadOf(pairs.map((pair) => pair.base.cpuPerRequest / pair.own.cpuPerRequest)),
      cpu: spreadOf(own.map((sample) => sample.cpuPerRequest)),
      busy: spreadOf(own.map((sample) => sample.busy)).median,
      megabytes: spreadOf(own.map((sample) => sample.megabytes)).median,
      commands: variant.usesRedis ? describeCommands(own) : '',
    }
  })
}

function describeCommands(samples: readonly Sample[]): string {
  const names = new Set(samples.flatMap(({ commands }) => Object.keys(commands)))
  const described = [...names].flatMap((name) => {
    const { median } = spreadOf(samples.map(({ commands }) => commands[name] ?? 0))
    // Less than this are the heartbeats of all servers that are up.
    return median < 0.015 ? [] : `${name} ${median.toFixed(2)}`
  })
  const script = described.filter((text) => text.startsWith('eval'))
  const others = described.filter((text) => !text.startsWith('eval'))
  if (script.length > 0 && others.length > 0) return `${script.join(', ')} (with ${others.join(', ')})`
  return described.join(', ') || '0'
}

/** RESULTS.md. */
export function markdown(results: Results): string {
  const { plan, nodes } = results
  const measured = SCENARIOS.filter(({ name }) => results.samples.some(({ scenario }) => scenario === name))
  const [first] = nodes
  return [
    '# Results',
    '',
    'Written by `npm run bench`; every number is from that one run. How it measures: [README.md](README.md).',
    '',
    ...machine(results),
    '',
    `Each scenario: ${plan.launches} fresh ${plan.launches === 1 ? 'launch' : 'launches'} of every server, ` +
      `${plan.rounds} interleaved rounds of ${plan.slice} ms each after ${plan.warmUp} ms of warming up. Figures are medians, ` +
      'with the lower and upper quartile in brackets.',
    '',
    '- **of its framework**: requests/s divided by those of the bare framework (Koa, Express or Fastify alone) in the same round.',
    '- **by processor**: the same by processor time for each request, which other work on the machine disturbs less.',
    '- **store**: Redis commands for each request; those that run inside a script are in brackets, and are no round trips.',
    '- **busy**: how much of the time the server was running. Well below 1, the load generator or Redis was the limit, and requests/s says less than the processor time.',
    '',
    ...(measured.some(({ name }) => name === 'warm-read') ? ['![Warm read](warm-read.svg)', ''] : []),
    ...racesTable(results),
    ...nodes.flatMap((node) => [
      ...(nodes.length > 1 ? [`# Node ${node}`, ''] : []),
      ...measured.flatMap((scenario) => section(results, scenario, node, node === first ? '' : `-node${node}`)),
    ]),
  ].join('\n')
}

function section(results: Results, { name, title, means }: Scenario, node: string, suffix: string): string[] {
  const failures = results.failures.filter((failure) => failure.scenario === name && failure.node === node)
  const rows = rowsOf(results, name, node).map(
    ({ variant, requestsPerSecond, ratio, cpuRatio, cpu, busy, megabytes, commands }) =>
      `| ${variant.isOurs ? `**${variant.title}**` : variant.title} | ${count(requestsPerSecond)} | ${ratioText(ratio)} | ${ratioText(cpuRatio)} ` +
      `| ${cpu.median.toFixed(1)} | ${busy.toFixed(2)} | ${commands} | ${megabytes.toFixed(0)} |`,
  )
  return [
    `## ${title}`,
    '',
    `${means[0]?.toUpperCase()}${means.slice(1)}. [Chart](${name}${suffix}.svg)`,
    '',
    '| | requests/s | of its framework | by processor | processor µs | busy | store | MB |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    ...failures
      .map(({ variant, why }) => `Not timed: ${variantNamed(variant).title}, because ${why}.`)
      .flatMap((line) => [line, '']),
  ]
}

function racesTable({ races, nodes }: Results): string[] {
  if (races.length === 0) return []
  const lines = races
    .filter(({ node }) => node === nodes[0])
    .map(({ variant, races: { survivors, comesBack, oldCookieWorks } }) => {
      const { title, isOurs } = variantNamed(variant)
      const after = comesBack
        ? 'logged in again'
        : oldCookieWorks
          ? 'logged out, but the old cookie works'
          : 'logged out'
      return `| ${isOurs ? `**${title}**` : title} | ${survivors} of ${PARALLEL_WRITERS} | ${after} |`
    })
  return [
    '## Two races, before anything is timed',
    '',
    `${PARALLEL_WRITERS} parallel requests of one session each set another key, and answer 20 ms later: how many keys are there ` +
      'afterwards? And who logs out while a slow request is under way, which then sets a key: is he logged in when it has ended?',
    '',
    '| | parallel writes that survive | logout during a slow request |',
    '|---|---|---|',
    ...lines,
    '',
  ]
}

function machine({ startedAt, loadBefore, nodes }: Results): string[] {
  const [cpu] = cpus()
  const peers = JSON.parse(readFileSync(join(BENCH, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  return [
    `- ${startedAt}, koa-server-session ${version}, Node ${nodes.join(', ')}${redisVersion()}`,
    `- ${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${osType()} ${release()}`,
    `- ${isPinned ? 'server on one processor, load generator and Redis on another' : 'servers and load generator share the processors: they could not be tied to one each'}`,
    `- ${Object.entries(peers.dependencies)
      .map(([name, number]) => `${name} ${number}`)
      .join(', ')}`,
    ...(loadBefore > 0.5
      ? [
          `- **The machine was not quiet**: a load of ${loadBefore.toFixed(1)} before the run, ${(loadavg()[0] ?? 0).toFixed(1)} after it. Do not quote these figures.`,
        ]
      : []),
  ]
}

function redisVersion(): string {
  try {
    return `, Redis ${/v=([\d.]+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? ''}`
  } catch {
    return ''
  }
}

/** The chart of each scenario that was measured, by file name. */
export function charts(results: Results): Map<string, string> {
  const files = new Map<string, string>()
  for (const [index, node] of results.nodes.entries()) {
    for (const { name, title, means } of SCENARIOS) {
      const rows = rowsOf(results, name, node)
      if (rows.length === 0) continue
      const bars = rows.map(({ variant, ratio, requestsPerSecond }): Bar => ({
        label: variant.title,
        note: `${ratio.median.toFixed(2)}   ${thousands(requestsPerSecond.median)}/s`,
        value: ratio.median,
        low: ratio.low,
        high: ratio.high,
        kind: variant.isOurs ? 'ours' : variant.isBare ? 'bare' : 'other',
      }))
      const subtitle = `requests/s as a part of the bare framework's; ${means} (Node ${node})`
      files.set(`${name}${index === 0 ? '' : `-node${node}`}.svg`, barChart(title, subtitle, bars))
    }
  }
  return files
}

function count({ median, low, high }: Spread): string {
  return `${thousands(median)} (${thousands(low)}–${thousands(high)})`
}

function ratioText({ median, low, high }: Spread): string {
  return Number.isNaN(median) ? '' : `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`
}

function thousands(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
}
