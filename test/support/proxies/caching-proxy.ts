import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandOf, type Requirement } from '../servers/requirement.ts'
import { freePort, startServer } from '../servers/server-process.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

/** Debian puts nginx where only root's path leads. */
export const requires: Requirement = { commands: ['nginx', '/usr/sbin/nginx'], debianPackage: 'nginx' }

/**
 * An nginx of its own in front of a site, which keeps pages and serves them to everybody, as a cache that visitors share
 * does. Each answer has the header `X-Cache`: `MISS` if the site was asked, `HIT` if not. The proxy ends with the test
 * process, however that ends.
 */
export interface CachingProxy {
  readonly port: number
  readonly url: string
  /** Ends it for good. */
  stop(): Promise<void>
}

/**
 * In front of the site on this port. `keep` says for how long pages are kept whose site says nothing about it, such as
 * `1m`; without it, only pages are kept whose site allows it by `Cache-Control` or `Expires`.
 */
export async function cachingProxy(targetPort: number, { keep }: { keep?: string } = {}): Promise<CachingProxy> {
  const port = await freePort()
  const directory = temporaryDirectory('caching-proxy')
  mkdirSync(join(directory, 'logs'))
  const configuration = join(directory, 'nginx.conf')
  writeFileSync(configuration, configurationOf(port, targetPort, keep))
  const command = [commandOf(requires), '-p', directory, '-c', configuration, '-e', 'stderr']
  const running = await startServer({ command, directory, port })
  return { port, url: `http://127.0.0.1:${port}`, stop: () => running.kill() }
}

/** In one process, so that the end of that process is the end of nginx. Relative paths are in its directory. */
function configurationOf(port: number, targetPort: number, keep: string | undefined): string {
  return `
    daemon off;
    master_process off;
    pid nginx.pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path body;
      fastcgi_temp_path fastcgi;
      uwsgi_temp_path uwsgi;
      scgi_temp_path scgi;
      proxy_temp_path temp;
      proxy_cache_path pages keys_zone=pages:1m;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${targetPort};
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-For $remote_addr;
          proxy_cache pages;
          proxy_cache_key $request_uri;
          ${keep === undefined ? '' : `proxy_cache_valid 200 ${keep};`}
          add_header X-Cache $upstream_cache_status always;
        }
      }
    }`
}
