import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { raceThrough, type Races } from './check.ts'
import { startDatabases } from './databases.ts'
import { describeMachine } from './machine.ts'
import { measureLaunch, type Failure, type MemorySample, type Plan, type Sample } from './measure.ts'
import type { MicroResults } from './micro-results.ts'
import { installPeers, installSqlite, nodeBinary, versionOf } from './nodes.ts'
import { writeFiles, writeReadme } from './pages.ts'
import { Budget, jobsOf, nextLaunch } from './plan.ts'
import {
  BENCH,
  Load,
  ROOT,
  SERVER_CPU,
  pinSelf,
  pinned,
  startServer,
  type Places,
  type ServerOptions,
} from './processes.ts'
import { PrivateRedis } from './redis.ts'
import { markdown } from './report.ts'
import { measureScale } from './scale.ts'
import { SCENARIOS, participants, scenarioNamed, type Scenario } from './scenarios.ts'
import { tablesOf, type Summary } from './summary.ts'
import { VARIANTS, bareOf, variantNamed, type Variant } from './variants.ts'

const HELP = `npm run bench -- [options]

  --budget 38          minutes for everything; what is worth least is left out
  --quick              three scenarios and the main variants with the running Node, in two minutes
  --scale              cost and memory as sessions and processes grow, and nothing else, in eight minutes at most
  --write              draws RESULTS.md, the charts and the README's table anew from results.json; measures nothing
  --small              few and short measurements, to see whether everything works; figures mean nothing
  --node 24,20,22,26   major versions of Node, the first one with every scenario; those that are not running are installed
  --scenarios a,b      ${SCENARIOS.map(({ name }) => name).join(', ')}
  --variants a,b       ${VARIANTS.map(({ name }) => name).join(', ')}
  --launches 1         planned fresh starts of every server; a whole run adds more until the ratios are steady
  --rounds 4           slices of each server in each launch
  --slice 400          milliseconds of a slice
  --warm-up 12000      requests before the first slice
  --out bench          where the results go; dist/bench for a run that is not complete, and the README is left alone then
`

const { values: given } = parseArgs({
  options: {
    budget: { type: 'string', default: '38' },
    quick: { type: 'boolean', default: false },
    scale: { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    node: { type: 'string' },
    scenarios: { type: 'string' },
    variants: { type: 'string' },
    launches: { type: 'string' },
    rounds: { type: 'string' },
    slice: { type: 'string' },
    'warm-up': { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** Whether it is the whole benchmark, the one that is written down. */
const isPart = given.quick || given.scale || given.small || given.scenarios || given.variants || given.node
const isComplete = !isPart
const MINUTE = 60_000
/** What the parts after the scenarios need, the last one at most. */
const MICRO_TIME = 1.5 * MINUTE
const SCALE_TIME = 8 * MINUTE

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function wantedScenarios(): readonly Scenario[] {
  if (given.scale) return []
  return given.scenarios?.split(',').map(scenarioNamed) ?? SCENARIOS.filter(({ isQuick }) => isQuick || !given.quick)
}

/** With the bare server of each family, without which there is no ratio. */
function wantedVariants(): readonly Variant[] {
  const names =
    given.variants?.split(',') ?? VARIANTS.filter(({ isMain }) => isMain || !given.quick).map(({ name }) => name)
  const wanted = new Set(names.flatMap((name) => [name, bareOf(variantNamed(name))]))
  return VARIANTS.filter(({ name }) => wanted.has(name))
}

function planOf(): Plan {
  const usual = given.small
    ? { launches: 1, rounds: 2, slice: 150, warmUp: 300 }
    : given.quick
      ? { launches: 1, rounds: 3, slice: 400, warmUp: 8000 }
      : { launches: 1, rounds: 4, slice: 400, warmUp: 12_000 }
  return {
    launches: Number(given.launches ?? usual.launches),
    rounds: Number(given.rounds ?? usual.rounds),
    slice: Number(given.slice ?? usual.slice),
    warmUp: Number(given['warm-up'] ?? usual.warmUp),
  }
}

async function run(): Promise<void> {
  if (given.help) {
    process.stdout.write(HELP)
    return
  }
  if (given.write) {
    write(JSON.parse(readFileSync(join(BENCH, 'results.json'), 'utf8')) as Summary)
    return
  }
  const startedAt = new Date()
  const until = Date.now() + Number(given.budget) * MINUTE
  const loadBefore = loadavg()[0] ?? 0
  if (loadBefore > 0.5) say(`The machine is not quiet (load ${loadBefore.toFixed(1)}); the results will say so.`)
  installPeers(say)
  const versions = given.node ?? (given.quick || given.scale || given.small ? '' : '24,20,22,26')
  const binaries = new Map<string, string>()
  for (const version of versions.split(',')) {
    const binary = nodeBinary(version, say)
    binaries.set(versionOf(binary), binary)
  }
  const nodes = [...binaries.keys()]
  const [first] = binaries.values()
  // The others run the headlines alone, in which no peer of SQLite takes part.
  if (!given.quick) installSqlite(first as string, say)
  const plan = planOf()
  const hasMicro = isComplete || (given.small && !given.scenarios && !given.scale && !given.quick)
  const hasScale = hasMicro || given.scale

  pinSelf()
  const databases = await startDatabases(wantedScenarios().length > 0 ? wantedVariants() : [], say)
  const redis = await PrivateRedis.start()
  process.on('exit', () => redis.kill())
  const load = await Load.start()
  try {
    const rest = (hasMicro ? MICRO_TIME : 0) + (hasScale ? SCALE_TIME : 0)
    const places = { ...databases, redisPort: redis.port }
    const time = until - Date.now() - (given.small ? 0 : rest)
    const measured = await measureScenarios({ binaries, plan, time, load, redis, places })
    const node = first as string
    const micro = hasMicro ? await orSay('the steps of a request', () => measureSteps(node)) : undefined
    const left = Math.min(SCALE_TIME, until - Date.now())
    const scale = hasScale
      ? await orSay('the scale', () => measureScale({ node, load, time: left, isSmall: given.small, say }))
      : undefined
    const machine = describeMachine(startedAt, loadBefore)
    write({ machine, nodes, plan, ...measured, micro, scale })
  } finally {
    await load.stop()
    await redis.stop()
    await databases.stop()
  }
}

/** So that what fails late does not cost half an hour of results: the rest is written, and the run counts as failed. */
async function orSay<Result>(what: string, measure: () => Result | Promise<Result>): Promise<Result | undefined> {
  say(what)
  try {
    return await measure()
  } catch (error) {
    say(`${what} could not be measured: ${reasonOf(error)}`)
    process.exitCode = 1
    return undefined
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

interface Means {
  /** By version of Node, the first one with every scenario. */
  readonly binaries: ReadonlyMap<string, string>
  readonly plan: Plan
  /** Milliseconds. */
  readonly time: number
  readonly load: Load
  readonly redis: PrivateRedis
  readonly places: Places
}

async function measureScenarios(means: Means): Promise<Pick<Summary, 'tables' | 'races'>> {
  const { binaries, plan, time, load, redis, places } = means
  const samples: Sample[] = []
  const memories: MemorySample[] = []
  const failures: Failure[] = []
  const scenarios = wantedScenarios()
  const variants = wantedVariants()
  const budget = new Budget(time)
  const nodes = [...binaries.keys()]
  const races = scenarios.length > 0 ? await race(variants, binaries.get(nodes[0] as string) as string, places) : []
  /** `false`: the time is too short. */
  async function measure(
    node: string,
    scenario: Scenario,
    launch: number,
    among: readonly Variant[],
  ): Promise<boolean> {
    const hasFailed = ({ name }: Variant): boolean =>
      failures.some((each) => each.variant === name && each.scenario === scenario.name && each.node === node)
    const taking = among.filter((one) => !hasFailed(one))
    const what = `Node ${node}, ${scenario.name}, launch ${launch + 1}`
    if (!budget.fits(taking.length)) {
      say(`${what}: left out, the time is too short`)
      return false
    }
    const began = Date.now()
    const environment = { nodeName: node, node: binaries.get(node) as string, load, redis, places }
    const found = await measureLaunch(scenario, taking, launch, plan, environment)
    budget.took(Date.now() - began, taking.length)
    samples.push(...found.samples)
    memories.push(...found.memories)
    failures.push(...found.failures)
    say(`${what}: ${taking.length} servers, ${Math.round((Date.now() - began) / 1000)} s`)
    for (const { variant, why } of found.failures) say(`  ${variant}: ${why}`)
    return true
  }
  for (const { node, scenario, launch, isFull } of jobsOf(nodes, scenarios, plan.launches)) {
    const taking = participants(scenario, variants).filter((one) => isFull || one.isMain)
    await measure(node, scenario, launch, taking)
  }
  if (isComplete) {
    // The same again, for what is not steady, for as long as there is time.
    const [node] = nodes as [string]
    for (;;) {
      const tables = tablesOf(samples, memories, failures).filter((table) => table.node === node)
      const next = nextLaunch(tables, scenarios, variants)
      if (!next || !(await measure(node, next.scenario, next.launch, next.variants))) break
    }
  }
  return { tables: tablesOf(samples, memories, failures), races }
}

async function raceOf(variant: Variant, options: ServerOptions): Promise<Races> {
  const server = await startServer(variant, options)
  try {
    return await raceThrough(server)
  } finally {
    await server.stop()
  }
}

async function race(variants: readonly Variant[], node: string, places: Places): Promise<Summary['races']> {
  const races: { variant: string; races: Races }[] = []
  for (const variant of variants) {
    if (variant.isBare) continue
    if (variant.database && places[variant.database] === undefined) continue
    const survived = await orSay(`the races of ${variant.name}`, () => raceOf(variant, { ...places, node }))
    if (survived) races.push({ variant: variant.name, races: survived })
  }
  return races
}

function measureSteps(node: string): MicroResults {
  const flags = ['--json', ...(given.small ? ['--samples', '1'] : [])]
  const program = [join(ROOT, 'dist/bench/micro.js'), ...flags]
  return JSON.parse(execFileSync(...pinned(SERVER_CPU, node, program), { encoding: 'utf8' })) as MicroResults
}

function write(summary: Summary): void {
  const out = given.out ?? (isComplete ? BENCH : join(ROOT, 'dist/bench'))
  const path = writeFiles(summary, out)
  if (isComplete && given.out === undefined) writeReadme(summary, join(ROOT, 'README.md'))
  else process.stdout.write(markdown(summary))
  say(
    `Written: ${path}, results.json and the charts beside it${isComplete && given.out === undefined ? ', and the README' : ''}.`,
  )
}

process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
try {
  await run()
} catch (error) {
  say(reasonOf(error))
  process.exitCode = 1
}
