import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface PrivateRedis {
  /** For SESSION_STORE. */
  url: string
  /** Resolves when it has ended. What it holds waits on disk for `resume`. */
  pause(): Promise<void>
  /** Resolves when it is there again. */
  resume(): Promise<void>
  /** Resolves when it has ended for good. What it held is gone. */
  stop(): Promise<void>
}

/** A redis-server that only this machine reaches, on a free port. Rejects with ENOENT where none is installed. */
export async function startPrivateRedis(): Promise<PrivateRedis> {
  const port = await freePort()
  const directory = mkdtempSync(join(tmpdir(), 'example-redis-'))
  // It writes what it holds when it is asked to end, and only then.
  const saving = ['--dir', directory, '--save', '3600', '1000000000', '--appendonly', 'no']
  const args = ['--port', String(port), '--bind', '127.0.0.1', ...saving]
  let running: { server: ChildProcess; ended: Promise<unknown> } | undefined
  let isOver = false

  const clear = (): void => {
    running?.server.kill()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('exit', clear) // should this process end in any other way than by stop()

  async function resume(): Promise<void> {
    if (running || isOver) return
    // In a process group of its own, so that Ctrl-C does not end it before the processes that still save sessions in it.
    const server = spawn('redis-server', args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(server, 'exit')
    running = { server, ended }
    const ready = new Promise<void>((resolve) => {
      createInterface({ input: server.stdout }).on('line', (line) => {
        if (line.includes('Ready to accept connections')) resolve()
      })
    })
    await Promise.race([ready, ended.then(() => Promise.reject(new Error('redis-server ended as soon as it began')))])
  }

  async function pause(): Promise<void> {
    const ending = running
    running = undefined
    ending?.server.kill()
    await ending?.ended
  }

  try {
    await resume()
  } catch (error) {
    clear()
    throw error
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    pause,
    resume,
    async stop() {
      isOver = true
      await pause()
      process.off('exit', clear)
      clear()
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
