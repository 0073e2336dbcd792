import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { until } from './redis-server.ts'

/** A server's process, which ends with the test process, however that ends. */
export interface ServerProcess {
  readonly pid: number
  /** Ends it with the signal it was started for; resolves when its port is closed. Its directory stays. */
  kill(): Promise<void>
}

export interface ServerCommand {
  readonly command: readonly string[]
  /** Where its log goes; removed when the test process ends without having killed the server. */
  readonly directory: string
  readonly port: number
  /** How it is told to end at once. Default KILL. */
  readonly signal?: 'KILL' | 'QUIT'
}

// The shell waits on a pipe whose other end only the test process holds, and ends the server when the pipe closes.
const SCRIPT = `d=$1 s=$2; shift 2; "$@" >"$d/log" 2>&1 & echo $!; read word; kill -$s $!
  [ "$word" ] || { wait; rm -rf "$d"; }`

/** Starts a server and resolves when it accepts connections. */
export async function startServer(server: ServerCommand): Promise<ServerProcess> {
  const { command, directory, port, signal = 'KILL' } = server
  const shell = spawn('sh', ['-c', SCRIPT, 'sh', directory, signal, ...command], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  const [line] = (await once(shell.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString())
  // Neither the shell nor the pipes to it keep the test process alive.
  shell.unref()
  for (const pipe of [shell.stdin, shell.stdout]) (pipe as unknown as { unref(): void }).unref()
  await until(() => isOpen(port)).catch((cause: unknown) => {
    throw new Error(`${command[0]} did not start:\n${readFileSync(join(directory, 'log'), 'utf8')}`, { cause })
  })
  return {
    pid,
    async kill() {
      shell.stdin.end('and keep the directory\n')
      await until(async () => !(await isOpen(port)))
    },
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
