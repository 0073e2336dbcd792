import type { Key } from '../../../units.ts'
import type { Database, Row } from '../database.ts'
import { failed } from '../faults.ts'
import { Gathering, type Question } from '../gather.ts'
import { probesOf, schemaOf } from '../schema.ts'
import type { Server } from '../server.ts'
import { statementsFor, tableNames } from '../statements.ts'

/** So many keys are asked for in one statement at most. Few lengths of statements, because the server prepares each one. */
const LENGTHS: readonly number[] = [1, 4, 16, 64]
const KEYS_AT_ONCE = 64

/** MySQL or MariaDB, behind a server's connections. */
export function mysqlDatabase(server: Server, table: string): Database {
  const { records, schema } = tableNames('mysql', table)
  const probes = probesOf('mysql', table)
  const finds = new Map(LENGTHS.map((length) => [length, findText(records, length)]))

  async function ask(questions: readonly Question[]): Promise<ReadonlyMap<Key, Row>> {
    const length = LENGTHS.find((candidate) => candidate >= questions.length) as number
    const places = Array.from({ length }, (_, place) => questions[Math.min(place, questions.length - 1)] as Question)
    const values = [...places.flatMap(({ key, known }) => [key, known]), ...places.map(({ key }) => key), Date.now()]
    const found = new Map<Key, Row>()
    for (const row of await server.rows(finds.get(length) as string, values)) {
      if (Number(row['standby']) !== 0)
        throw failed(
          'MySQL: this server is read-only, so it may be a replica that is behind; give the address of the primary',
        )
      if (row['id'] !== null) found.set(String(row['id']), row)
    }
    return found
  }
  const gathering = new Gathering(ask, KEYS_AT_ONCE)

  return {
    statements: statementsFor('mysql', table),
    rows: (text, values) => server.rows(text, values),
    changes: (text, values) => server.changes(text, values),
    // As bytes: a connection in another character set would change letters of a text without an error.
    data: (text) => Buffer.from(text),
    find: (key, known) => gathering.find(key, known),

    async look() {
      const rows = await server.rowsIfThere(`select version, @@session.autocommit as autocommit from ${schema}`)
      if (rows[0] && Number(rows[0]['autocommit']) !== 1)
        throw failed(
          'MySQL: autocommit is off on the connections of this pool, so nothing would be stored; set it to 1',
        )
      // A table of the records' name is no table of ours, then, or a process is just about to make the others.
      if (!rows[0]) for (const probe of probes) await server.rowsIfThere(probe)
      return rows
    },

    // By one process at a time. Tables that a process left half made are completed.
    async make() {
      const lock = `koa-server-session ${schema}`
      await server.onOne(async (run) => {
        await run('select get_lock(sha1(?), 10) as is_locked', [lock])
        try {
          const texts = [...schemaOf('mysql', table)]
          const version = texts.pop() as string
          for (const text of [...texts, ...probes]) await run(text, [])
          return await run(version, [])
        } finally {
          await run('select release_lock(sha1(?)) as is_released', [lock])
        }
      })
    },
  }
}

/** A row at least, because each one says whether this is a replica. */
function findText(records: string, length: number): string {
  const pairs = Array(length).fill('(?, ?)').join(', ')
  const keys = Array(length).fill('?').join(', ')
  return `select r.id, r.version, r.ends_at, if((r.id, r.version) in (${pairs}), null, r.data) as data, @@global.read_only as standby
from (select 1 as one) o left join ${records} r on r.id in (${keys}) and r.ends_at > ?`
}
