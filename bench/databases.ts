import { mariadbServer } from '../test/support/servers/mariadb-server.ts'
import { postgresServer } from '../test/support/servers/postgres-server.ts'
import type { Places } from './processes.ts'
import type { DatabaseName, Variant } from './variants.ts'

/** The database servers of one run. */
export interface Databases extends Pick<Places, DatabaseName> {
  stop(): Promise<void>
}

const STARTS: Readonly<Record<DatabaseName, () => Promise<{ readonly url: string; stop(): Promise<void> }>>> = {
  postgres: postgresServer,
  mariadb: mariadbServer,
}

/**
 * Starts the databases that these variants need, beside the load generator. One that cannot be started is left out, and
 * the variants that need it are not timed.
 */
export async function startDatabases(variants: readonly Variant[], say: (text: string) => void): Promise<Databases> {
  const places: { [name in DatabaseName]?: string } = {}
  const stops: (() => Promise<void>)[] = []
  for (const name of new Set(variants.flatMap(({ database }) => database ?? []))) {
    try {
      const server = await STARTS[name]()
      places[name] = server.url
      stops.push(() => server.stop())
    } catch (error) {
      say(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return {
    ...places,
    async stop() {
      for (const stop of stops) await stop()
    },
  }
}
