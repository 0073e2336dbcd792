import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A process of the test's own, ended with it at the latest. */
export interface Process {
  /** Ends it without warning, as `kill -9` does; resolves when it is no more and all it has said was heard. */
  kill(): Promise<void>
  /** Rejects if it ends by itself. */
  readonly failure: Promise<never>
}

/** Runs one of test/support/programs; `hear` gets each line that it says. */
export function start(program: string, args: readonly string[], hear: (line: string) => void): Process {
  const path = fileURLToPath(new URL(`../programs/${program}.js`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  createInterface({ input: child.stdout }).on('line', hear)
  let complaint = ''
  child.stderr.on('data', (data) => (complaint += String(data)))
  let killed = false
  const closed = once(child, 'close').finally(() => running.delete(child))
  const failure = closed.then(() => (killed ? new Promise<never>(() => {}) : Promise.reject(new Error(complaint))))
  failure.catch(() => {})
  return {
    failure,
    async kill() {
      killed = true
      child.kill('SIGKILL')
      await closed
    },
  }
}
