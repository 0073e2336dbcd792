import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../temporary-directory.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer, until, type ServerProcess } from './server-process.ts'

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
  readonly port: number
  /** Where the data is, for a test that makes a standby of it. */
  readonly data: string
  /** For `pg`, and for psql: no password is needed. */
  readonly url: string
  /** Runs SQL as the superuser; resolves to the rows, with `|` between their columns. */
  sql(text: string): Promise<string[]>
  /** Stops all its processes where they stand (SIGSTOP): connections stay open, nothing is answered. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Ends it and all its processes at once, without a word to its clients; resolves when the port is closed. */
  kill(): Promise<void>
  /** Starts it again on the same port, with what was committed. */
  restart(): Promise<void>
  /** Ends it for good. */
  stop(): Promise<void>
}

/** What was committed has to outlive the server, and not the machine; and little runs at once. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'fsync=off',
  'full_page_writes=off',
  'shared_buffers=16MB',
]

/** `settings`: more of them, such as `max_connections=10`. */
export async function postgresServer(...settings: readonly string[]): Promise<PostgresServer> {
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

  const all = [...SETTINGS, ...settings].flatMap((setting) => ['-c', setting])
  const command = [...asUser, join(bin, 'postgres'), '-D', data, '-p', `${port}`, ...all]
  // Killed, it would leave its shared memory behind; told to quit at once, it does so too.
  const start = async (): Promise<ServerProcess> => {
    const started = await startServer({ command, directory, port, signal: 'QUIT' })
    // It listens before it answers.
    const isReady = [join(bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', `${port}`]] as const
    await until(() =>
      run(...isReady).then(
        () => true,
        () => false,
      ),
    )
    return started
  }
  let running = await start()
  const url = `postgres://tests@127.0.0.1:${port}/postgres`
  const signalAll = async (signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> => {
    const isDone = (pid: number): boolean => [signal === 'SIGSTOP', undefined].includes(isStopped(pid))
    // First the one that makes the others.
    process.kill(running.pid, signal)
    await until(() => isDone(running.pid))
    const { stdout } = await run('pgrep', ['-P', `${running.pid}`])
    const pids = stdout.trim().split('\n').map(Number)
    for (const pid of pids) {
      try {
        process.kill(pid, signal)
      } catch {} // it has ended meanwhile
    }
    await until(() => pids.every(isDone))
  }
  return {
    port,
    data,
    url,
    async sql(text) {
      const { stdout } = await run(join(bin, 'psql'), ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text, url])
      return stdout.split('\n').slice(0, -1)
    },
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    kill: () => running.kill(),
    async restart() {
      running = await start()
    },
    stop: () => running.kill(),
  }
}

/** Whether the process stands still; `undefined` if it has ended. */
function isStopped(pid: number): boolean | undefined {
  try {
    const [, state] = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    return state === 'Z' ? undefined : state === 'T'
  } catch {
    return undefined
  }
}
