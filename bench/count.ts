// What a request costs in instructions: a count that is the same on a busy machine. A server runs under valgrind, which
// counts what its process does outside of the kernel.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { instructionsIn } from './callgrind.ts'
import { countTables, isSteady, type Count, type Counts } from './count-report.ts'
import { installPeers, nodeBinary, versionOf } from './nodes.ts'
import { Load, ROOT, startServer, succeeds, type Server } from './processes.ts'
import { PrivateRedis } from './redis.ts'
import { scenarioNamed, type Scenario } from './scenarios.ts'
import { variantNamed, type Variant } from './variants.ts'

const COMPARED = 'koa-bare,koa-als,koa-mechanism,ours-memory,ours-redis,ours-file,koa-session-map,koa-session-redis'
const HELP = `npm run bench:count -- [options]

  --scenarios warm-read                 as in npm run bench
  --variants ${COMPARED}
  --node 24                             the major version of Node that runs the servers
  --warm-up 3000                        requests before the first one that is counted
  --slices 6                            slices of at least 400 requests that are counted, of each server
  --out dist/bench                      where counts.json and COUNTS.md go; --out bench writes down what is kept
`

const { values: given } = parseArgs({
  options: {
    scenarios: { type: 'string', default: 'warm-read' },
    variants: { type: 'string', default: COMPARED },
    node: { type: 'string', default: '24' },
    'warm-up': { type: 'string', default: '3000' },
    slices: { type: 'string', default: '6' },
    out: { type: 'string', default: 'dist/bench' },
    help: { type: 'boolean', default: false },
  },
})
const SLICE_REQUESTS = 400
const SLICE_MILLISECONDS = 500

/**
 * One thread does everything, and the same at each run. What is hot is compiled after hundreds of calls, and not thousands.
 * And V8 does nothing because some time has passed, as under valgrind it passes slowly.
 */
const STEADY_FLAGS = [
  '--single-threaded',
  '--predictable-gc-schedule',
  '--random-seed=1',
  '--hash-seed=1',
  '--invocation-count-for-maglev=200',
  '--invocation-count-for-turbofan=600',
  '--minimum-invocations-after-ic-update=100',
  '--no-memory-reducer',
  '--no-flush-bytecode',
  '--initial-heap-size=400',
]

const run = promisify(execFile)

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** A running server whose instructions are counted between two questions. */
class Counter {
  readonly #server: Server
  readonly #directory: string

  constructor(server: Server, directory: string) {
    this.#server = server
    this.#directory = directory
  }

  async begin(): Promise<void> {
    await this.#ask('-i', 'on')
  }

  /** The instructions since the last call of this. */
  async take(): Promise<number> {
    const before = new Set(readdirSync(this.#directory))
    await this.#ask('-d')
    const name = readdirSync(this.#directory).find((each) => !before.has(each))
    if (name === undefined) throw new Error('valgrind has written no count')
    return instructionsIn(readFileSync(join(this.#directory, name), 'latin1'))
  }

  async #ask(...question: string[]): Promise<void> {
    await run('callgrind_control', [...question, String(this.#server.pid)])
  }
}

async function requests(load: Load, server: Server, least: number): Promise<number> {
  let done = 0
  while (done < least) done += (await load.slice(server.name, SLICE_MILLISECONDS)).requests
  return done
}

async function countOf(scenario: Scenario, variant: Variant, load: Load, redisPort: number): Promise<Count> {
  const directory = mkdtempSync(join(tmpdir(), 'session-count-'))
  const under = [
    'valgrind',
    '--tool=callgrind',
    '--instr-atstart=no',
    // Compiled JavaScript changes where it stands.
    '--smc-check=all-non-file',
    `--callgrind-out-file=${join(directory, 'count')}`,
  ]
  const node = nodeBinary(given.node, say)
  const server = await startServer(variant, {
    node,
    isFree: true,
    under,
    flags: STEADY_FLAGS,
    redisPort,
    cache: scenario.cache,
  })
  try {
    await load.open(server.name, [server.port], scenario, variant.isBare ?? false)
    if (scenario.rotates) await server.rotate()
    await requests(load, server, Number(given['warm-up']))
    const counter = new Counter(server, directory)
    await counter.begin()
    await requests(load, server, 1)
    await counter.take()
    const slices: number[] = []
    for (let slice = 0; slice < Number(given.slices); slice++) {
      const done = await requests(load, server, SLICE_REQUESTS)
      slices.push(Math.round((await counter.take()) / done))
    }
    return { scenario: scenario.name, variant: variant.name, slices }
  } finally {
    await load.close(server.name)
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function count(): Promise<void> {
  if (given.help) {
    process.stdout.write(HELP)
    return
  }
  for (const program of ['valgrind', 'callgrind_control']) {
    if (succeeds(program, ['--version'])) continue
    throw new Error(`${program} is not installed, and nothing else counts here. Debian: apt-get install valgrind.`)
  }
  installPeers(say)
  const variants = given.variants.split(',').map(variantNamed)
  const scenarios = given.scenarios.split(',').map(scenarioNamed)
  const redis = variants.some(({ usesRedis }) => usesRedis) ? await PrivateRedis.start() : undefined
  process.on('exit', () => redis?.kill())
  const load = await Load.start()
  const counts: Count[] = []
  try {
    for (const scenario of scenarios) {
      for (const variant of variants) {
        const one = await countOf(scenario, variant, load, redis?.port ?? 0)
        counts.push(one)
        say(`${scenario.name}, ${variant.name}: ${one.slices.join(' ')}${isSteady(one) ? '' : ', not steady'}`)
      }
    }
  } finally {
    await load.stop()
    await redis?.stop()
  }
  const result: Counts = { node: versionOf(nodeBinary(given.node, say)), counts }
  const table = `${countTables(result).join('\n')}\n`
  const out = resolve(ROOT, given.out)
  writeFileSync(join(out, 'counts.json'), `${JSON.stringify(result, undefined, 2)}\n`)
  writeFileSync(join(out, 'COUNTS.md'), table)
  process.stdout.write(table)
}

try {
  await count()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
process.exit()
