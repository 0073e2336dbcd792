import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { LOAD_CPU, pinned, succeeds } from './processes.ts'

/** A Redis of our own, without persistence, beside the load generator. */
export class PrivateRedis {
  readonly port: number
  readonly #process: ChildProcess

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.#process = child
  }

  static async start(): Promise<PrivateRedis> {
    if (!succeeds('redis-server', ['--version'])) {
      throw new Error(
        'redis-server is not installed. Install it (Debian: apt-get install redis-server), or leave out variants with --variants.',
      )
    }
    const port = await freePort()
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--daemonize',
      'no',
    ]
    const child = spawn(...pinned(LOAD_CPU, 'redis-server', settings), {
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: tmpdir(),
    })
    for await (const chunk of child.stdout) if (String(chunk).includes('Ready to accept connections')) break
    return new PrivateRedis(port, child)
  }

  /** Calls so far, by command; those of `commands` itself left out. */
  commands(): Record<string, number> {
    const text = execFileSync('redis-cli', ['-p', String(this.port), 'INFO', 'commandstats'], { encoding: 'utf8' })
    const counts = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]): [string, number] => [
      name as string,
      Number(calls),
    ])
    return Object.fromEntries(counts.filter(([name]) => name !== 'info'))
  }

  /** At once, for when this process ends before its time. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
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
