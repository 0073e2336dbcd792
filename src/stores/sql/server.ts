import { Deadline } from '../../deadline.ts'
import { SessionError } from '../../errors.ts'
import type { Milliseconds } from '../../units.ts'
import type { Row, Value } from './database.ts'
import { failed, notConnected, refusedBy, tooLate, type Fault } from './faults.ts'

/** What a statement has brought. */
export interface Answer {
  readonly rows: readonly Row[]
  /** How many rows were written, or matched. */
  readonly changes: number
}

/** One connection of a pool, in the use of one operation. */
export interface Connection {
  /** Whether an operation has used it before. If so, the server may have closed it while it was idle in the pool. */
  readonly wasIdle: boolean
  run(text: string, values: readonly unknown[]): Promise<Answer>
  /** Gives it back to the pool. `isOver`: the connection is closed instead, with whatever it was doing. */
  release(isOver: boolean): void
}

/** A pool of one of the drivers, and what it says. */
export interface Pool {
  /** The server's name for messages. */
  readonly server: string
  connect(): Promise<Connection>
  /** The number of the server's refusal; `undefined` if it was not the server that refused. */
  codeOf(error: unknown): string | undefined
  readonly faults: Readonly<Record<string, Fault>>
  /** Whether somebody has ended the pool. */
  isEnded(): boolean
  /** A sentence on the rights that are missing. `run` can ask who the user is. */
  rightsMissing(run: Connection['run']): Promise<string>
  end(): Promise<void>
}

/** A deadlock has a victim, which is told that nothing of it was written. It tries so often at most. */
const TRIES = 20
const NOTHING: Answer = { rows: [], changes: 0 }

/** What is to be done on a connection. */
interface Task {
  readonly work: (run: Connection['run']) => Promise<Answer>
  readonly onlyReads: boolean
  /** The refusal that only means that there are no rows. */
  readonly nothing?: Fault
}

/** One task under way. */
interface Job extends Task {
  connection?: Connection | undefined
  hadConnection: boolean
  wasIdle: boolean
  isLate: boolean
}

/** A database server behind a pool: one deadline for every operation, and errors without anybody's values. */
export class Server {
  readonly #pool: Pool
  readonly #patience: Deadline

  constructor(pool: Pool, deadline: Milliseconds) {
    this.#pool = pool
    this.#patience = new Deadline(deadline)
  }

  async rows(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return (await this.#run({ work: (run) => run(text, values), onlyReads: true })).rows
  }

  /** The rows of a table that need not be there. */
  async rowsIfThere(text: string): Promise<readonly Row[]> {
    return (await this.#run({ work: (run) => run(text, []), onlyReads: true, nothing: 'no table' })).rows
  }

  async changes(text: string, values: readonly Value[]): Promise<number> {
    return (await this.#run({ work: (run) => run(text, values), onlyReads: false, nothing: 'duplicate' })).changes
  }

  /** Runs several statements on one connection. */
  async onOne(work: Task['work']): Promise<void> {
    await this.#run({ work, onlyReads: false })
  }

  end(): Promise<void> {
    return this.#pool.end()
  }

  #run(task: Task): Promise<Answer> {
    const job: Job = { ...task, hadConnection: false, wasIdle: false, isLate: false }
    return this.#patience.within(this.#tryAgain(job), () => {
      job.isLate = true
      // The server is not to write when a lock is free at last, although nobody waits for that any more. It ends what it
      // does for a connection that is gone, but it may have written before it noticed that.
      job.connection?.release(true)
      return tooLate(this.#pool.server, this.#patience.length, job.hadConnection)
    })
  }

  /**
   * Repeats what is known to have written nothing: the victim of a deadlock, and a read whose connection was lost. It does
   * that once, and again for as long as the pool lends connections that it had kept: a server that closes them closes
   * many, and each that is lost leaves the pool. After anything else the outcome of a write is unknown.
   */
  async #tryAgain(job: Job): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      job.hadConnection = false
      job.wasIdle = false
      try {
        return await this.#once(job, job.work)
      } catch (error) {
        if (job.isLate || error instanceof SessionError) throw error
        const code = this.#pool.codeOf(error)
        const fault = code === undefined ? 'lost' : this.#pool.faults[code]
        if (fault !== undefined && fault === job.nothing) return NOTHING
        if (fault === 'rolled back' && tries < TRIES) continue
        if (fault === 'lost' && job.onlyReads && job.hadConnection && (tries === 1 || job.wasIdle)) continue
        throw await this.#failure(error, code, fault, job)
      }
    }
  }

  async #once(job: Job, work: Task['work']): Promise<Answer> {
    const connection = await this.#pool.connect()
    if (job.isLate) {
      connection.release(false)
      return NOTHING
    }
    job.connection = connection
    job.hadConnection = true
    job.wasIdle = connection.wasIdle
    let isOver = true
    try {
      const answer = await work((text, values) => connection.run(text, values))
      isOver = false
      return answer
    } catch (error) {
      const code = this.#pool.codeOf(error)
      isOver = code === undefined || this.#pool.faults[code] === 'lost'
      throw error
    } finally {
      job.connection = undefined
      if (!job.isLate) connection.release(isOver)
    }
  }

  async #failure(error: unknown, code: string | undefined, fault: Fault | undefined, job: Job): Promise<SessionError> {
    const { server } = this.#pool
    if (this.#pool.isEnded()) return failed(`the pool of ${server} was ended; end it after the last request`)
    if (code === undefined) return notConnected(server, error, job.hadConnection)
    if (fault !== 'rights') return refusedBy(server, fault, code)
    let missing = ''
    try {
      await this.#once(job, async (run) => {
        missing = await this.#pool.rightsMissing(run)
        return NOTHING
      })
    } catch {} // what was refused first counts
    return failed(`${server} refuses the rights to this user (${code}). ${missing}`.trimEnd())
  }
}
