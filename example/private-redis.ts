import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

export interface PrivateRedis {
  /** For SESSION_STORE. */
  url: string
  /** Resolves when it has ended. What it held is gone. */
  stop(): Promise<void>
}

/** A redis-server that only this machine reaches, on a free port. Rejects with ENOENT where none is installed. */
export async function startPrivateRedis(): Promise<PrivateRedis> {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  // In a process group of its own, so that Ctrl-C does not end it before the processes that still save sessions in it.
  const server = spawn('redis-server', args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(server, 'exit')
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: server.stdout }).on('line', (line) => {
      if (line.includes('Ready to accept connections')) resolve()
    })
  })
  await Promise.race([ready, ended.then(() => Promise.reject(new Error('redis-server ended as soon as it began')))])
  const kill = (): void => void server.kill()
  process.once('exit', kill) // should this process end in any other way than by stop()
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      process.off('exit', kill)
      kill()
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
