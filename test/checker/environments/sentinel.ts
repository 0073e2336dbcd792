import type { Environment, Surroundings } from './environment.ts'
export async function sentinelEnvironment(_surroundings: Surroundings): Promise<Environment> {
  throw new Error('not yet')
}
