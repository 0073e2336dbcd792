import type { TestContext } from 'node:test'
import { privateRedis } from '../servers/redis-server.ts'
import { startHere } from '../sites/test-site.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import { startProcesses } from './site-processes.ts'

/** The kinds of deployment that most guarantees are tried on: ports that share their sessions. */
export const DEPLOYMENTS: Record<string, (test: TestContext) => Promise<number[]>> = {
  'one process on memory': async (test) => [await startHere(test, { store: 'memory:' })],
  'one process on files': async (test) => [await startHere(test, { store: `file:${temporaryDirectory()}` })],
  'two processes on files': (test) => startProcesses(test, 2),
  'two processes on one Redis': async (test) => startProcesses(test, 2, { store: (await privateRedis(test)).url }),
}
