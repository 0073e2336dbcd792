import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BENCH } from './processes.ts'

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
    execFileSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', directory, `node@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return binary
}

export function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
}
