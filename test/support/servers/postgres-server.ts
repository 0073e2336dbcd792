import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../temporary-directory.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer } from './server-process.ts'

const run = promisify(execFile)

/** Debian puts the programs of each version into a directory of its own, which is on nobody's path. */
const DEBIAN = '/usr/lib/postgresql'
const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a)) : []

export const requires: Requirement = {
  commands: [...versions.map((version) => join(DEBIAN, version, 'bin/initdb')), 'initdb'],
  debianPackage: 'postgresql',
}

/** A PostgreSQL cluster of its own on a free loopback port. It ends with the test process, however that ends. */
export interface PostgresServer {
  /** For `pg`, and for psql: no password is needed. */
  readonly url: string
  /** Ends it for good. */
  stop(): Promise<void>
}

/** Nothing here has to outlive the machine, and little runs at once. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=16MB',
]

export async function postgresServer(): Promise<PostgresServer> {
  const bin = dirname(commandOf(requires))
  const port = await freePort()
  const directory = temporaryDirectory('postgres-server')
  const data = join(directory, 'data')
  mkdirSync(data, { mode: 0o700 })
  // PostgreSQL refuses to run as root; the Debian package brings a user for it.
  const isRoot = process.getuid?.() === 0
  const asUser = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--'] : []
  if (isRoot) await run('chown', ['-R', 'postgres:postgres', directory])
  const initdb = [
    join(bin, 'initdb'),
    '-D',
    data,
    '-U',
    'tests',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ]
  const [first, ...rest] = [...asUser, ...initdb]
  await run(first!, rest, { cwd: directory })

  const settings = SETTINGS.flatMap((setting) => ['-c', setting])
  const command = [...asUser, join(bin, 'postgres'), '-D', data, '-p', `${port}`, ...settings]
  // Killed, it would leave its shared memory behind; told to quit at once, it does so too.
  const running = await startServer({ command, directory, port, signal: 'QUIT' })
  return {
    url: `postgres://tests@127.0.0.1:${port}/postgres`,
    stop: () => running.kill(),
  }
}
