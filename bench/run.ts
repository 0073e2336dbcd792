import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { raceThrough } from './check.ts'
import { measureLaunch, type Failure, type Plan, type Sample } from './measure.ts'
import { BENCH, Load, PrivateRedis, ROOT, installPeers, nodeBinary, startServer, versionOf } from './processes.ts'
import { charts, markdown, type Results } from './report.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { VARIANTS, bareOf, variantNamed, type Variant } from './variants.ts'

const HELP = `npm run bench -- [options]

  --quick              three scenarios and the variants that matter most, in two minutes; writes to dist/bench/
  --node 20,24         major versions of Node; others than the running one are installed into bench/.node/
  --scenarios a,b      ${SCENARIOS.map(({ name }) => name).join(', ')}
  --variants a,b       ${VARIANTS.map(({ name }) => name).join(', ')}
  --launches 3         fresh starts of every server
  --rounds 5           slices of each server in each launch
  --slice 600          milliseconds of a slice
  --warm-up 1500       milliseconds before the first slice
  --out bench          where RESULTS.md and the charts go
`

const QUICK_VARIANTS = [
  'koa-bare',
  'koa-als',
  'ours-memory',
  'ours-file',
  'ours-redis',
  'koa-session-redis',
  'express-bare',
  'express-session-redis',
  'fastify-bare',
  'fastify-session',
]

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    node: { type: 'string', default: '' },
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

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function chosenScenarios(): readonly Scenario[] {
  const names = given.scenarios?.split(',')
  if (!names) return SCENARIOS.filter(({ isQuick }) => isQuick || !given.quick)
  return names.map((name) => {
    const scenario = SCENARIOS.find((each) => each.name === name)
    if (!scenario)
      throw new Error(`There is no scenario ${name}; there are ${SCENARIOS.map((each) => each.name).join(', ')}.`)
    return scenario
  })
}

/** With the bare server of each family, without which there is no ratio. */
function chosenVariants(): readonly Variant[] {
  const names = given.variants?.split(',') ?? (given.quick ? QUICK_VARIANTS : VARIANTS.map(({ name }) => name))
  const wanted = new Set(names.flatMap((name) => [name, bareOf(variantNamed(name))]))
  return VARIANTS.filter(({ name }) => wanted.has(name))
}

async function run(): Promise<void> {
  if (given.help) {
    process.stdout.write(HELP)
    return
  }
  const plan: Plan = {
    launches: Number(given.launches ?? (given.quick ? 1 : 3)),
    rounds: Number(given.rounds ?? (given.quick ? 3 : 5)),
    slice: Number(given.slice ?? (given.quick ? 500 : 600)),
    warmUp: Number(given['warm-up'] ?? (given.quick ? 600 : 1500)),
  }
  const scenarios = chosenScenarios()
  const variants = chosenVariants()
  installPeers(say)
  const binaries = given.node.split(',').map((version) => nodeBinary(version, say))
  const loadBefore = loadavg()[0] ?? 0
  if (loadBefore > 0.5) say(`The machine is not quiet (load ${loadBefore.toFixed(1)}); the results will say so.`)

  const results = {
    startedAt: new Date().toISOString().slice(0, 10),
    loadBefore,
    nodes: binaries.map((binary) => versionOf(binary)),
    plan,
    samples: [] as Sample[],
    failures: [] as Failure[],
    races: [] as Results['races'][number][],
  }
  const redis = variants.some(({ usesRedis }) => usesRedis) ? await PrivateRedis.start() : undefined
  process.on('exit', () => redis?.kill())
  const load = await Load.start()
  const total = binaries.length * plan.launches * scenarios.length
  let done = 0
  const began = Date.now()
  try {
    for (const [index, node] of binaries.entries()) {
      const nodeName = results.nodes[index] as string
      for (const variant of variants) {
        if (variant.isBare) continue
        results.races.push(...(await race(variant, node, nodeName, redis)))
      }
      for (let launch = 0; launch < plan.launches; launch++) {
        for (const scenario of scenarios) {
          const taking = variants.filter(
            ({ name }) =>
              !scenario.without?.includes(name) &&
              !results.failures.some(
                (failure) =>
                  failure.variant === name && failure.scenario === scenario.name && failure.node === nodeName,
              ),
          )
          const { samples, failures } = await measureLaunch(scenario, taking, launch, plan, {
            nodeName,
            node,
            load,
            redis,
          })
          results.samples.push(...samples)
          results.failures.push(...failures)
          done++
          const left = Math.round((((Date.now() - began) / done) * (total - done)) / 60_000)
          say(
            `${nodeName}, launch ${launch + 1} of ${plan.launches}: ${scenario.name}${left > 0 ? ` (about ${left} min left)` : ''}`,
          )
          for (const { variant, why } of failures) say(`  ${variant}: ${why}`)
        }
      }
    }
  } finally {
    await load.stop()
    await redis?.stop()
  }
  write(results)
}

async function race(
  variant: Variant,
  node: string,
  nodeName: string,
  redis: PrivateRedis | undefined,
): Promise<Results['races']> {
  const server = await startServer(variant, { node, redisPort: redis?.port ?? 0 })
  try {
    return [{ node: nodeName, variant: variant.name, races: await raceThrough(server) }]
  } finally {
    await server.stop()
  }
}

function write(results: Results): void {
  const out = given.out ?? (given.quick ? join(ROOT, 'dist/bench') : BENCH)
  mkdirSync(out, { recursive: true })
  const text = markdown(results)
  writeFileSync(join(out, 'RESULTS.md'), text)
  for (const [name, svg] of charts(results)) writeFileSync(join(out, name), svg)
  // For who wants to compute with the single slices.
  writeFileSync(join(ROOT, 'dist/bench/samples.json'), JSON.stringify(results, null, 1))
  if (given.quick) process.stdout.write(text)
  say(`Written: ${join(out, 'RESULTS.md')} and its charts.`)
}

process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
try {
  await run()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
