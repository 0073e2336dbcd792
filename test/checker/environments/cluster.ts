import type { Environment, Surroundings } from './environment.ts'
export async function clusterEnvironment(_surroundings: Surroundings): Promise<Environment> {
  throw new Error('not yet')
}
