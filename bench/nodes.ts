import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BENCH } from './processes.ts'

const QUIETLY = ['--no-save', '--no-audit', '--no-fund']

/** Installs the peers beside the servers, at the first run. */
export function installPeers(say: (text: string) => void): void {
  if (existsSync(join(BENCH, 'node_modules/express/package.json'))) return
  say('Installing the peers into bench/node_modules …')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** The binary of this major version of Node: the running one, or one from the npm package `node`. */
export function nodeBinary(version: string, say: (text: string) => void): string {
  if (version === '' || version === process.versions.node.split('.')[0]) return process.execPath
  const directory = join(BENCH, '.node', version)
  const binary = join(directory, 'node_modules/node/bin/node')
  if (!existsSync(binary)) {
    say(`Installing Node ${version} into bench/.node/${version} …`)
    mkdirSync(directory, { recursive: true })
    execFileSync('npm', ['install', ...QUIETLY, '--prefix', directory, `node@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return binary
}

/**
 * Installs the better-sqlite3 for this binary beside it. The copy beside the servers fits the running version of Node only,
 * and its version 12 aborts on Node 24. `servers/express.mjs` finds the new one by the path of the binary that runs it.
 */
export function installSqlite(binary: string, say: (text: string) => void): void {
  if (binary === process.execPath) return
  const directory = join(dirname(binary), '../../../sqlite')
  if (existsSync(join(directory, 'node_modules/better-sqlite3/package.json'))) return
  say(`Installing better-sqlite3 13 for Node ${versionOf(binary)} …`)
  mkdirSync(directory, { recursive: true })
  execFileSync('npm', ['install', ...QUIETLY, '--prefix', directory, 'better-sqlite3@13'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

export function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
}
