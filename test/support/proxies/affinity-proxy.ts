import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandOf, type Requirement } from '../servers/requirement.ts'
import { freePort, startServer } from '../servers/server-process.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

/** Debian puts nginx where only root's path leads. */
export const requires: Requirement = { commands: ['nginx', '/usr/sbin/nginx'], debianPackage: 'nginx' }

/**
 * An nginx of its own that spreads requests over several servers as these directives of its `http` block say, which name
 * the upstream `site`. It ends with the test process, however that ends.
 */
export async function affinityProxy(directives: string): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort()
  const directory = temporaryDirectory('affinity-proxy')
  mkdirSync(join(directory, 'logs'))
  const configuration = join(directory, 'nginx.conf')
  // In one process, so that the end of that process is the end of nginx. Relative paths are in its directory.
  const temporary = ['client_body', 'fastcgi', 'uwsgi', 'scgi', 'proxy'].map((name) => `${name}_temp_path ${name};`)
  writeFileSync(
    configuration,
    `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
    http {
      access_log off; ${temporary.join(' ')}
      ${directives}
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://site; proxy_set_header Host $http_host; } }
    }`,
  )
  const command = [commandOf(requires), '-p', directory, '-c', configuration, '-e', 'stderr']
  const running = await startServer({ command, directory, port })
  return { port, stop: () => running.kill() }
}
