/**
 * What `npm run test:runtimes` runs: the checks of this folder on Bun and Deno. Both come from npm, into `.runtimes/`,
 * because each has a hundred megabytes: too much for everybody who works on the library. `npm run test:runtimes --
 * bun@1.3.0` runs that one alone.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ensureRequirements } from '../support/runner/requirements.ts'

const INSTALLED = resolve('.runtimes')
const CHECKS = join(import.meta.dirname, 'checks.js')

/** What stands before a program that is started by each of them. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  bun: [],
  // With the packages that npm has installed here, as an application that moves from Node has them.
  deno: ['run', '--allow-all', '--node-modules-dir=manual'],
}

async function main(wanted: string[]): Promise<void> {
  await ensureRequirements([CHECKS])
  const runtimes: Record<string, string[]> = {}
  for (const spec of wanted.length > 0 ? wanted : Object.keys(ARGUMENTS)) {
    const name = spec.replace(/@.*/, '')
    const args = ARGUMENTS[name]
    if (!args) throw new Error(`There is bun and deno, such as bun@1.3.0, but not ${spec}.`)
    const binary = installed(spec, name)
    const version = execFileSync(binary, ['--version'], { encoding: 'utf8' })
    const [number = ''] = /\d+\.\d+\.\d+/.exec(version) ?? []
    runtimes[`${name} ${number}`] = [binary, ...args]
  }
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', CHECKS], {
    stdio: 'inherit',
    env: { ...process.env, RUNTIMES: JSON.stringify(runtimes) },
  })
  process.exitCode = status ?? 1
}

/** The path of the runtime's program. Without a version, it is the one that was installed last, or the newest. */
function installed(spec: string, name: string): string {
  const directory = join(INSTALLED, spec)
  const binary = join(directory, 'node_modules/.bin', name)
  if (!existsSync(binary)) {
    console.log(`Installing ${spec} into .runtimes/${spec}`)
    mkdirSync(directory, { recursive: true })
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', directory, spec]
    execFileSync('npm', install, { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return binary
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
