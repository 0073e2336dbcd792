import type { Cluster } from 'ioredis'
import { isKey, type Key } from '../../units.ts'
import type { Connection } from './connection.ts'
import { scan } from './scan.ts'
import type { Commands } from './wire.ts'

const AT_A_TIME = 500

/** Every key under the prefix, by SCAN, which blocks the server for a moment at a time; on a Cluster master by master. */
export async function* keysUnder(prefix: string, connection: Connection): AsyncGenerator<Key> {
  const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
  for (const server of await servers(connection)) {
    const ask = (cursor: string): Promise<unknown> =>
      connection.run(() => server.scan(cursor, 'MATCH', pattern, 'COUNT', AT_A_TIME))
    for await (const names of scan('SCAN', ask)) {
      for (const name of names) {
        const key = name.slice(prefix.length)
        if (isKey(key)) yield key
      }
    }
  }
}

async function servers(connection: Connection): Promise<Commands[]> {
  const { client } = connection
  if (!client.isCluster) return [client]
  // Only a connected client knows the masters.
  await connection.run(() => client.ping())
  return (client as Cluster).nodes('master')
}
