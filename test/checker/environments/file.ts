import { join } from 'node:path'
import type { Environment, Surroundings } from './environment.ts'

/** One directory for all workers. All that can happen to it happens to the workers. */
export async function fileEnvironment({ directory }: Surroundings): Promise<Environment> {
  const direct = { url: `file:${join(directory, 'sessions')}`, bound: 0, deadline: 1000 }
  return {
    kind: 'file',
    bound: 0,
    faults: [],
    doubts: [],
    direct,
    placeFor: async () => direct,
    async calm() {},
    async stop() {},
  }
}
