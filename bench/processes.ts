import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Scenario } from './scenarios.ts'
import type { Variant } from './variants.ts'

/** The root of the repository; this file runs from dist/bench. */
export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))
export const BENCH: string = join(ROOT, 'bench')

/** What the load generator is asked. */
export type LoadQuestion =
  | { readonly ask: 'open'; readonly port: number; readonly scenario: Scenario; readonly isBare: boolean }
  | { readonly ask: 'slice'; readonly port: number; readonly milliseconds: number }
  | { readonly ask: 'close'; readonly port: number }
export type LoadAnswer = { readonly id: number; readonly result?: SliceResult | undefined; readonly error?: string }

export interface SliceResult {
  readonly requests: number
  readonly seconds: number
}

/** What a server has used since it began. */
export interface Usage {
  /** Microseconds of processor time, of all its threads. */
  readonly cpu: number
  /** Bytes. */
  readonly rss: number
}

/** Whether processes can be tied to processors: with one processor, or without taskset, they share. */
export const isPinned: boolean = availableParallelism() > 1 && succeeds('taskset', ['-c', '0', 'true'])
const SERVER_CPU = 0
const LOAD_CPU = 1

export function succeeds(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** What to spawn, so that it stays on this processor. */
function pinned(cpu: number, command: string, args: readonly string[]): [command: string, args: string[]] {
  return isPinned ? ['taskset', ['-c', String(cpu), command, ...args]] : [command, [...args]]
}

/** A child that answers questions, one at a time or many. */
class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>()
  readonly #listeners = new Set<() => void>()
  #lastId = 0
  #lastWords = ''
  port = 0

  constructor(cpu: number, command: string, args: readonly string[]) {
    this.#process = spawn(...pinned(cpu, command, args), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], cwd: BENCH })
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString()).slice(-2000)
    })
    this.#process.on('message', (message: { id?: number; error?: string; entered?: true }) => {
      if (message.entered) for (const listener of this.#listeners) listener()
      const waiting = this.#waiting.get(message.id ?? 0)
      if (!waiting) return
      this.#waiting.delete(message.id as number)
      if (message.error === undefined) waiting.resolve(message as never)
      else waiting.reject(new Error(message.error))
    })
    this.#process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`a process ended: ${this.#lastWords}`))
    })
  }

  async ready(): Promise<this> {
    const first = once(this.#process, 'message') as Promise<[{ port: number }]>
    const ended = once(this.#process, 'exit').then(() => {
      throw new Error(`a server did not start: ${this.#lastWords}`)
    })
    const [{ port }] = await Promise.race([first, ended])
    this.port = port
    return this
  }

  ask<Answer>(question: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      this.#process.send({ id, ...question }, (error) => error && reject(error))
    })
  }

  /** When a handler has reached the place where it waits for `release`. */
  entered(): Promise<void> {
    return new Promise((resolve) => {
      const listener = (): void => {
        this.#listeners.delete(listener)
        resolve()
      }
      this.#listeners.add(listener)
    })
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}

/** One running variant. */
export class Server {
  readonly variant: Variant
  readonly port: number
  readonly #child: Child
  readonly #directory: string

  constructor(variant: Variant, child: Child, directory: string) {
    this.variant = variant
    this.port = child.port
    this.#child = child
    this.#directory = directory
  }

  usage(): Promise<Usage> {
    return this.#child.ask({ ask: 'usage' })
  }

  async rotate(): Promise<void> {
    await this.#child.ask({ ask: 'rotate' })
  }

  entered(): Promise<void> {
    return this.#child.entered()
  }

  async release(): Promise<void> {
    await this.#child.ask({ ask: 'release' })
  }

  async stop(): Promise<void> {
    await this.#child.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

export interface ServerOptions {
  /** The Node binary. */
  readonly node: string
  readonly redisPort: number
  readonly cache?: number | undefined
  readonly nodeArguments?: readonly string[]
}

export async function startServer(
  variant: Variant,
  { node, nodeArguments = [], ...options }: ServerOptions,
): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'session-bench-'))
  const settings = JSON.stringify({ variant: variant.name, directory, ...options })
  const child = new Child(SERVER_CPU, node, [...nodeArguments, join(BENCH, 'servers', variant.file), settings])
  try {
    return new Server(variant, await child.ready(), directory)
  } catch (error) {
    await child.stop()
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

export class Load {
  readonly #child: Child

  constructor(child: Child) {
    this.#child = child
  }

  static async start(): Promise<Load> {
    return new Load(await new Child(LOAD_CPU, process.execPath, [join(ROOT, 'dist/bench/load.js')]).ready())
  }

  async open(port: number, scenario: Scenario, isBare: boolean): Promise<void> {
    await this.#child.ask({ ask: 'open', port, scenario, isBare } satisfies LoadQuestion)
  }

  async slice(port: number, milliseconds: number): Promise<SliceResult> {
    const { result } = await this.#child.ask<LoadAnswer>({ ask: 'slice', port, milliseconds } satisfies LoadQuestion)
    return result as SliceResult
  }

  async close(port: number): Promise<void> {
    await this.#child.ask({ ask: 'close', port } satisfies LoadQuestion)
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}

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

  /** Calls so far, by command. */
  commands(): Map<string, number> {
    const text = execFileSync('redis-cli', ['-p', String(this.port), 'INFO', 'commandstats'], { encoding: 'utf8' })
    return new Map(
      [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) => [name as string, Number(calls)]),
    )
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

/** Installs the peers beside the servers, at the first run. */
export function installPeers(say: (text: string) => void): void {
  if (existsSync(join(BENCH, 'node_modules/express/package.json'))) return
  say('Installing the peers into bench/node_modules …')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** The binary of this major version of Node: the running one, or one from the npm package `node`. */
export function nodeBinary(version: string, say: (text: string) => void): string {
  if (version === '' || version === process.versions.node.split('.')[0]) return process.execPath
  const directory = join(BENCH, '.node', version)
  const binary = join(directory, 'node_modules/node/bin/node')
  if (!existsSync(binary)) {
    say(`Installing Node ${version} into bench/.node/${version} …`)
    mkdirSync(directory, { recursive: true })
    execFileSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', directory, `node@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return binary
}

export function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
}
