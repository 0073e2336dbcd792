/**
 * What `npm run test:node -- 22 24 26` runs: the test suite on each of these versions of Node, one after the other. A
 * version that is not the running one comes from the npm package `node`, into `.node/`. Whatever is no number goes to
 * the suite: `npm run test:node -- 24 stores/file --test-name-pattern=prune`.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'

const VERSION = /^\d+(?:\.\d+){0,2}$/
const INSTALLED = resolve('.node')
const SUITE = join(import.meta.dirname, 'run.js')

function main(args: string[]): void {
  const versions = args.filter((argument) => VERSION.test(argument))
  const rest = args.filter((argument) => !VERSION.test(argument))
  if (versions.length === 0) throw new Error('Say on which versions of Node: npm run test:node -- 22 24 26')
  const failed = versions.filter((version) => !isGreenOn(binaryOf(version), rest))
  if (failed.length > 0) throw new Error(`The tests failed on Node ${failed.join(' and ')}.`)
}

function isGreenOn(binary: string, args: string[]): boolean {
  console.log(`\n==> Node ${execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()}`)
  const { status } = spawnSync(binary, [SUITE, ...args], {
    stdio: 'inherit',
    // Also for what the tests start by the name of `node`.
    env: { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env['PATH']}` },
  })
  return status === 0
}

function binaryOf(version: string): string {
  if (`${process.versions.node}.`.startsWith(`${version}.`)) return process.execPath
  const directory = join(INSTALLED, version)
  const binary = join(directory, 'node_modules/node/bin/node')
  if (!existsSync(binary)) {
    console.log(`Installing Node ${version} into .node/${version}`)
    mkdirSync(directory, { recursive: true })
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', directory, `node@${version}`]
    execFileSync('npm', install, { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return binary
}

try {
  main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
