import { join } from 'node:path'
import type { Milliseconds } from '../../../src/units.ts'
import { postgresServer } from '../../support/servers/postgres-server.ts'
import { FaultyCable } from '../proxy.ts'
import type { StorePlace } from '../worker.ts'
import { cableFaults } from './cable-faults.ts'
import { PATIENT, sleep, type Environment, type Fault, type Surroundings } from './environment.ts'

const DEADLINE = 1000

/** Their deadline stands in the URL, too. */
function at(url: string, deadline: Milliseconds): StorePlace {
  return { url: `${url}?deadline=${deadline}&pruneInterval=0`, bound: 0, deadline }
}

/** One file for all workers. All that can happen to it happens to the workers, who may be stopped with the lock of it. */
export async function sqliteEnvironment({ directory }: Surroundings): Promise<Environment> {
  const url = `sqlite://${join(directory, 'sessions.db')}`
  return {
    kind: 'sqlite',
    bound: 0,
    faults: [],
    doubts: [],
    direct: at(url, PATIENT),
    placeFor: async () => at(url, DEADLINE),
    async calm() {},
    async stop() {},
  }
}

/** One server, which writes each commit before it acknowledges it, and a faulty cable from each worker to it. */
export async function postgresEnvironment({ workers, random }: Surroundings): Promise<Environment> {
  const server = await postgresServer('max_connections=150')
  const cables = Array.from({ length: workers }, () => new FaultyCable(server.port, random))
  const ports = await Promise.all(cables.map((cable) => cable.open()))
  const urlAt = (port: number): string => {
    const url = new URL(server.url)
    url.port = String(port)
    return url.href
  }
  const onServer = (name: string, weight: number, run: Fault['run']): Fault => ({ name, weight, scene: 'server', run })
  const struck = cables.map((cable, index) => ({ cable, scene: `cable ${index}`, share: 1 / workers }))
  const TERMINATE =
    "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
  const faults: Fault[] = [
    onServer('connections terminated', 1.5, async () => void (await server.sql(TERMINATE))),
    onServer('server stopped', 1, async () => {
      await server.freeze()
      await sleep(random.between(20, DEADLINE * 1.5))
      await server.thaw()
    }),
    onServer('server killed', 1, async () => {
      await server.kill()
      await sleep(random.between(0, 300))
      await server.restart()
    }),
    ...cableFaults(struck, random, {
      weights: { hole: 2, oneConnection: 2, delay: 2, cut: 1.5 },
      longestHole: DEADLINE * 1.5,
      longDelay: 700,
    }),
  ]
  return {
    kind: 'postgres',
    bound: 0,
    faults,
    doubts: [],
    direct: at(server.url, PATIENT),
    placeFor: async (worker) => at(urlAt(ports[worker] as number), DEADLINE),
    async calm() {
      for (const cable of cables) cable.heal()
      await server.sql('select 1')
    },
    async stop() {
      await Promise.all(cables.map((cable) => cable.close()))
      await server.stop()
    },
  }
}
