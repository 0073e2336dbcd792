import { parseArgs } from 'node:util'
import { nearest } from '../checks.ts'
import type { Command, Commands, Values } from './command.ts'
import { wrong } from './usage.ts'

interface Option {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly multiple?: boolean
}

const OPTIONS: Readonly<Record<keyof Values, Option>> = {
  store: { type: 'string', short: 's' },
  subject: { type: 'string' },
  cookie: { type: 'string' },
  also: { type: 'string', multiple: true },
  except: { type: 'string', multiple: true },
  count: { type: 'string' },
  limit: { type: 'string' },
  all: { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  json: { type: 'boolean' },
  print: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
}

/** A token as browsers have it, with or without its signature and the cookie's name. */
const COOKIE = /^(?:[^=\s]+=)?[\w-]{43}(?:\.[\w-]+)?;?$/

export interface CommandLine {
  /** Absent if none was given. */
  readonly command: { readonly name: string; readonly definition: Command } | undefined
  readonly values: Values
  readonly operands: readonly string[]
}

/** Throws `ERR_SESSION_OPTION`. Its sentence says what is wrong with the arguments, and repeats only their names. */
export function parseCommandLine(args: string[], commands: Commands): CommandLine {
  if (args.some((arg, index) => COOKIE.test(arg) && !isNamed(args, index))) throw pastedCookie()
  const { tokens } = parseArgs({ args, options: OPTIONS, strict: false, allowPositionals: true, tokens: true })
  const flags = { all: false, yes: false, json: false, print: false, help: false, version: false }
  const values: Values = { also: [], except: [], ...flags }
  const given: (keyof Values)[] = []
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const name = token.name as keyof Values
    if (!Object.hasOwn(OPTIONS, name))
      throw wrong(`There is no option ${token.rawName}.${near(token.name, OPTION_NAMES, '--')}`)
    given.push(name)
    set(values, name, token.value, token.inlineValue === true)
  }
  if (operands[0] === 'help') {
    operands.shift()
    values.help = true
  }
  const name = operands.shift()
  if (name === undefined) return { command: undefined, values, operands }
  const definition = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!definition) throw wrong(`${quoted(name)} is not a command.${near(name, Object.keys(commands))} See --help.`)
  if (!values.help && !values.version) check(name, definition, given, operands)
  return { command: { name, definition }, values, operands }
}

function check(name: string, command: Command, given: (keyof Values)[], operands: readonly string[]): void {
  const stranger = given.find((option) => !command.options.includes(option))
  if (stranger) throw wrong(`${name} takes no --${stranger}. See ${name} --help.`)
  const { least, most, what } = command.operands
  if (operands.length < least) throw wrong(`${name} needs ${what}. See ${name} --help.`)
  if (operands.length > most) throw wrong(`${name} takes ${most === 0 ? 'options only' : what}. See ${name} --help.`)
}

function set(values: Values, name: keyof Values, value: string | undefined, isInline: boolean): void {
  if (OPTIONS[name].type === 'boolean') {
    if (isInline) throw wrong(`--${name} takes no value.`)
    Object.assign(values, { [name]: true })
    return
  }
  if (value === undefined || (!isInline && /^-./.test(value))) throw wrong(`--${name} needs a value.`)
  if (name === 'except' || name === 'also') values[name].push(value)
  else Object.assign(values, { [name]: value })
}

/** What an application calls a user or a tenant may look like anything. */
function isNamed(args: readonly string[], index: number): boolean {
  return /^--(?:subject|also)=/.test(args[index] ?? '') || /^--(?:subject|also)$/.test(args[index - 1] ?? '')
}

function pastedCookie(): Error {
  return wrong(
    'This looks like the value of a session cookie, which is a secret: anyone who has it has the session. Give the ' +
      'public id instead, 64 hexadecimal digits, as `list` and session.id show it. Your shell may keep a history.',
  )
}

const OPTION_NAMES = Object.keys(OPTIONS)

function quoted(name: string): string {
  // A word that is longer than any command was meant for something else, and may be a secret.
  return /^[\w-]{1,16}$/.test(name) ? `"${name}"` : 'The first argument'
}

function near(word: string, names: readonly string[], prefix = ''): string {
  const meant = names.find((name) => name.startsWith(word)) ?? nearest(word, names)
  return meant === undefined ? '' : ` Did you mean ${prefix}${meant}?`
}
