import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '../temporary-directory.ts'
import type { PostgresServer } from './postgres-server.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer } from './server-process.ts'

// An ordinary user does not have the folder of daemons on the path.
export const requires: Requirement = {
  commands: ['pgbouncer', '/usr/sbin/pgbouncer'],
  debianPackage: 'pgbouncer',
}

/** A pooler before a PostgreSQL, which gives each transaction whatever connection is free. */
export interface Pgbouncer {
  /** As the server's own URL, with the pooler's port. */
  readonly url: string
  stop(): Promise<void>
}

/** `users`: the roles that may come by. `connections`: how many to the server there are for each of them. */
export async function pgbouncer(
  server: PostgresServer,
  users: readonly string[],
  connections: number,
): Promise<Pgbouncer> {
  const port = await freePort()
  const directory = temporaryDirectory('pgbouncer')
  writeFileSync(join(directory, 'users'), users.map((user) => `"${user}" ""\n`).join(''))
  const settings = join(directory, 'pgbouncer.ini')
  writeFileSync(
    settings,
    `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(directory, 'users')}
pool_mode = transaction
default_pool_size = ${connections}
`,
  )
  // pgbouncer refuses to run as root; the Debian package brings PostgreSQL's user along.
  const isRoot = process.getuid?.() === 0
  const asUser = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--'] : []
  if (isRoot) execFileSync('chown', ['-R', 'postgres:postgres', directory])
  const running = await startServer({ command: [...asUser, commandOf(requires), settings], directory, port })
  const url = new URL(server.url)
  url.port = String(port)
  return { url: url.href, stop: () => running.kill() }
}
