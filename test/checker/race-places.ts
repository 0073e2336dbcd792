import { join } from 'node:path'
import { mariadbServer } from '../support/servers/mariadb-server.ts'
import { postgresServer } from '../support/servers/postgres-server.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { race, type RaceMutant, type RaceReport } from './races.ts'

/** A database for races. */
interface Place {
  readonly url: string
  stop(): Promise<void>
}

export type RacePlace = 'postgres' | 'mariadb' | 'sqlite'

/** Each starts its database. */
export const RACE_PLACES: Readonly<Record<RacePlace, () => Promise<Place>>> = {
  postgres: () => postgresServer('max_connections=50'),
  mariadb: () => mariadbServer(),
  sqlite: async () => ({ url: `sqlite://${join(temporaryDirectory('races'), 'sessions.db')}`, async stop() {} }),
}

const CONNECTIONS = 8

/** Starts the database, and races on it. */
export async function raceOn(
  place: RacePlace,
  calls: number,
  seed: number,
  mutant: RaceMutant | undefined,
): Promise<RaceReport> {
  const database = await RACE_PLACES[place]()
  const onePerThread = place === 'sqlite' ? '' : '&poolSize=1'
  try {
    return await race({
      url: `${database.url}?pruneInterval=0&deadline=60000${onePerThread}`,
      connections: CONNECTIONS,
      calls,
      seed,
      mutant,
    })
  } finally {
    await database.stop()
  }
}
