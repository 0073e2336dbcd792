/** The databases whose SQL this store speaks; MariaDB's is that of MySQL. */
export type Dialect = 'postgres' | 'mysql' | 'sqlite'

/** So many keys have a place in the statement `among` and its like. Fewer are filled up by repeating the last one. */
export const KEYS_AT_ONCE = 100

/** So many notes have a place in `removeNotes`. */
export const NOTES_AT_ONCE = 25

/** Keys are listed by pages of this length. */
export const PAGE = 1000

/** One text for each step. Every dialect takes the same values in the same order. */
export interface Statements {
  /** (key, now) → version, ends_at, data */
  readonly load: string
  /** (key, version, end, data) */
  readonly insert: string
  /** (key) → version, ends_at, data: also of a record that has expired */
  readonly any: string
  /** (version, end, data, key, expected version, now): a live record */
  readonly update: string
  /** (version, end, data, key, expected version, now): an expired record */
  readonly replace: string
  /** (end, key, now) */
  readonly touch: string
  /** (key, now) → one row if it lives */
  readonly lives: string
  /** (key, now) */
  readonly delete: string
  /** (key, expected version, now) */
  readonly deleteVersion: string
  /** (last key, now) → id: the next page of live keys */
  readonly page: string
  /** (from, to, now) → id: expired keys in that range */
  readonly expired: string
  /** (keys…, now) */
  readonly remove: string
  /** (keys…) → id: which of them have a row, live or expired */
  readonly among: string
  /** (subject, key, until, noted at) */
  readonly note: string
  /** (subject, key) */
  readonly unnote: string
  /** (subject, last key) → id: the next page of a subject's notes */
  readonly noted: string
  /** (from, to, now, noted before) → subject, id, noted_at: notes in that range which may be over */
  readonly doubtful: string
  /** (subject, key, noted at; again and again) */
  readonly removeNotes: string
}

/** All statements over the tables of this name. */
export function statementsFor(dialect: Dialect, table: string): Statements {
  const { records, notes } = tableNames(dialect, table)
  const later = dialect === 'sqlite' ? 'max' : 'greatest'
  const keys = `in (${Array(KEYS_AT_ONCE).fill('?').join(', ')})`
  const isMysql = dialect === 'mysql'
  const set = `update ${records} set version = ?, ends_at = ?, data = ? where id = ? and version = ?`
  const statements: Statements = {
    load: `select version, ends_at, data from ${records} where id = ? and ends_at > ?`,
    // Not `insert ignore` in MySQL, which would also cut what is too long.
    insert: `insert into ${records} (id, version, ends_at, data) values (?, ?, ?, ?)${isMysql ? '' : ' on conflict (id) do nothing'}`,
    any: `select version, ends_at, data from ${records} where id = ?`,
    update: `${set} and ends_at > ?`,
    replace: `${set} and ends_at <= ?`,
    touch: `update ${records} set ends_at = ${later}(ends_at, ?) where id = ? and ends_at > ?`,
    lives: `select id from ${records} where id = ? and ends_at > ?`,
    delete: `delete from ${records} where id = ? and ends_at > ?`,
    deleteVersion: `delete from ${records} where id = ? and version = ? and ends_at > ?`,
    page: `select id from ${records} where id > ? and ends_at > ? order by id limit ${PAGE}`,
    expired: `select id from ${records} where id >= ? and id < ? and ends_at <= ?`,
    // With the end again: while this waits for a lock, a creator may put a live record in the place of an expired one.
    remove: `delete from ${records} where id ${keys} and ends_at <= ?`,
    among: `select id from ${records} where id ${keys}`,
    note: `insert into ${notes}${isMysql ? '' : ' as n'} (subject, id, until_at, noted_at) values (?, ?, ?, ?) ${
      isMysql
        ? 'on duplicate key update until_at = greatest(until_at, values(until_at)), noted_at = greatest(noted_at + 1, values(noted_at))'
        : `on conflict (subject, id) do update set until_at = ${later}(n.until_at, excluded.until_at), noted_at = ${later}(n.noted_at + 1, excluded.noted_at)`
    }`,
    unnote: `delete from ${notes} where subject = ? and id = ?`,
    noted: `select id from ${notes} where subject = ? and id > ? order by id limit ${PAGE}`,
    doubtful: `select subject, id, noted_at from ${notes} where subject >= ? and subject < ? and until_at <= ? and noted_at <= ?`,
    removeNotes: `delete from ${notes} where ${Array(NOTES_AT_ONCE).fill('(subject = ? and id = ? and noted_at = ?)').join(' or ')}`,
  }
  return dialect === 'postgres' ? numbered(statements) : statements
}

/** The quoted names of the tables. */
export function tableNames(dialect: Dialect, table: string): { records: string; notes: string; schema: string } {
  const quote = dialect === 'mysql' ? '`' : '"'
  const parts = table.split('.')
  const last = parts.pop() as string
  const named = (name: string): string => [...parts, name].map((part) => quote + part + quote).join('.')
  return { records: named(last), notes: named(`${last}_subjects`), schema: named(`${last}_schema`) }
}

/** With `$1`, `$2` … as PostgreSQL's protocol wants its places. */
function numbered(statements: Statements): Statements {
  const texts = Object.entries(statements as unknown as Record<string, string>).map(([name, text]) => {
    let place = 0
    return [name, text.replaceAll('?', () => `$${++place}`)]
  })
  return Object.fromEntries(texts) as Statements
}
