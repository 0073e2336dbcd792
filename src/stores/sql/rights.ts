import { tableNames, type Dialect } from './statements.ts'

/** What to run so that this role can use tables that are there. */
export function grantsFor(dialect: Dialect, table: string, role: string): string {
  const { records, notes, schema } = tableNames(dialect, table)
  const [owner] = table.includes('.') ? table.split('.') : []
  const usage = dialect === 'postgres' && owner !== undefined ? [`grant usage on schema "${owner}" to ${role};`] : []
  const grants = [records, notes].map((name) => `grant select, insert, update, delete on ${name} to ${role};`)
  const run = [...usage, ...grants, `grant select on ${schema} to ${role};`].join(' ')
  return `If the tables are there, run: ${run} If they are not, run koa-server-session migrate as a user that may make tables.`
}
