import { connect } from 'node:net'
import { temporaryDirectory } from '../temporary-directory.ts'
import { commandOf, type Requirement } from './requirement.ts'
import { freePort, startServer } from './server-process.ts'

export const requires: Requirement = { commands: ['memcached'], debianPackage: 'memcached' }

/** A memcached process of its own on a free loopback port. It ends with the test process, however that ends. */
export interface MemcachedServer {
  readonly port: number
  /** `host:port`, as it stands in a URL. */
  readonly address: string
  readonly url: string
  /** Sends this over a connection of its own, and resolves to the answer's lines. A line end is added. */
  ask(command: string): Promise<string[]>
  /** One number of the answer to `stats`. */
  stat(name: string): Promise<number>
  /** Stops the process where it stands (SIGSTOP): connections stay open, nothing is answered. Resolves when it stands. */
  freeze(): Promise<void>
  thaw(): void
  /** kill -9; resolves when the port is closed. */
  kill(): Promise<void>
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>
  /** Ends it for good. */
  stop(): Promise<void>
}

export async function memcachedServer(...args: string[]): Promise<MemcachedServer> {
  const port = await freePort()
  const directory = temporaryDirectory('memcached-server')
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const command = [commandOf(requires), '-l', '127.0.0.1', '-p', `${port}`, '-U', '0', '-m', '64', ...user, ...args]
  let running = await startServer({ command, directory, port })
  const address = `127.0.0.1:${port}`
  return {
    port,
    address,
    url: `memcached://${address}`,
    ask: (line) => ask(port, line),
    async stat(name) {
      const line = (await ask(port, 'stats')).find((candidate) => candidate.startsWith(`STAT ${name} `))
      return Number(line?.split(' ')[2])
    },
    freeze: () => running.freeze(),
    thaw: () => running.thaw(),
    kill: () => running.kill(),
    async restart() {
      running = await startServer({ command, directory, port })
    },
    stop: () => running.kill(),
  }
}

function ask(port: number, command: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (text += chunk))
    socket.on('end', () => resolve(text.split('\r\n').slice(0, -1)))
    socket.on('error', reject)
    // After this the server hangs up, so that the end of the answer needs no guessing.
    socket.write(`${command}\r\nquit\r\n`)
  })
}
