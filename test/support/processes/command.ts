import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { main } from '../../../src/cli/main.ts'
import { Terminal } from '../../../src/cli/terminal.ts'

const CLI = fileURLToPath(new URL('../../../src/cli/index.js', import.meta.url))
const CALLS = fileURLToPath(new URL('../programs/calls-at-terminal.js', import.meta.url))

/** How a call of `koa-server-session` ended. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Circumstances {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Runs it as this user, which only root can. */
  readonly user?: number
  /** Given to Node, before the program. */
  readonly nodeOptions?: readonly string[]
}

/**
 * Calls the command as a script does: without a terminal, and with nothing to read. It runs in this process, which takes
 * a fraction of the time of `program`; for what depends on the process, or on what drivers print, there is `program`.
 */
export async function command(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  let [out, err] = ['', '']
  stdout.on('data', (data) => (out += String(data)))
  stderr.on('data', (data) => (err += String(data)))
  const stopping = new AbortController()
  const terminal = new Terminal({ stdin: Readable.from([]), stdout, stderr }, () => stopping.abort())
  const code = await main([...args], env, terminal, stopping.signal)
  await Promise.all([stdout, stderr].map((stream) => once(stream.end(), 'end')))
  return { code, out, err }
}

/** The same in a process of its own. */
export async function program(args: readonly string[], circumstances: Circumstances = {}): Promise<Ended> {
  const child = spawn(process.execPath, [...(circumstances.nodeOptions ?? []), CLI, ...args], {
    ...surroundings(circumstances),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => (out += String(data)))
  child.stderr.on('data', (data) => (err += String(data)))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

/** Each line as the document that it is. */
export function documents({ out }: Ended): Record<string, unknown>[] {
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Calls it in a pipeline of the shell, where `$CLI` stands for it. The code is that of the first part that failed. */
export async function pipeline(script: string, circumstances: Circumstances = {}): Promise<Ended> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', script], {
    ...surroundings(circumstances, { CLI: `${process.execPath} ${CLI}` }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => (out += String(data)))
  child.stderr.on('data', (data) => (err += String(data)))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

/** A call at a terminal, where results and questions appear in one place. */
export interface AtTerminal {
  /** Resolves when this has appeared. */
  sees(text: RegExp): Promise<void>
  types(keys: string): void
  /** Resolves to all that has appeared, when the command has ended. */
  ended(): Promise<{ code: number; screen: string }>
}

/** Calls it in a terminal of its own (by util-linux's `script`, which makes one). */
export function atTerminal(args: readonly string[], circumstances: Circumstances = {}): AtTerminal {
  return programAtTerminal([CLI, ...args], circumstances)
}

/** Several calls, one after the other in one process at one terminal, where nobody types. */
export async function callsAtTerminal(
  calls: readonly (readonly string[])[],
  circumstances: Circumstances = {},
): Promise<{ code: number; screen: string }[]> {
  const { screen } = await programAtTerminal([CALLS, JSON.stringify(calls)], circumstances).ended()
  // oxlint-disable-next-line no-control-regex
  return [...screen.matchAll(/([^]*?)\u001F(\d+)\u001F/g)].map(([, its = '', code]) => ({
    code: Number(code),
    screen: its,
  }))
}

function programAtTerminal(args: readonly string[], circumstances: Circumstances): AtTerminal {
  const words = [process.execPath, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  // With exec, so that the keys for an interrupt reach the command alone.
  const child = spawn('script', ['-qec', `exec ${words.join(' ')}`, '/dev/null'], {
    ...surroundings(circumstances, { TERM: 'xterm-256color' }),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let screen = ''
  child.stdout.on('data', (data) => (screen += String(data)))
  const closed = once(child, 'close') as Promise<[number]>
  return {
    async sees(text) {
      while (!text.test(screen)) {
        const news = await Promise.race([once(child.stdout, 'data'), closed.then(() => undefined)])
        if (!news && !text.test(screen)) throw new Error(`It ended without a word of ${text}:\n${screen}`)
      }
    },
    types: (keys) => void child.stdin.write(keys),
    async ended() {
      const [code] = await closed
      return { code, screen }
    },
  }
}

/** No setting of whoever runs the tests. */
function surroundings(
  { env, cwd, user }: Circumstances,
  more: NodeJS.ProcessEnv = {},
): { env: NodeJS.ProcessEnv; cwd?: string; uid?: number; gid?: number } {
  const { PATH } = process.env
  return {
    env: { PATH, ...more, ...env },
    ...(cwd !== undefined && { cwd }),
    ...(user !== undefined && { uid: user, gid: user }),
  }
}
