import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { findCommand, type Requirement } from '../servers/requirement.ts'

/**
 * Makes sure that the programs are installed which the helpers of these test files start. Installs what is missing if it
 * may (root, with apt-get). Throws an Error whose message says what to install, and how.
 */
export async function ensureRequirements(testFiles: readonly string[]): Promise<void> {
  const required = await requirementsOf(testFiles)
  const packages = missingPackages(required)
  if (packages.length === 0) return
  const list = packages.join(' ')
  const command = `apt-get update && apt-get install -y --no-install-recommends ${list}`
  if (findCommand({ commands: ['apt-get'] }) === undefined) {
    throw new Error(
      `These tests need what Debian calls ${list}. Install it; on Debian and its kin: sudo sh -c '${command}'`,
    )
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`These tests need ${list}. Install it with: sudo sh -c '${command}'`)
  }
  console.log(`Installing ${list} for the tests`)
  aptGet(['update'])
  aptGet(['install', '-y', '--no-install-recommends', ...packages])
  const still = missingPackages(required)
  if (still.length > 0) throw new Error(`apt-get reported success, yet the tests still miss ${still.join(' ')}.`)
}

/** What is stated by the files that the test files import, and by those that these import. */
async function requirementsOf(testFiles: readonly string[]): Promise<Requirement[]> {
  const files = new Set(testFiles.map((file) => resolve(file)))
  const required = new Map<string, Requirement>()
  // Grows while it is walked.
  for (const file of files) {
    const code = readFileSync(file, 'utf8')
    for (const imported of importsOf(file, code)) files.add(imported)
    if (!STATES_REQUIREMENT.test(code)) continue
    const { requires } = (await import(pathToFileURL(file).href)) as { requires: Requirement }
    required.set(requires.debianPackage, requires)
  }
  return [...required.values()].toSorted((one, other) => one.debianPackage.localeCompare(other.debianPackage))
}

const STATES_REQUIREMENT = /^export const requires\b/m

/** The compiler writes each import in a line of its own, and leaves out those of types. */
function importsOf(file: string, code: string): string[] {
  return [...code.matchAll(/^(?:import|export) .*?['"](\.[^'"]+)['"];?$/gm)]
    .map(([, name]) => resolve(dirname(file), name as string))
    .filter(existsSync)
}

function missingPackages(required: readonly Requirement[]): string[] {
  return required
    .filter((requirement) => findCommand(requirement) === undefined)
    .map((requirement) => requirement.debianPackage)
}

function aptGet(args: string[]): void {
  const { status, error, stdout, stderr } = spawnSync('apt-get', args, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status === 0) return
  throw new Error(`apt-get ${args.join(' ')} failed. It said:\n${stdout}${stderr}`, { cause: error })
}
