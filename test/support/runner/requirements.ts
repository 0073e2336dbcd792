import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

interface Requirement {
  /** Any one of these commands will do. */
  readonly commands: readonly string[]
  /** The Debian package that brings it. */
  readonly debianPackage: string
}

/** What the tests start on free ports of their own. A server that no test needs any more leaves this list. */
const REQUIREMENTS: readonly Requirement[] = [
  { commands: ['curl'], debianPackage: 'curl' },
  { commands: ['redis-server'], debianPackage: 'redis-server' },
  { commands: ['memcached'], debianPackage: 'memcached' },
  // Its own commands are in a directory of its version, which is on nobody's path.
  { commands: ['initdb', 'pg_ctlcluster'], debianPackage: 'postgresql' },
  { commands: ['chromium', 'chromium-browser', 'google-chrome'], debianPackage: 'chromium' },
]

/**
 * Makes sure that everything the tests need is installed. Installs what is missing if it may (root, with apt-get).
 * Throws an Error whose message says what to install, and how.
 */
export function ensureRequirements(): void {
  const packages = missingPackages()
  if (packages.length === 0) return
  const list = packages.join(' ')
  const command = `apt-get update && apt-get install -y --no-install-recommends ${list}`
  if (!isOnPath('apt-get')) {
    throw new Error(
      `The tests need what Debian calls ${list}. Install it; on Debian and its kin: sudo sh -c '${command}'`,
    )
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`The tests need ${list}. Install it with: sudo sh -c '${command}'`)
  }
  console.log(`Installing ${list} for the tests`)
  aptGet(['update'])
  aptGet(['install', '-y', '--no-install-recommends', ...packages])
  const still = missingPackages()
  if (still.length > 0) throw new Error(`apt-get reported success, yet the tests still miss ${still.join(' ')}.`)
}

function missingPackages(): string[] {
  return REQUIREMENTS.filter((requirement) => !requirement.commands.some(isOnPath)).map(
    (requirement) => requirement.debianPackage,
  )
}

function isOnPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
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
