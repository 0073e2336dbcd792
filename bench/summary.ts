import type { Races } from './check.ts'
import type { Failure, MemorySample, Plan, Sample } from './measure.ts'
import type { MicroResults } from './micro-results.ts'
import type { ScaleResults } from './scale-results.ts'
import { spreadOf, type Spread } from './statistics.ts'
import { VARIANTS, bareOf, type Variant } from './variants.ts'

/** The machine and the versions of one run. */
export interface Machine {
  /** A day, such as `2026-11-25`. */
  readonly date: string
  readonly version: string
  readonly processors: string
  readonly memory: string
  readonly system: string
  readonly redis: string
  readonly isPinned: boolean
  readonly peers: Readonly<Record<string, string>>
  /** The load of the machine just before and just after the run. */
  readonly loadBefore: number
  readonly loadAfter: number
  readonly minutes: number
}

/** One line of a table: a server in one scenario, with one version of Node. */
export interface Row {
  readonly variant: string
  readonly launches: number
  readonly requestsPerSecond: Spread
  /** Of the bare server of the same framework, in the same round. */
  readonly ofBare: Spread
  /** Of Koa with AsyncLocalStorage alone, in the same round; absent for other frameworks. */
  readonly ofAls?: Spread
  /** Its processor time for each request, divided by that of the bare server in the same round. */
  readonly cpuOfBare: Spread
  /** The same, divided by that of Koa with AsyncLocalStorage alone; absent for other frameworks. */
  readonly cpuOfAls?: Spread
  /** Whether enough launches agree on `cpuOfBare`: its quartiles are within `STEADY` of the median. */
  readonly isSteady: boolean
  /** Microseconds of processor time for each request. */
  readonly cpu: Spread
  readonly busy: number
  /** What the store was asked for each request, in words. */
  readonly store: string
  /** Megabytes at the end of a launch. */
  readonly rss: number
  readonly heap: number
}

export interface Table {
  readonly node: string
  readonly scenario: string
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
}

/** Everything that a run found, as `results.json` keeps it. RESULTS.md, the charts and the README are made of it alone. */
export interface Summary {
  readonly machine: Machine
  /** Versions of Node, the first one with every scenario. */
  readonly nodes: readonly string[]
  readonly plan: Plan
  readonly tables: readonly Table[]
  readonly races: readonly { readonly variant: string; readonly races: Races }[]
  readonly micro?: MicroResults | undefined
  readonly scale?: ScaleResults | undefined
}

/** The tables of what was measured, in the order of the scenarios' first appearance. */
export function tablesOf(
  samples: readonly Sample[],
  memories: readonly MemorySample[],
  failures: readonly Failure[],
): Table[] {
  const places = new Map<string, { node: string; scenario: string }>()
  for (const { node, scenario } of [...samples, ...failures]) places.set(`${node} ${scenario}`, { node, scenario })
  return [...places.values()].map(({ node, scenario }) => {
    const isHere = (each: { node: string; scenario: string }): boolean =>
      each.node === node && each.scenario === scenario
    return {
      node,
      scenario,
      rows: rowsOf(samples.filter(isHere), memories.filter(isHere)),
      failures: failures.filter(isHere),
    }
  })
}

/** How far the quartiles of a ratio may be from its median. */
export const STEADY = 0.05
/** Fewer launches than these agree on nothing. */
const ENOUGH_LAUNCHES = 4

function isSteady({ median, low, high }: Spread, launches: number): boolean {
  return launches >= ENOUGH_LAUNCHES && low >= median * (1 - STEADY) && high <= median * (1 + STEADY)
}

function rowsOf(samples: readonly Sample[], memories: readonly MemorySample[]): Row[] {
  return VARIANTS.flatMap((variant): Row[] => {
    const own = samples.filter((sample) => sample.variant === variant.name)
    if (own.length === 0) return []
    const held = memories.filter((memory) => memory.variant === variant.name)
    const toBare = pairsOf(samples, variant.name, bareOf(variant))
    const toAls = pairsOf(samples, variant.name, 'koa-als')
    const hasAls = variant.family === 'koa' && toAls.length > 0
    const launches = new Set(own.map(({ launch }) => launch)).size
    const cpuOfBare = overLaunches(toBare.map(cpuRatio))
    return [
      {
        variant: variant.name,
        launches,
        requestsPerSecond: overLaunches(own.map((sample) => ({ ...sample, value: sample.requestsPerSecond }))),
        ofBare: overLaunches(toBare.map(speedRatio)),
        ...(hasAls && { ofAls: overLaunches(toAls.map(speedRatio)) }),
        cpuOfBare,
        ...(hasAls && { cpuOfAls: overLaunches(toAls.map(cpuRatio)) }),
        isSteady: variant.name === bareOf(variant) || isSteady(cpuOfBare, launches),
        cpu: overLaunches(own.map((sample) => ({ ...sample, value: sample.cpuPerRequest }))),
        busy: rounded(spreadOf(own.map((sample) => sample.busy)).median),
        store: describeStore(variant, own),
        rss: rounded(spreadOf(held.map(({ rss }) => rss / 2 ** 20)).median),
        heap: rounded(spreadOf(held.map(({ heap }) => heap / 2 ** 20)).median),
      },
    ]
  })
}

interface Pair {
  readonly own: Sample
  readonly base: Sample
}

/** A variant's samples beside those of another in the same rounds of the same launches. */
function pairsOf(samples: readonly Sample[], variant: string, base: string): Pair[] {
  return samples.flatMap((own) => {
    if (own.variant !== variant) return []
    const other = samples.find(
      (each) => each.variant === base && each.launch === own.launch && each.round === own.round,
    )
    return other ? [{ own, base: other }] : []
  })
}

function speedRatio({ own, base }: Pair): { launch: number; value: number } {
  return { launch: own.launch, value: own.requestsPerSecond / base.requestsPerSecond }
}

function cpuRatio({ own, base }: Pair): { launch: number; value: number } {
  return { launch: own.launch, value: own.cpuPerRequest / base.cpuPerRequest }
}

/**
 * The median of the launches' medians, because a launch settles into a state of its own. The quartiles are those of the
 * launches' medians too, once there are enough launches; until then, those of all slices.
 */
function overLaunches(values: readonly { readonly launch: number; readonly value: number }[]): Spread {
  const launches = [...new Set(values.map(({ launch }) => launch))]
  const medians = launches.map(
    (launch) => spreadOf(values.filter((each) => each.launch === launch).map(({ value }) => value)).median,
  )
  const { count } = spreadOf(values.map(({ value }) => value))
  const { median } = spreadOf(medians)
  const { low, high } = spreadOf(medians.length >= ENOUGH_LAUNCHES ? medians : values.map(({ value }) => value))
  return {
    median: rounded(median),
    low: rounded(Math.min(low, median)),
    high: rounded(Math.max(high, median)),
    count,
  }
}

/** Four digits: what is below them is noise, and would make `results.json` long. */
function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

// Below it are heartbeats that came between two beats of the count, and touches that come once in minutes.
const WORTH_A_WORD = 0.015

function describeStore({ isBare, usesRedis }: Variant, samples: readonly Sample[]): string {
  if (isBare) return ''
  const names = new Set(samples.flatMap(({ storeCalls }) => Object.keys(storeCalls)))
  const described = [...names].flatMap((name) => {
    const { median } = spreadOf(samples.map(({ storeCalls }) => storeCalls[name] ?? 0))
    return median < WORTH_A_WORD ? [] : [`${name} ${median.toFixed(2)}`]
  })
  if (described.length === 0) return '0'
  // What a script does inside is no round trip.
  const scripts = usesRedis ? described.filter((text) => text.startsWith('eval')) : []
  const others = described.filter((text) => !scripts.includes(text))
  if (scripts.length > 0 && others.length > 0) return `${scripts.join(', ')} (with ${others.join(', ')})`
  return described.join(', ')
}
