import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
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
  | {
      readonly ask: 'open'
      readonly target: string
      readonly ports: readonly number[]
      readonly scenario: Scenario
      readonly isBare: boolean
    }
  | { readonly ask: 'slice'; readonly target: string; readonly milliseconds: number }
  | { readonly ask: 'close'; readonly target: string }
export type LoadAnswer = { readonly id: number; readonly result?: SliceResult | undefined; readonly error?: string }

export interface SliceResult {
  readonly requests: number
  readonly seconds: number
}

/** What a server has used since it began. */
export interface Usage {
  /** Microseconds of processor time, of all its threads. */
  readonly cpu: number
  /** What its store was asked, by name; empty for stores in Redis of others, which Redis counts. */
  readonly storeCalls: Readonly<Record<string, number>>
}

/** Bytes that a server holds. */
export interface Memory {
  readonly rss: number
  /** Of the JavaScript heap, after a collection. */
  readonly heap: number
}

/** As many as this process may use before it ties itself to one. */
export const PROCESSORS: number = availableParallelism()
/** Whether processes can be tied to processors: with one processor, or without taskset, they share. */
export const isPinned: boolean = PROCESSORS > 1 && succeeds('taskset', ['-c', '0', 'true'])
/** A processor by its number, or a range of them, as taskset takes both. */
export type Cpu = number | `${number}-${number}`
export const SERVER_CPU = 0
export const LOAD_CPU = 1
export const EVERY_CPU: Cpu = `0-${PROCESSORS - 1}`

export function succeeds(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** What to spawn, so that it stays on this processor. */
export function pinned(cpu: Cpu, command: string, args: readonly string[]): [command: string, args: string[]] {
  return isPinned ? ['taskset', ['-c', String(cpu), command, ...args]] : [command, [...args]]
}

/** Ties this process, and whatever it starts and does not tie elsewhere, to the processor of the load generator. */
export function pinSelf(): void {
  if (isPinned) execFileSync('taskset', ['-acp', String(LOAD_CPU), String(process.pid)], { stdio: 'ignore' })
}

/** A child that answers questions, one at a time or many. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>()
  readonly #listeners = new Set<() => void>()
  #lastId = 0
  #lastWords = ''
  port = 0

  constructor(cpu: Cpu, command: string, args: readonly string[]) {
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

  get pid(): number {
    return this.#process.pid as number
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
  /** Removed with it; absent if it belongs to whoever started the server. */
  readonly #directory: string | undefined

  constructor(variant: Variant, child: Child, directory: string | undefined) {
    this.variant = variant
    this.port = child.port
    this.#child = child
    this.#directory = directory
  }

  /** What the load generator calls it. */
  get name(): string {
    return `${this.variant.name} ${this.port}`
  }

  get pid(): number {
    return this.#child.pid
  }

  usage(): Promise<Usage> {
    return this.#child.ask({ ask: 'usage' })
  }

  memory(): Promise<Memory> {
    return this.#child.ask({ ask: 'memory' })
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
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Where the servers find what they keep their sessions in. */
export interface Places {
  readonly redisPort: number
  /** URLs; absent if no server that is measured needs the database, or if it is not installed. */
  readonly postgres?: string | undefined
  readonly mariadb?: string | undefined
}

export interface ServerOptions extends Places {
  /** The Node binary. */
  readonly node: string
  readonly cache?: number | undefined
  /** Where it keeps its files; absent: in a directory of its own. */
  readonly directory?: string
  /** Whether it may run on any processor. */
  readonly isFree?: boolean
  /** The command under which Node runs, such as `valgrind` and its options. */
  readonly under?: readonly string[]
  /** For Node itself. */
  readonly flags?: readonly string[]
}

export async function startServer(
  variant: Variant,
  { node, isFree = false, directory, under = [], flags = [], ...options }: ServerOptions,
): Promise<Server> {
  if (variant.database && options[variant.database] === undefined)
    throw new Error(`${variant.database} could not be started`)
  const own = directory === undefined ? mkdtempSync(join(tmpdir(), 'session-bench-')) : undefined
  const settings = JSON.stringify({ variant: variant.name, directory: directory ?? own, ...options })
  const program = ['--expose-gc', ...flags, join(BENCH, 'servers', variant.file), settings]
  const [command, ...args] = [...under, node, ...program] as [string, ...string[]]
  const child = new Child(isFree ? EVERY_CPU : SERVER_CPU, command, args)
  try {
    return new Server(variant, await child.ready(), own)
  } catch (error) {
    await child.stop()
    if (own !== undefined) rmSync(own, { recursive: true, force: true })
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

  /** Logs its users in at the servers of these ports; `target` is what `slice` and `close` call them. */
  async open(target: string, ports: readonly number[], scenario: Scenario, isBare: boolean): Promise<void> {
    await this.#child.ask({ ask: 'open', target, ports, scenario, isBare } satisfies LoadQuestion)
  }

  async slice(target: string, milliseconds: number): Promise<SliceResult> {
    const { result } = await this.#child.ask<LoadAnswer>({ ask: 'slice', target, milliseconds } satisfies LoadQuestion)
    return result as SliceResult
  }

  async close(target: string): Promise<void> {
    await this.#child.ask({ ask: 'close', target } satisfies LoadQuestion)
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}
