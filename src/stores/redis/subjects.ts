import type { SubjectIndex } from '../../store.ts'
import type { Instant, Key, Milliseconds, SubjectName } from '../../units.ts'
import type { Connection } from './connection.ts'
import { scan } from './scan.ts'
import { runScript } from './scripts.ts'
import { FORGET, NOTE, SETTLE } from './subject-scripts.ts'

const AT_A_TIME = 500
/** Of a subject's notes, oldest first, those up to this one are doubted at a time. */
const LAST_DOUBTED = '9'
/** The record of a note that is younger may be on its way. */
const GRACE: Milliseconds = 60 * 60_000

/**
 * A subject is one sorted set, `<prefix>subject:{<2 digits>}<62 digits>`: the keys of its sessions, by the instant at
 * which each was noted last. It has no expiry: a server that is short of memory evicts what has one, by whatever policy,
 * and a session that nobody can list must not outlive its note.
 *
 * What is over is cleared away bit by bit instead. The subjects with the same two digits share a shelf,
 * `<prefix>subject:{<2 digits>}`: a sorted set of subjects, by the instant from which none of their sessions can live.
 * Each note that is added has one subject that is due looked through, and its own subject if that has old notes. So there
 * is never much more than lives. The braces are hash tags, so a subject and its shelf are on one server of a Cluster.
 */
export function redisSubjects(prefix: string, connection: Connection): SubjectIndex {
  const shelfOf = (subject: SubjectName): string => `${prefix}subject:{${subject.slice(0, 2)}}`
  const indexOf = (subject: SubjectName): string => shelfOf(subject) + subject.slice(2)
  const isCluster = connection.client.isCluster
  let isSweeping = false

  async function sweepAll(subjects: readonly SubjectName[]): Promise<void> {
    if (isSweeping) return
    isSweeping = true
    try {
      for (const subject of subjects) await sweep(subject)
    } catch {
      // Nothing depends on it, and what is left is due again with the next note.
    } finally {
      isSweeping = false
    }
  }

  /**
   * Looks for the sessions of the oldest notes: those whose records are away are removed, the others count as noted just
   * now. One server looks and removes in one step. On a Cluster the records are elsewhere, so their servers are asked
   * first; then a note is removed only if it has not been added again since.
   */
  async function sweep(subject: SubjectName): Promise<void> {
    const index = indexOf(subject)
    const doubted = await connection.run((client) => client.zrange(index, 0, LAST_DOUBTED, 'WITHSCORES'))
    const pairs = Array.from({ length: doubted.length / 2 }, (_, n) => doubted.slice(2 * n, 2 * n + 2) as [Key, string])
    const records = pairs.map(([key]) => prefix + key)
    const look = async (record: string): Promise<number> => connection.run((client) => client.exists(record))
    const answers = isCluster ? await Promise.all(records.map(look)) : []
    const args = pairs.flatMap(([key, addedAt], n) => [key, addedAt, String(answers[n] ?? '')])
    const keys = [index, shelfOf(subject), ...(isCluster ? [] : records)]
    await connection.run((client) => runScript(client, SETTLE, keys, [subject, GRACE, ...args]))
  }

  return {
    async add(subject: SubjectName, key: Key, until: Instant) {
      const due = await connection.run((client) =>
        runScript(client, NOTE, [indexOf(subject), shelfOf(subject)], [subject, key, until, GRACE]),
      )
      // Nobody waits for it: the note is made, and a server of a Cluster that hangs must not fail a sign-in on another.
      if (Array.isArray(due) && due.length > 0) void sweepAll(due as SubjectName[])
    },
    async remove(subject, key) {
      await connection.run((client) => runScript(client, FORGET, [indexOf(subject), shelfOf(subject)], [subject, key]))
    },
    async *keys(subject) {
      const ask = (cursor: string): Promise<unknown> =>
        connection.run((client) => client.zscan(indexOf(subject), cursor, 'COUNT', AT_A_TIME))
      // Each name is followed by its score.
      for await (const names of scan('ZSCAN', ask)) for (let at = 0; at < names.length; at += 2) yield names[at] as Key
    },
  }
}
