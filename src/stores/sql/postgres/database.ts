import type { SessionError } from '../../../errors.ts'
import type { Key } from '../../../units.ts'
import type { Database, Row } from '../database.ts'
import { failed } from '../faults.ts'
import { Gathering, type Question } from '../gather.ts'
import { probesOf, schemaOf } from '../schema.ts'
import type { Server } from '../server.ts'
import { statementsFor, tableNames } from '../statements.ts'

/** So many keys are asked for in one statement. */
const KEYS_AT_ONCE = 1000

/** PostgreSQL, behind a server's connections. */
export function postgresDatabase(server: Server, table: string): Database {
  const names = tableNames('postgres', table)
  const { records, notes, schema } = names
  const texts = [...schemaOf('postgres', table)]
  const version = texts.pop() as string
  const probes = probesOf('postgres', table)
  const performed = probes.map((text) => text.replace('select', 'perform'))
  const makeAll = [...texts, ...performed, version].join(';\n')

  // A row for each key, also for one that is absent: that a standby says so must be seen.
  const find = `select k.id, r.version, r.ends_at, case when r.version = k.known then null else r.data end as data,
  pg_is_in_recovery() as standby
from unnest($1::text[], $2::bigint[]) as k (id, known) left join ${records} r on r.id = k.id and r.ends_at > $3`

  async function ask(questions: readonly Question[]): Promise<ReadonlyMap<Key, Row>> {
    const values = [questions.map(({ key }) => key), questions.map(({ known }) => known), Date.now()]
    const found = new Map<Key, Row>()
    for (const row of await server.rows(find, values)) {
      if (row['standby'] !== false)
        throw failed('PostgreSQL: this is a standby, which may be behind; give the address of the primary')
      if (row['version'] !== null) found.set(String(row['id']), row)
    }
    return found
  }
  const gathering = new Gathering(ask, KEYS_AT_ONCE)

  return {
    statements: statementsFor('postgres', table),
    rows: (text, values) => server.rows(text, values),
    changes: (text, values) => server.changes(text, values),
    data: (text) => text,
    find: (key, known) => gathering.find(key, known),

    async look() {
      // By their names first, because a question for a table that is not there would be an error in the server's log.
      const [there] = await server.rows(
        'select to_regclass($1) is not null as schema, to_regclass($2) is not null as records, to_regclass($3) is not null as notes',
        [schema, records, notes],
      )
      if (there?.['schema'] !== true) {
        const [ofRecords, ofNotes] = probes
        if (there?.['records'] === true) await server.rows(ofRecords, [])
        if (there?.['notes'] === true) await server.rows(ofNotes, [])
        return []
      }
      const rows = await server.rows(
        `select version, current_setting('server_encoding') as encoding from ${schema}`,
        [],
      )
      const encoding = rows[0]?.['encoding'] ?? 'UTF8'
      if (encoding !== 'UTF8') throw notUnicode()
      return rows
    },

    // In one transaction, and by one process at a time: `create table if not exists` alone fails if two run it at once.
    async make() {
      await server.onOne((run) =>
        run(
          `do $make$ begin
perform pg_advisory_xact_lock(hashtextextended('koa-server-session ${schema}', 0));
${makeAll};
end $make$`,
          [],
        ),
      )
    },
  }
}

function notUnicode(): SessionError {
  return failed(
    'PostgreSQL: the encoding of this database is not UTF8, so it cannot hold every text; use another database',
  )
}
