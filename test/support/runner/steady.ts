/**
 * What `npm run test:steady` runs: the test suite ten times in a row, while a busy loop on each core makes the machine
 * slow. A test that needs luck or a quick machine fails in one of them. Prints a table at the end, and exits with 1 if
 * any run was red.
 *
 * `--times 20` runs it so many times, `--node 24` on that version of Node. All else goes to the suite:
 * `npm run test:steady -- --times 20 --node 24 g04 checker --test-name-pattern=touch`.
 */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Worker } from 'node:worker_threads'
import { environmentOf, nodeBinary } from './node-binary.ts'
import { outcomeOf, type Outcome } from './outcome.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const SUITE = join(import.meta.dirname, 'run.js')

interface Wanted {
  readonly times: number
  readonly node: string | undefined
  /** For the suite. */
  readonly rest: readonly string[]
}

interface Run extends Outcome {
  readonly seconds: number
  readonly isGreen: boolean
  /** What it printed. Kept only if it was red. */
  readonly log: string
}

async function main(args: readonly string[]): Promise<void> {
  const { times, node, rest } = wantedOf(args)
  const binary = node === undefined ? process.execPath : nodeBinary(node)
  const logs = mkdtempSync(join(tmpdir(), 'test-steady-'))
  const busy = Array.from({ length: availableParallelism() }, () => new Worker('for (;;) {}', { eval: true }))
  const runs: Run[] = []
  try {
    for (let number = 1; number <= times; number++) {
      const run = await runOnce(binary, rest, join(logs, `${number}.log`))
      runs.push(run)
      console.log(`run ${number} of ${times}: ${run.isGreen ? 'green' : `RED, see ${run.log}`}, ${run.seconds} s`)
    }
  } finally {
    await Promise.all(busy.map((worker) => worker.terminate()))
  }
  console.log(tableOf(runs))
  if (runs.some(({ isGreen }) => !isGreen)) process.exitCode = 1
  else rmSync(logs, { recursive: true })
}

function wantedOf(args: readonly string[]): Wanted {
  const rest = [...args]
  const times = Number(takeOption(rest, '--times') ?? 10)
  if (!Number.isSafeInteger(times) || times < 1) throw new Error('--times takes a whole number of runs, such as 20.')
  return { times, node: takeOption(rest, '--node'), rest }
}

/** Takes an option and its value out of the arguments: `--times 20` or `--times=20`. */
function takeOption(args: string[], name: string): string | undefined {
  const at = args.findIndex((argument) => argument === name || argument.startsWith(`${name}=`))
  if (at < 0) return undefined
  const [own = ''] = args.splice(at, 1)
  return own === name ? args.splice(at, 1)[0] : own.slice(name.length + 1)
}

async function runOnce(binary: string, args: readonly string[], log: string): Promise<Run> {
  const began = performance.now()
  const child = spawn(binary, [SUITE, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environmentOf(binary),
  })
  const stop = (): void => {
    child.kill('SIGTERM')
    process.exit(130)
  }
  for (const signal of SIGNALS) process.once(signal, stop)
  const file = createWriteStream(log)
  child.stderr.pipe(file, { end: false })
  const exit = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  await pipeline(child.stdout, file, { end: false })
  const isGreen = (await exit) === 0
  for (const signal of SIGNALS) process.off(signal, stop)
  await new Promise<void>((resolve) => file.end(resolve))
  const seconds = Math.round((performance.now() - began) / 1000)
  const outcome = outcomeOf(readFileSync(log, 'utf8'))
  if (isGreen) rmSync(log)
  return { ...outcome, seconds, isGreen, log }
}

function tableOf(runs: readonly Run[]): string {
  const rows = runs.map(({ seconds, passed, failed, names, isGreen, log }, index) => {
    const reasons = isGreen ? '' : names.join('\n' + ' '.repeat(36)) || `no test has failed: see ${log}`
    return [index + 1, seconds, passed, failed].map((value) => String(value).padStart(7)).join('  ') + `  ${reasons}`
  })
  const head = ['run', 'seconds', 'passed', 'failed'].map((name) => name.padStart(7)).join('  ')
  return ['', `${head}  failed tests`, ...rows.map((row) => row.trimEnd())].join('\n')
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
