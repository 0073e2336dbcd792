import { DONE, NOT_FOUND, type Command } from '../command.ts'

export const migrate: Command = {
  summary: 'make the tables of an SQL database',
  usage: '[--print] [--store URL]',
  options: ['print', 'store'],
  operands: { least: 0, most: 0, what: '' },
  details: `An application makes its tables itself if its user may. Where it may not, run this as a user that may.
--print shows the SQL for your database administrator, and connects to nothing.`,
  async run({ values, terminal, openStore }) {
    const { tables, name } = openStore({ forMaking: true })
    if (!tables) {
      terminal.say(`koa-server-session: ${name} has no tables; there is nothing to make.`)
      return NOT_FOUND
    }
    if (values.print) {
      for (const line of tables.schema.flatMap((text) => `${text};`.split('\n'))) await terminal.line(line)
      return DONE
    }
    const isMade = await tables.migrate()
    await terminal.line(isMade ? `The tables were made in ${name}.` : `The tables in ${name} are up to date.`)
    return DONE
  },
}
