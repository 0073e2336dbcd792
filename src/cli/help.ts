import type { Command, Commands, Values } from './command.ts'

const HELP_ON_OPTIONS: Readonly<Record<keyof Values, readonly [form: string, help: string]>> = {
  store: ['-s, --store URL', 'the store; default $SESSION_STORE, else file:.sessions'],
  subject: ['--subject NAME', 'the sessions of this user: what session.identify was given'],
  also: ['--also NAME=TEXT', 'the sessions that have this other name: also of identify; may be repeated'],
  cookie: ['--cookie NAME', 'of one application: its cookie.name (sid for auto); needs $SESSION_KEY'],
  except: ['--except ID', 'leave this session alone; may be repeated'],
  all: ['--all', 'all sessions of the store'],
  count: ['--count N', 'how many secrets to make, one per line; default 1'],
  limit: ['--limit N', 'stop after this many sessions; default: all'],
  yes: ['-y, --yes', 'do not ask'],
  json: ['--json', 'output for programs'],
  print: ['--print', 'only show the SQL'],
  help: ['-h, --help', 'this text'],
  version: ['-v, --version', 'the version of the package'],
}

const EXIT_CODES = `Exit codes
  0    done
  1    the store cannot be reached or failed, a record cannot be read, copy left some behind, or you said no
  2    wrong usage
  3    no such session or user, or this kind of store cannot do it
  130  stopped by Ctrl-C, and what was done by then stays done`

const STORES = `Stores
  file:./directory   redis://host   rediss://host   redis+sentinel://host:26379/name   redis+cluster://host
  redis+shards://host,host   sqlite:./sessions.db
  postgres://host/database   mysql://host/database   mariadb://host/database
  memcached://host can show and revoke by id only; memory: and null: live inside the application.
  If the URL has a password, use $SESSION_STORE instead of an argument: other users of the machine can see arguments.

Encrypted records are read with $SESSION_KEY and $SESSION_KEY_OLD, the application's signing secrets.`

/** What `--help` says without a command. */
export function overview(commands: Commands): string {
  const rows = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`)
  return `Looks after the sessions of koa-server-session.

Usage
  koa-server-session <command> [options]

Commands
${rows.join('\n')}

Options
${options(['help', 'version'])}
  Each command has its own --help.

${STORES}

${EXIT_CODES}`
}

/** What `--help` says of one command. */
export function helpOn(name: string, { summary, usage, options: own, operands, details }: Command): string {
  const needsStore = own.includes('store') || operands.what.includes('store')
  return [
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    `Usage\n${usage
      .split('\n')
      .map((form) => `  koa-server-session ${name} ${form}`.trimEnd())
      .join('\n')}`,
    `Options\n${options([...own, 'help'])}`,
    ...(details ? [details] : []),
    ...(needsStore ? [STORES] : []),
    EXIT_CODES,
  ].join('\n\n')
}

function options(names: readonly (keyof Values)[]): string {
  return names
    .map((name) => HELP_ON_OPTIONS[name])
    .map(([form, help]) => `  ${form.padEnd(16)} ${help}`)
    .join('\n')
}
