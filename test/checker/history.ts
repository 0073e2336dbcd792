import { appendFileSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Key, Milliseconds, Version } from '../../src/units.ts'

/**
 * `signIn`: a sign-in by a stranger whose cookie has an id that was replaced. `final` is the look into the store itself
 * when all is over. `flush` empties the whole server; it, `list` and `revokeAll` are of no session of their own.
 */
export type Kind =
  | 'create'
  | 'read'
  | 'set'
  | 'delete'
  | 'increment'
  | 'touch'
  | 'regenerate'
  | 'signIn'
  | 'destroy'
  | 'list'
  | 'revokeAll'
  | 'flush'
  | 'final'

/**
 * `done`: acknowledged. `absent`: there is no such session. `refused`: known not to have been applied. `unknown`: it may
 * have been applied or not, now or later. `broken`: an error that nothing explains.
 */
export type Outcome = 'done' | 'absent' | 'refused' | 'unknown' | 'broken'

/** Every name with the JSON text of its value. */
export type Content = Readonly<Record<string, string>>

/** What somebody asked of the library, and what came of it. Times are milliseconds on a clock common to all processes. */
export interface Operation {
  /** Worker and incarnation, such as `2.0`. */
  readonly process: string
  /** Grows in the order in which the process began its operations. */
  readonly number: number
  readonly kind: Kind
  readonly session: Key
  /** The name that was written; of a `create`, a `list` or a `revokeAll`: the user. */
  readonly name?: string
  /** What a `set` wrote, as JSON text. */
  readonly value?: string
  readonly begun: Milliseconds
  /** Infinity: the process never heard. */
  readonly ended: Milliseconds
  readonly outcome: Outcome
  readonly version?: Version
  /** All of the session at that version. */
  readonly content?: Content
  /** What an `increment` made of the counter. */
  readonly result?: number
  /** Of a `create`: the idle timeout, if it is one that may pass. */
  readonly idle?: Milliseconds
  /** What a `list` has listed. */
  readonly keys?: readonly Key[]
  /** The new session that a `regenerate` or a `signIn` made; version and content are then its. */
  readonly heir?: Key
  /** Of a read: whether the store knows by now that a request has come with this id. */
  readonly isHeld?: boolean
  readonly error?: string
  /** Seen while the servers themselves may have been wrong. Only the verifier says so. */
  readonly isDoubtful?: boolean
}

type Begun = Pick<Operation, 'kind' | 'session' | 'name' | 'value' | 'idle'>
type Ended = Pick<Operation, 'outcome' | 'version' | 'content' | 'result' | 'heir' | 'isHeld' | 'keys' | 'error'>

/** The clock that all processes of a machine share: CLOCK_MONOTONIC. */
export function now(origin: bigint): Milliseconds {
  return Number(process.hrtime.bigint() - origin) / 1e6
}

/**
 * Writes one process's part of the history, each line before anything else happens: who is killed has said what it
 * began.
 */
export class HistoryWriter {
  readonly #origin: bigint
  readonly #file: number
  readonly #known = new Map<Key, string>()
  #number = 0
  #done = 0

  constructor(directory: string, processName: string, origin: bigint) {
    this.#origin = origin
    this.#file = openSync(join(directory, `${processName}.history`), 'a')
  }

  /** How many operations were acknowledged so far. */
  get done(): number {
    return this.#done
  }

  begin(operation: Begun): number {
    this.#write({ b: ++this.#number, at: now(this.#origin), ...operation })
    return this.#number
  }

  end(number: number, { content, ...ended }: Ended, session?: Key): void {
    const at = now(this.#origin)
    if (ended.outcome === 'done') this.#done++
    // What this process has just reported of this very version it does not spell out again.
    const text = content && JSON.stringify([ended.version, content])
    const isNews = text !== undefined && (session === undefined || this.#known.get(session) !== text)
    if (isNews && session !== undefined) this.#known.set(session, text)
    this.#write({ e: number, at, ...ended, ...(isNews && { content }) })
  }

  statistics(stats: object): void {
    this.#write({ stats })
  }

  #write(line: object): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

export interface History {
  readonly operations: readonly Operation[]
  /** The counters of all processes, added up. */
  readonly statistics: Readonly<Record<string, number>>
}

export function readHistory(directory: string): History {
  const operations: Operation[] = []
  const statistics: Record<string, number> = {}
  for (const file of readdirSync(directory).toSorted()) {
    if (!file.endsWith('.history')) continue
    const { stats } = readPart(join(directory, file), file.slice(0, -'.history'.length), operations)
    for (const [name, count] of Object.entries(stats)) {
      if (typeof count === 'number') statistics[name] = (statistics[name] ?? 0) + count
    }
  }
  return { operations, statistics }
}

/** As it stood at that moment: what had begun by then, and of that only what had ended by then. */
export function upTo(moment: Milliseconds, { operations, statistics }: History): History {
  const cut = operations.flatMap((operation): Operation[] => {
    if (operation.begun > moment) return []
    if (operation.ended <= moment) return [operation]
    const { process: processName, number, kind, session, name, value, idle, begun } = operation
    const unfinished = {
      process: processName,
      number,
      kind,
      session,
      begun,
      ended: Infinity,
      outcome: 'unknown',
    } as const
    return [
      {
        ...unfinished,
        ...(name !== undefined && { name }),
        ...(value !== undefined && { value }),
        ...(idle !== undefined && { idle }),
      },
    ]
  })
  return { operations: cut, statistics }
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

function readPart(path: string, processName: string, operations: Operation[]): { stats: Record<string, number> } {
  const pending = new Map<number, Mutable<Operation>>()
  const contents = new Map<Key, { version: Version | undefined; content: Content }>()
  let stats: Record<string, number> = {}
  // What follows the last line break was cut short with its process, or is being written.
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const { b, e, at, ...fields } = JSON.parse(line) as { b?: number; e?: number; at: number } & Record<string, unknown>
    if (b !== undefined) {
      const begun = {
        process: processName,
        number: b,
        begun: at,
        ended: Infinity,
        outcome: 'unknown',
        ...(fields as Begun & object),
      }
      const operation = begun as Mutable<Operation>
      pending.set(b, operation)
      operations.push(operation)
    } else if (e !== undefined) {
      const operation = pending.get(e) as Mutable<Operation>
      pending.delete(e)
      Object.assign(operation, fields, { ended: at })
      const about = operation.heir ?? operation.session
      if (operation.content) contents.set(about, { version: operation.version, content: operation.content })
      else if (operation.version !== undefined) {
        const known = contents.get(about)
        if (known?.version === operation.version) operation.content = known.content
      }
    } else if (fields.stats) stats = fields.stats as Record<string, number>
  }
  return { stats }
}

/** For what the parent itself does and sees. */
export function record(directory: string, operation: Operation): void {
  const { process: processName, number: b, begun, ended, kind, session, ...rest } = operation
  appendFileSync(
    join(directory, `${processName}.history`),
    `${JSON.stringify({ b, at: begun, kind, session })}\n${JSON.stringify({ e: b, at: ended, ...rest })}\n`,
  )
}
