import type { Cluster, Redis } from 'ioredis'
import { isKey, type Key } from '../../units.ts'
import type { Connection } from './connection.ts'

const AT_A_TIME = 500

/** Every key under the prefix, by SCAN, which blocks the server for a moment at a time; on a Cluster master by master. */
export async function* keysUnder(prefix: string, connection: Connection): AsyncGenerator<Key> {
  const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
  for (const server of await servers(connection)) {
    let cursor = '0'
    do {
      const [next, found] = await connection.run(() => server.scan(cursor, 'MATCH', pattern, 'COUNT', AT_A_TIME))
      for (const name of found) {
        const key = name.slice(prefix.length)
        if (isKey(key)) yield key
      }
      cursor = next
    } while (cursor !== '0')
  }
}

async function servers(connection: Connection): Promise<Redis[]> {
  const client: Redis | Cluster = connection.client
  if (!client.isCluster) return [client as Redis]
  // Only a connected client knows the masters.
  await connection.run(() => client.ping())
  return (client as Cluster).nodes('master')
}
