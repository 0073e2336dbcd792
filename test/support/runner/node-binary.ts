import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'

const INSTALLED = resolve('.node')

/**
 * The path to this version of Node, such as `24` or `22.12.0`. A version that is not the running one comes from the npm
 * package `node`, into `.node/`.
 */
export function nodeBinary(version: string): string {
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

/** The environment in which whatever a test starts by the name of `node` is this binary too. */
export function environmentOf(binary: string): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env['PATH']}` }
}
