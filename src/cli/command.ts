import type { OpenStore } from './store.ts'
import type { Terminal } from './terminal.ts'

/** The exit code of the process, for scripts. */
export type ExitCode = number

export const DONE: ExitCode = 0
/** The store cannot be reached, does not exist or failed, a record cannot be read, or the person said no. */
export const FAILED: ExitCode = 1
export const WRONG_USAGE: ExitCode = 2
/** There is no such session or user, or this kind of store cannot do what was asked. */
export const NOT_FOUND: ExitCode = 3

/** The values of all options. Each command takes some of them. */
export interface Values {
  store?: string
  subject?: string
  cookie?: string
  also: string[]
  count?: string
  limit?: string
  except: string[]
  all: boolean
  yes: boolean
  json: boolean
  print: boolean
  help: boolean
  version: boolean
}

/** Which store to open, and what may be missing there. */
export interface HowToOpen {
  /** Default: what `--store` says. */
  readonly url?: string
  /** Whether a file of SQLite may be missing. */
  readonly forMaking?: boolean
  /** Whether the whole store may be missing, and is made. */
  readonly isNew?: boolean
}

/** One call of one command. */
export interface Call {
  readonly values: Values
  /** The arguments behind the command's name that are not options. */
  readonly operands: readonly string[]
  readonly terminal: Terminal
  /** Aborts on Ctrl-C, and when nobody reads the output any more. */
  readonly signal: AbortSignal
  /** Opens the store that was asked for. Throws if there is none, or if no other process can look into it. */
  readonly openStore: (how?: HowToOpen) => OpenStore
}

export interface Command {
  /** One line for the overview. */
  readonly summary: string
  /** What follows the command's name, one form per line. */
  readonly usage: string
  /** The options that the command takes, apart from `--help`. */
  readonly options: readonly (keyof Values)[]
  /** How many operands the command takes. */
  readonly operands: { readonly least: number; readonly most: number; readonly what: string }
  /** More text for the command's help. */
  readonly details?: string
  run(call: Call): Promise<ExitCode>
}

/** All commands by name, in the order of the overview. */
export type Commands = Readonly<Record<string, Command>>
