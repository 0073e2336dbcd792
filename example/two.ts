/**
 * Starts the site twice, on one port and over one store, to watch two processes share their sessions. Takes the same
 * settings as server.ts; without a SESSION_STORE it starts a redis-server that ends with it. REDIS_AWAY: for how many
 * milliseconds at least that one is away when the page under the hood stops it (default 10000).
 */
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { join } from 'node:path'
import { startPrivateRedis, type PrivateRedis } from './private-redis.ts'
import { KEY_FILE } from './signing-key.ts'
import { attend } from './under-the-hood/primary.ts'

const NAMES = ['A', 'B']
const ENDINGS = ['SIGINT', 'SIGTERM', 'SIGHUP']

async function main(): Promise<void> {
  const asked = Promise.race(ENDINGS.map((signal) => once(process, signal)))
  const redis = process.env.SESSION_STORE ? undefined : await startPrivateRedis()
  const workers: Worker[] = []
  try {
    let port = 0
    for (const name of NAMES) {
      const worker = fork(name, redis)
      workers.push(worker)
      port = await portOf(worker)
    }
    attend({ workers, redis, away: Number(process.env.REDIS_AWAY ?? 10_000), keyFile: KEY_FILE })
    console.log(
      `The example is at http://${process.env.HOST ?? 'localhost'}:${port}, by two processes; the foot of each page says which answered.`,
    )
    console.log(
      redis
        ? 'Sessions are kept in a Redis that ends with this command; in one that stays with: SESSION_STORE=redis://127.0.0.1:6379 npm run start:two'
        : 'Sessions are kept where SESSION_STORE says.',
    )
    await Promise.race([asked, ...workers.map(failure)])
  } finally {
    await Promise.all(workers.map(stop))
    await redis?.stop() // last, because requests under way still save their sessions
  }
}

/** The cluster module lets both listen on the same port, and gives each new connection to the next of them. */
function fork(name: string, redis: PrivateRedis | undefined): Worker {
  // What server.ts prints is said here once for both; its complaints are shown.
  cluster.setupPrimary({ exec: join(import.meta.dirname, 'server.js'), stdio: ['inherit', 'ignore', 'inherit', 'ipc'] })
  return cluster.fork({ PROCESS_NAME: name, ...(redis && { SESSION_STORE: redis.url, OWN_REDIS: '1' }) })
}

async function portOf(worker: Worker): Promise<number> {
  const [address] = (await Promise.race([once(worker, 'listening'), failure(worker)])) as [{ port: number }]
  return address.port
}

async function failure(worker: Worker): Promise<never> {
  await once(worker, 'exit')
  throw new Error('One of the two processes has ended by itself.')
}

async function stop(worker: Worker): Promise<void> {
  if (worker.isDead()) return
  const ended = once(worker, 'exit')
  worker.process.kill('SIGTERM') // for which server.ts lets the requests under way finish
  worker.disconnect() // without which a worker stays
  await ended
}

main().catch((error: NodeJS.ErrnoException) => {
  console.error(error.code === 'ENOENT' ? NO_REDIS : error.message)
  process.exitCode = 1
})

const NO_REDIS = `There is no redis-server here. Any one of these will do:
- on Debian or Ubuntu: sudo apt-get install redis-server
- on macOS: brew install redis
- a Redis that runs already: SESSION_STORE=redis://127.0.0.1:6379 npm run start:two`
