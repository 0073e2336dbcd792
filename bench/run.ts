import { execFileSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { raceThrough } from './check.ts'
import { describeMachine } from './machine.ts'
import { measureLaunch, type Failure, type MemorySample, type Plan, type Sample } from './measure.ts'
import type { MicroResults } from './micro-results.ts'
import { installPeers, nodeBinary, versionOf } from './nodes.ts'
import { writeFiles, writeReadme } from './pages.ts'
import { Budget, jobsOf } from './plan.ts'
import { BENCH, Load, ROOT, SERVER_CPU, pinned, startServer } from './processes.ts'
import { PrivateRedis } from './redis.ts'
import { markdown } from './report.ts'
import { measureScale } from './scale.ts'
import { SCENARIOS, participants, scenarioNamed, type Scenario } from './scenarios.ts'
import { tablesOf, type Summary } from './summary.ts'
import { VARIANTS, bareOf, variantNamed, type Variant } from './variants.ts'

const HELP = `npm run bench -- [options]

  --budget 30          minutes for everything; what is worth least is left out
  --quick              three scenarios and the main variants with the running Node, in two minutes
  --scale              cost and memory as sessions and processes grow, and nothing else, in eight minutes at most
  --small              few and short measurements, to see whether everything works; figures mean nothing
  --node 24,20,22,26   major versions of Node, the first one with every scenario; those that are not running are installed
  --scenarios a,b      ${SCENARIOS.map(({ name }) => name).join(', ')}
  --variants a,b       ${VARIANTS.map(({ name }) => name).join(', ')}
  --launches 3         fresh starts of every server, at most
  --rounds 4           slices of each server in each launch
  --slice 400          milliseconds of a slice
  --warm-up 12000      requests before the first slice
  --out bench          where the results go; dist/bench for a run that is not complete, and the README is left alone then
`

const { values: given } = parseArgs({
  options: {
    budget: { type: 'string', default: '30' },
    quick: { type: 'boolean', default: false },
    scale: { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
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
const isComplete = !given.quick && !given.scale && !given.small && !given.scenarios && !given.variants && !given.node
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
      : { launches: 3, rounds: 4, slice: 400, warmUp: 12_000 }
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
  const plan = planOf()
  const hasMicro = isComplete || (given.small && !given.scenarios && !given.scale && !given.quick)
  const hasScale = hasMicro || given.scale

  const redis = await PrivateRedis.start()
  process.on('exit', () => redis.kill())
  const load = await Load.start()
  try {
    const rest = (hasMicro ? MICRO_TIME : 0) + (hasScale ? SCALE_TIME : 0)
    const measured = await measureScenarios(binaries, plan, until - Date.now() - (given.small ? 0 : rest), load, redis)
    const node = first as string
    const micro = hasMicro ? await orSay('the steps of a request', () => measureSteps(node)) : undefined
    const time = Math.min(SCALE_TIME, until - Date.now())
    const scale = hasScale
      ? await orSay('the scale', () => measureScale({ node, load, time, isSmall: given.small, say }))
      : undefined
    const machine = describeMachine(startedAt, loadBefore)
    write({ machine, nodes, plan, ...measured, micro, scale })
  } finally {
    await load.stop()
    await redis.stop()
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

async function measureScenarios(
  binaries: ReadonlyMap<string, string>,
  plan: Plan,
  time: number,
  load: Load,
  redis: PrivateRedis,
): Promise<Pick<Summary, 'tables' | 'races'>> {
  const samples: Sample[] = []
  const memories: MemorySample[] = []
  const failures: Failure[] = []
  const scenarios = wantedScenarios()
  const variants = wantedVariants()
  const budget = new Budget(time)
  const nodes = [...binaries.keys()]
  const races = scenarios.length > 0 ? await race(variants, binaries.get(nodes[0] as string) as string, redis) : []
  const jobs = jobsOf(nodes, scenarios, plan.launches)
  for (const [index, { node, scenario, launch, isFull }] of jobs.entries()) {
    const hasFailed = ({ name }: Variant): boolean =>
      failures.some((each) => each.variant === name && each.scenario === scenario.name && each.node === node)
    const taking = participants(scenario, variants).filter((one) => (isFull || one.isMain) && !hasFailed(one))
    const what = `${index + 1} of ${jobs.length}: Node ${node}, ${scenario.name}, launch ${launch + 1}`
    if (!budget.fits(taking.length)) {
      say(`${what}: left out, the time is too short`)
      continue
    }
    const began = Date.now()
    const binary = binaries.get(node) as string
    const found = await measureLaunch(scenario, taking, launch, plan, { nodeName: node, node: binary, load, redis })
    budget.took(Date.now() - began, taking.length)
    samples.push(...found.samples)
    memories.push(...found.memories)
    failures.push(...found.failures)
    say(`${what}: ${Math.round((Date.now() - began) / 1000)} s`)
    for (const { variant, why } of found.failures) say(`  ${variant}: ${why}`)
  }
  return { tables: tablesOf(samples, memories, failures), races }
}

async function race(variants: readonly Variant[], node: string, redis: PrivateRedis): Promise<Summary['races']> {
  const races: { variant: string; races: Awaited<ReturnType<typeof raceThrough>> }[] = []
  for (const variant of variants) {
    if (variant.isBare) continue
    const server = await startServer(variant, { node, redisPort: redis.port })
    try {
      races.push({ variant: variant.name, races: await raceThrough(server) })
    } finally {
      await server.stop()
    }
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
