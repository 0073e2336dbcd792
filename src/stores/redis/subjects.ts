import type { SubjectIndex } from '../../store.ts'
import type { Connection } from './connection.ts'
import { NOTE, runScript } from './scripts.ts'

const AT_A_TIME = 500

/**
 * A subject is one sorted set: its sessions' keys, by the instant at which each can no longer live. One key, so that it
 * works on a Cluster too; and it expires with its last session.
 */
export function redisSubjects(prefix: string, connection: Connection): SubjectIndex {
  const nameOf = (subject: string): string => `${prefix}subject:${subject}`
  return {
    async add(subject, key, until) {
      await connection.run((client) => runScript(client, NOTE, nameOf(subject), [Date.now(), key, until]))
    },
    async remove(subject, key) {
      await connection.run((client) => client.zrem(nameOf(subject), key))
    },
    async *keys(subject) {
      let cursor = '0'
      do {
        const [next, found] = await connection.run((client) =>
          client.zscan(nameOf(subject), cursor, 'COUNT', AT_A_TIME),
        )
        for (let index = 0; index < found.length; index += 2) yield found[index] as string
        cursor = next
      } while (cursor !== '0')
    },
  }
}
