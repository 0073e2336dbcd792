import { after, before, type TestContext } from 'node:test'
import { privateRedis } from '../servers/redis-server.ts'
import { startHere } from '../sites/test-site.ts'
import { PATIENCE } from '../stores/records.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import { startProcesses } from './site-processes.ts'

/** Whatever ends what it has started: a test, or the tests of a `describe` together. */
export type Scope = Pick<TestContext, 'after'>

/** A Redis of its own, for sites that wait for it for as long as a machine can be busy. */
export async function patientRedis(test: Scope): Promise<string> {
  return `${(await privateRedis(test)).url}?deadline=${PATIENCE}`
}

/** The kinds of deployment that most guarantees are tried on: ports that share their sessions. */
export const DEPLOYMENTS: Record<string, (test: Scope) => Promise<number[]>> = {
  'one process on memory': async (test) => [await startHere(test, { store: 'memory:' })],
  'one process on files': async (test) => [await startHere(test, { store: `file:${temporaryDirectory()}` })],
  'two processes on files': (test) => startProcesses(test, 2),
  'two processes on one Redis': async (test) => startProcesses(test, 2, { store: await patientRedis(test) }),
}

/**
 * One deployment for all tests of a `describe`, because processes and servers take longer to start than most tests to
 * run. To be called in the `describe`; what it returns gives the deployment, such as its ports, and is for the tests.
 */
export function deployedOnce<Deployed = number[]>(start: (scope: Scope) => Promise<Deployed>): () => Deployed {
  const ends: (() => unknown)[] = []
  let deployed: Deployed | undefined
  before(async () => {
    deployed = await start({ after: (end) => void ends.push(end as () => unknown) })
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })
  return () => deployed as Deployed
}
