/**
 * What `npm run test:node -- 22 24 26` runs: the test suite on each of these versions of Node, one after the other. A
 * version that is not the running one comes from the npm package `node`, into `.node/`. Whatever is no number goes to
 * the suite: `npm run test:node -- 24 stores/file --test-name-pattern=prune`.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { environmentOf, nodeBinary } from './node-binary.ts'

const VERSION = /^\d+(?:\.\d+){0,2}$/
const SUITE = join(import.meta.dirname, 'run.js')

function main(args: string[]): void {
  const versions = [...new Set(args.filter((argument) => VERSION.test(argument)))]
  const rest = args.filter((argument) => !VERSION.test(argument))
  if (versions.length === 0) throw new Error('Say on which versions of Node: npm run test:node -- 22 24 26')
  const failed = versions.filter((version) => !isGreenOn(nodeBinary(version), rest))
  if (failed.length > 0) throw new Error(`The tests failed on Node ${failed.join(' and ')}.`)
}

function isGreenOn(binary: string, args: string[]): boolean {
  console.log(`\n==> Node ${execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()}`)
  const { status } = spawnSync(binary, [SUITE, ...args], {
    stdio: 'inherit',
    env: environmentOf(binary),
  })
  return status === 0
}

try {
  main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
