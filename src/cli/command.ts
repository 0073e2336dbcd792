import type { OpenStore } from './store.ts'
import type { Terminal } from './terminal.ts'

/** What the process ends with, for scripts. */
export type ExitCode = number

export const DONE: ExitCode = 0
/** The store cannot be reached, is none, or failed; or the person said no. */
export const FAILED: ExitCode = 1
export const WRONG_USAGE: ExitCode = 2
/** There is no such session or user, or this kind of store cannot do that. */
export const NOT_FOUND: ExitCode = 3

/** The values of all options that there are; each command takes some of them. */
export interface Values {
  store?: string
  subject?: string
  cookie?: string
  count?: string
  except: string[]
  all: boolean
  yes: boolean
  json: boolean
  help: boolean
  version: boolean
}

/** One call of one command. */
export interface Call {
  readonly values: Values
  /** What stands behind the command and is no option. */
  readonly operands: readonly string[]
  readonly terminal: Terminal
  /** Aborted by Ctrl-C, and when nobody reads the output any more. */
  readonly signal: AbortSignal
  /** Opens the store that was asked for. Throws where there is none, or where it cannot be looked into from outside. */
  readonly openStore: () => OpenStore
}

export interface Command {
  /** For the overview. */
  readonly summary: string
  /** What follows its name. */
  readonly usage: string
  /** The options it takes, apart from `--help`. */
  readonly options: readonly (keyof Values)[]
  /** How many operands it takes. */
  readonly operands: { readonly least: number; readonly most: number; readonly what: string }
  /** More for its help, if there is more to say. */
  readonly details?: string
  run(call: Call): Promise<ExitCode>
}

/** All commands by their names, in the order of the overview. */
export type Commands = Readonly<Record<string, Command>>
