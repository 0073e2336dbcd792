import { tableNames, type Dialect } from './statements.ts'

/** The version of the tables that this release makes and uses. */
export const SCHEMA_VERSION = 1

const COLUMNS: Readonly<
  Record<Dialect, { name: string; number: string; data: string; end: string; endOfNotes: string }>
> = {
  // By bytes, so that the order of keys does not depend on a locale.
  postgres: { name: 'text collate "C"', number: 'bigint', data: 'text', end: '', endOfNotes: '' },
  // A blob, because a connection in another character set would change letters of a text without an error.
  mysql: {
    name: 'char(64) character set ascii collate ascii_bin',
    number: 'bigint',
    data: 'mediumblob',
    end: ' engine = InnoDB',
    endOfNotes: ' engine = InnoDB',
  },
  // Records with rowids: without, a save of 300 bytes takes seven times as long.
  sqlite: { name: 'text', number: 'integer', data: 'text', end: ' strict', endOfNotes: ' strict, without rowid' },
}

/**
 * What makes the tables, one statement each. To run them again is harmless. There is no index on the end: every save moves it, so every save would
 * rewrite the index, and a save would take half as long again or more. Whatever has expired is found by looking at all
 * keys, which is cheap and happens off the requests' way.
 */
export function schemaOf(dialect: Dialect, table: string): readonly string[] {
  const { records, notes, schema } = tableNames(dialect, table)
  const { name, number, data, end, endOfNotes } = COLUMNS[dialect]
  return [
    `create table if not exists ${records} (
  id ${name} not null primary key,
  version ${number} not null,
  ends_at ${number} not null,
  data ${data} not null
)${end}`,
    `create table if not exists ${notes} (
  subject ${name} not null,
  id ${name} not null,
  until_at ${number} not null,
  noted_at ${number} not null,
  primary key (subject, id)
)${endOfNotes}`,
    `create table if not exists ${schema} (version ${number} not null primary key)${end}`,
    // Last, because in MySQL each of these is committed by itself.
    dialect === 'mysql'
      ? `insert ignore into ${schema} (version) values (${SCHEMA_VERSION})`
      : `insert into ${schema} (version) values (${SCHEMA_VERSION}) on conflict do nothing`,
  ]
}

/** What fails if a table of that name is there that holds something else: of the records, and of the notes. */
export function probesOf(dialect: Dialect, table: string): readonly [ofRecords: string, ofNotes: string] {
  const { records, notes } = tableNames(dialect, table)
  return [
    `select id, version, ends_at, data from ${records} limit 0`,
    `select subject, id, until_at, noted_at from ${notes} limit 0`,
  ]
}
