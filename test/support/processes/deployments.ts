import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { SessionOptions } from '../../../src/index.ts'
import { KEY, serve } from '../sites/http.ts'
import { redisServer, type RedisServer } from '../servers/redis-server.ts'
import { testSite } from '../sites/test-site.ts'

/** An empty directory that is removed when the test ends. */
export function temporaryDirectory(test: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'koa-server-session-'))
  test.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}

/**
 * Starts the test site, or another one of test/support/programs, in so many processes on one file store; resolves to their
 * ports. Killed when the test ends.
 */
export async function startProcesses(
  test: TestContext,
  count: number,
  options: SessionOptions = {},
  program = 'site-server',
): Promise<number[]> {
  const store = options.store ?? `file:${temporaryDirectory(test)}`
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
  return fork(join(import.meta.dirname, `../programs/${program}.js`), [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

/** Before the directory goes, no process may write into it any more. */
async function stopAll(children: ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }),
  )
}

/** A Redis of this test alone. */
export async function privateRedis(test: TestContext): Promise<RedisServer> {
  const server = await redisServer()
  test.after(() => server.stop())
  return server
}

/** The kinds of deployment that most guarantees are tried on: ports that share their sessions. */
export const DEPLOYMENTS: Record<string, (test: TestContext) => Promise<number[]>> = {
  'one process on memory': async (test) => [await startHere(test, { store: 'memory:' })],
  'one process on files': async (test) => [await startHere(test, { store: `file:${temporaryDirectory(test)}` })],
  'two processes on files': (test) => startProcesses(test, 2),
  'two processes on one Redis': async (test) => startProcesses(test, 2, { store: (await privateRedis(test)).url }),
}

/** The test site in this process. */
export async function startHere(test: TestContext, options: SessionOptions): Promise<number> {
  const { app, sessions } = testSite({ keys: [KEY], ...options })
  const { port } = await serve(test, app)
  test.after(() => sessions.close())
  return port
}
