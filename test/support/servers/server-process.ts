import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { readdirSync, readFileSync } from 'node:fs'

/** A server's process, which ends with the test process, however that ends. */
export interface ServerProcess {
  readonly pid: number
  /** Ends it with the signal it was started for; resolves when its port is closed. Its directory stays. */
  kill(): Promise<void>
  /** Stops it where it stands (SIGSTOP): connections stay open, nothing is answered. Resolves when it stands. */
  freeze(): Promise<void>
  thaw(): void
}

export interface ServerCommand {
  readonly command: readonly string[]
  /** Where its log goes; removed when the test process ends without having killed the server. */
  readonly directory: string
  /** Where it listens: a port, or the path of a socket. */
  readonly port: number | string
  /** How it is told to end at once. Default KILL. */
  readonly signal?: 'KILL' | 'QUIT'
}

// The shell waits on a pipe whose other end only the test process holds, and ends the server when the pipe closes. A
// server that stands still hears of any signal but KILL only when it goes on.
const SCRIPT = `d=$1 s=$2; shift 2; "$@" >"$d/log" 2>&1 & echo $!; read word; kill -$s $!; kill -CONT $! 2>/dev/null
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
    async freeze() {
      process.kill(pid, 'SIGSTOP')
      // Each of its threads stops when it gets to it, and would still answer until then.
      await until(() => threadStates(pid).every((state) => state === 'T'))
    },
    thaw: () => void process.kill(pid, 'SIGCONT'),
  }
}

/** `T` is a thread that is stopped. A thread that has ended since it was listed has no state any more. */
function threadStates(pid: number): string[] {
  const folder = `/proc/${pid}/task`
  return readdirSync(folder).flatMap((thread) => {
    try {
      return [/\) (\w)/.exec(readFileSync(join(folder, thread, 'stat'), 'utf8'))![1]!]
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code!)) return []
      throw error
    }
  })
}

/** Whether somebody listens on this port, or this socket. */
export function isOpen(port: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof port === 'string' ? connect(port) : connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Brings a server back that a failed test has left frozen or killed, so that the tests after it do not fail too. */
export async function revive(server: {
  readonly port: number
  thaw(): void | Promise<void>
  restart(): Promise<void>
}): Promise<void> {
  if (await isOpen(server.port)) await server.thaw()
  else await server.restart()
}

/** Resolves when the condition holds; rejects after the limit. */
export async function until(condition: () => boolean | Promise<boolean>, limit = 60_000): Promise<void> {
  const end = Date.now() + limit
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`the condition did not come true within ${limit} ms`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The held ports that go with them lie between the ports of the system and these, and no system hands out either by itself. */
const [FIRST_PORT, PORTS, TO_HELD] = [20_000, 12_000, -12_000]

/**
 * Free, and no other test process chooses it while this one lives, neither before its server listens nor while that is
 * down. For each chosen port this process holds another one: the system gives it to one process only, and takes it back
 * however that process ends.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const holder = await listenTo(port + TO_HELD)
    if (holder === undefined) continue
    holder.unref()
    const probe = await listenTo(port)
    if (probe === undefined) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}

/** Undefined means that somebody else does. */
async function listenTo(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1')
  return once(server, 'listening').then(
    () => server,
    () => undefined,
  )
}
