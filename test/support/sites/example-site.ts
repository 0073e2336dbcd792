import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const EXAMPLE = join(import.meta.dirname, '../../../example')
/** Ends the site with the process that tests it, however that ends: its end of the pipe closes. */
const END_WITH_PARENT = 'data:text/javascript,process.stdin.on("end",()=>process.exit(1)).resume().unref()'

/** Hashes each password once: a sign-in costs the real site half a second of processor time, on purpose. */
const HASH_ONCE = `data:text/javascript,
  import crypto from 'node:crypto'
  import { syncBuiltinESMExports } from 'node:module'
  const { scrypt } = crypto
  const known = new Map()
  crypto.scrypt = (password, salt, length, options, done) => {
    const name = JSON.stringify([password, salt.toString('hex'), length, options])
    if (!known.has(name)) known.set(name, new Promise((resolve) =>
      scrypt(password, salt, length, options, (...answer) => resolve(answer))))
    known.get(name).then((answer) => done(...answer))
  }
  syncBuiltinESMExports()`.replaceAll('\n', '%0A')

/** `node dist/example/server.js` in a folder of its own, on a free port. */
export interface ExampleSite {
  /** Of its process, which leads a process group. */
  readonly pid: number
  readonly url: string
  readonly directory: string
  /** What it has printed so far. */
  readonly output: () => string
  /** Resolves to its exit code when it has ended. */
  readonly ended: Promise<number | null>
  /** Asks it to end, and resolves to its exit code. */
  stop(): Promise<number | null>
}

export interface ExampleOptions {
  /** Where it runs, and keeps its sessions. */
  directory: string
  env?: Record<string, string>
  /** How far its clock is ahead of the real one. Default 0. */
  clockAhead?: number
  /** `two`: the site twice on one port. Default `server`. */
  program?: 'server' | 'two'
}

export async function startExample(options: ExampleOptions): Promise<ExampleSite> {
  const { directory, env, clockAhead = 0, program = 'server' } = options
  const clock = `data:text/javascript,const{now}=Date;Date.now=()=>now()+${clockAhead}`
  const child = spawn(
    process.execPath,
    ['--import', END_WITH_PARENT, '--import', HASH_ONCE, '--import', clock, join(EXAMPLE, `${program}.js`)],
    {
      cwd: directory,
      detached: true,
      env: { PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: '0', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  let output = ''
  const hear = (text: string): void => void (output += text)
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  const ended = once(child, 'close').then(([code]) => code as number | null)
  let url: string | undefined
  while (url === undefined) {
    const hasEnded = await Promise.race([once(child.stdout, 'data').then(() => false), ended.then(() => true)])
    if (hasEnded) throw new Error(`The example has ended. It said:\n${output}`)
    url = /http:\/\/[\w.]+:\d+/.exec(output)?.[0]
  }
  return {
    pid: child.pid as number,
    url,
    directory,
    output: () => output,
    ended,
    stop() {
      child.kill('SIGTERM')
      return ended
    },
  }
}
