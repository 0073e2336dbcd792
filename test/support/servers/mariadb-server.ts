import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../temporary-directory.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer, type ServerProcess } from './server-process.ts'

const run = promisify(execFile)

// An ordinary user does not have the folder of daemons on the path.
export const requires: Requirement = {
  commands: ['mariadbd', '/usr/sbin/mariadbd'],
  debianPackage: 'mariadb-server',
}

/** A MariaDB of its own on a free loopback port. It ends with the test process, however that ends. */
export interface MariadbServer {
  readonly port: number
  /** The superuser `root`, without a password, on the database `site`. */
  readonly url: string
  /** Runs SQL as the superuser; resolves to the rows, with tabs between their columns. */
  sql(text: string): Promise<string[]>
  freeze(): Promise<void>
  thaw(): void
  /** kill -9; resolves when the port is closed. */
  kill(): Promise<void>
  /** Starts it again on the same port, with what was committed. */
  restart(): Promise<void>
  /** Ends it for good. */
  stop(): Promise<void>
}

/** Nothing here has to outlive the machine, and little runs at once. */
const SETTINGS = [
  '--bind-address=127.0.0.1',
  '--innodb-flush-log-at-trx-commit=2',
  '--innodb-buffer-pool-size=16M',
  '--innodb-log-file-size=8M',
  '--skip-name-resolve',
  '--skip-log-bin',
]

export async function mariadbServer(): Promise<MariadbServer> {
  const port = await freePort()
  const directory = temporaryDirectory('mariadb-server')
  const data = join(directory, 'data')
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  const server = commandOf(requires)
  await run('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    ...user,
  ])
  const socket = join(directory, 'socket')
  const command = [
    server,
    '--no-defaults',
    `--datadir=${data}`,
    `--port=${port}`,
    `--socket=${socket}`,
    `--pid-file=${join(directory, 'pid')}`,
    ...SETTINGS,
    ...user,
  ]
  const start = (): Promise<ServerProcess> => startServer({ command, directory, port })
  let running = await start()
  const sql = async (text: string): Promise<string[]> => {
    const { stdout } = await run('mariadb', ['--no-defaults', '-u', 'root', '-S', socket, '-BN', '-e', text])
    return stdout.split('\n').slice(0, -1)
  }
  // Not `test`, which the installer opens to everybody.
  await sql('create database site')
  // A server that runs as root would also give this name to whoever comes by the port.
  await sql("create user if not exists root@'127.0.0.1'; grant all on *.* to root@'127.0.0.1' with grant option")
  return {
    port,
    url: `mysql://root@127.0.0.1:${port}/site`,
    sql,
    freeze: () => running.freeze(),
    thaw: () => running.thaw(),
    kill: () => running.kill(),
    async restart() {
      running = await start()
    },
    stop: () => running.kill(),
  }
}
