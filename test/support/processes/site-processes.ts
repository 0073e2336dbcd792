import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { SessionOptions } from '../../../src/index.ts'
import { KEY } from '../sites/http.ts'
import { temporaryDirectory } from '../temporary-directory.ts'

/**
 * Starts the test site, or another one of test/support/programs, in so many processes that share one store: files, if the
 * options name none. Resolves to their ports. The processes are killed when the test ends.
 */
export async function startProcesses(
  test: Pick<TestContext, 'after'>,
  count: number,
  options: SessionOptions = {},
  program = 'site-server',
): Promise<number[]> {
  const store = options.store ?? `file:${temporaryDirectory()}`
  const children = Array.from({ length: count }, () => startProcess(program, { keys: [KEY], ...options, store }))
  test.after(() => stopAll(children))
  return Promise.all(
    children.map(async (child) => {
      const [port] = (await once(child, 'message')) as [number]
      return port
    }),
  )
}

function startProcess(program: string, options: SessionOptions): ChildProcess {
  const path = join(import.meta.dirname, `../programs/${program}${extname(import.meta.filename)}`)
  return fork(path, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

async function stopAll(children: ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }),
  )
}
