import type { Socket as NetSocket } from 'node:net'
import type { MemcacheClient } from 'memcache-client'
import { SessionError } from '../../errors.ts'
import { whenLate, type Until } from '../../deadline.ts'
import type { Milliseconds } from '../../units.ts'
import { Compressed } from './driver.ts'
import { notOurs } from '../envelope.ts'

/** Identifies one state of one item: the server's number for it, and the connection over which it was read. */
export interface Mark {
  readonly unique: string
  /** A restarted server begins to count anew, and answers over another connection. */
  readonly connection: number
}

/** What an item holds. */
export interface Item {
  readonly value: unknown
  readonly mark: Mark
}

type Socket = Pick<NetSocket, 'write'> & { unref?(): void }
type Answers = Partial<Record<string, { readonly casUniq: string; readonly value: unknown }>>

const connections = new WeakMap<object, number>()
let lastConnection = 0

/** One memcached server. It sends single commands, and never repeats one or sends it elsewhere. */
export class Server {
  readonly #client: MemcacheClient
  readonly #name: string
  readonly #deadline: Milliseconds
  /** Set while an answer of the server is overdue. */
  #silence: SessionError | undefined
  /** Gives up a command, for each that has not settled. */
  readonly #underWay = new Set<(reason: SessionError) => void>()
  #isProbed = false
  #isClosed = false

  constructor(name: string, client: MemcacheClient, deadline: Milliseconds) {
    this.#name = name
    this.#client = client
    this.#deadline = deadline
  }

  /** When an operation that begins now must have settled, however many commands it takes. */
  get until(): Until {
    return performance.now() + this.#deadline
  }

  async read(name: string, until: Until): Promise<Item | undefined> {
    let connection = 0
    try {
      const answers = await this.#run<Answers>(until, (socket) => {
        connection = connectionOf(socket)
        socket.write(`gets ${name}\r\n`)
      })
      const answer = answers[name]
      return answer && { value: answer.value, mark: { unique: answer.casUniq, connection } }
    } catch (error) {
      // The client turns values into numbers and objects if another writer has flagged them so.
      throw error instanceof Compressed || error instanceof SyntaxError ? notOurs(error) : error
    }
  }

  /** `false`: there is an item already. */
  async add(name: string, value: string, expiry: number, until: Until): Promise<boolean> {
    return (await this.#write(`add ${name} 0 ${expiry}`, '', value, until)) === 'STORED'
  }

  /** Writes if the item is known to be still in the state of this mark. */
  async replace(
    name: string,
    value: string,
    expiry: number,
    mark: Mark,
    until: Until,
  ): Promise<'STORED' | 'EXISTS' | 'NOT_FOUND'> {
    const answer = await this.#write(`cas ${name} 0 ${expiry}`, ` ${mark.unique}`, value, until, mark.connection)
    return answer as 'STORED' | 'EXISTS' | 'NOT_FOUND'
  }

  /** `false`: there was none. */
  async delete(name: string, until: Until): Promise<boolean> {
    return (await this.#outcome(until, (socket) => void socket.write(`delete ${name}\r\n`))) === 'DELETED'
  }

  async ping(): Promise<void> {
    await this.#run(this.until, (socket) => void socket.write('version\r\n'))
  }

  close(): void {
    this.#isClosed = true
    this.#client.shutdown()
  }

  #write(command: string, end: string, value: string, until: Until, connection?: number): Promise<string> {
    const block = Buffer.from(value)
    return this.#outcome(until, (socket) => {
      if (connection !== undefined && connection !== connectionOf(socket)) throw new StaleMark()
      const head = Buffer.from(`${command} ${block.length}${end}\r\n`)
      socket.write(Buffer.concat([head, block, LINE_END]))
    })
  }

  /** The first word of the answer, if that word says what became of the command. */
  async #outcome(until: Until, write: (socket: Socket) => void): Promise<string> {
    try {
      const [word] = await this.#run<string[]>(until, write)
      return word as string
    } catch (error) {
      if (error instanceof StaleMark) return 'EXISTS'
      const word = answerOf(error)?.[0]
      if (word !== undefined && OUTCOMES.includes(word)) return word
      throw error
    }
  }

  /**
   * Sends one command and settles by `until`, whatever the server does. Once the server has missed a deadline, one
   * command at a time finds out whether it answers again; all others reject at once.
   */
  async #run<Answer>(until: Until, write: (socket: Socket) => void): Promise<Answer> {
    if (this.#isClosed) throw new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'the store is closed')
    const isProbe = this.#silence !== undefined
    if (isProbe && this.#isProbed) throw this.#failure('does not answer', this.#silence)
    if (isProbe) this.#isProbed = true
    try {
      const answer = await this.#send<Answer>(until, write)
      this.#silence = undefined
      return answer
    } catch (error) {
      if (answerOf(error)) this.#silence = undefined
      throw this.#explained(error)
    } finally {
      if (isProbe) this.#isProbed = false
    }
  }

  #send<Answer>(until: Until, write: (socket: Socket) => void): Promise<Answer> {
    // The time was over between two steps of an operation, as in a process that stood still. The caller is told that it
    // failed, so it must not happen now, and the server is not to blame if it would not answer at once.
    const left = until - performance.now()
    if (left < 1) return Promise.reject(this.#failure(`could not be asked any more within ${this.#deadline} ms`))
    return new Promise((resolve, reject) => {
      const timer = whenLate(() => {
        if (this.#underWay.has(giveUp)) this.#fallSilent(giveUp)
      }, left)
      const giveUp = (reason: SessionError): void => end(() => reject(reason))
      const end = (settle: () => void): void => {
        if (!this.#underWay.delete(giveUp)) return
        clearTimeout(timer)
        settle()
      }
      this.#underWay.add(giveUp)
      try {
        this.#client
          .send<Answer>((socket) => {
            // The caller has been told that the command failed, so it must not be sent now.
            if (!this.#underWay.has(giveUp) || !socket) throw new Error('the connection was lost')
            // An open connection keeps no process alive. A command under way does, by its timer.
            ;(socket as Socket).unref?.()
            write(socket)
          })
          .then(
            (answer) => end(() => resolve(answer)),
            (error: unknown) => end(() => reject(error)),
          )
      } catch (error) {
        end(() => reject(error))
      }
    })
  }

  /**
   * Ends the connection on which a command is late, because the server answers in order: what queues behind that command
   * fails too. The next command opens another connection.
   */
  #fallSilent(late: (reason: SessionError) => void): void {
    const silence = this.#failure(`did not answer within ${this.#deadline} ms`)
    this.#silence = silence
    late(silence)
    for (const giveUp of this.#underWay) giveUp(this.#failure('does not answer', silence))
    this.#client.shutdown()
  }

  #explained(error: unknown): unknown {
    const answer = answerOf(error)
    if (answer?.join(' ').includes('object too large')) {
      return new SessionError(
        'ERR_SESSION_TOO_LARGE',
        'store memcached: the record is larger than the server takes (1 MB, if it was not started with another -I); ' +
          'nothing was stored. Keep less in the session, or start memcached with a larger -I',
        { cause: error },
      )
    }
    if (answer?.join(' ').includes('unauthenticated')) {
      return this.#failure('wants a sign-in, which memcache-client cannot do', error)
    }
    if (answer) return OUTCOMES.includes(answer[0]) ? error : this.#failure(`answered "${answer.join(' ')}"`, error)
    if (error instanceof SessionError || PASSED.some((kind) => error instanceof kind)) return error
    return this.#failure('cannot be reached, or the connection to it was lost', error)
  }

  #failure(what: string, cause?: unknown): SessionError {
    return new SessionError(
      'ERR_SESSION_STORE_UNAVAILABLE',
      `memcached at ${this.#name} ${what}`,
      cause === undefined ? undefined : { cause },
    )
  }
}

/** The connection over which a mark was read is gone, so the mark may now stand for another state. */
class StaleMark extends Error {}

/** The answers that say what became of a command. They are no failures. */
const OUTCOMES: readonly (string | undefined)[] = ['NOT_STORED', 'EXISTS', 'NOT_FOUND']
const PASSED = [StaleMark, Compressed, SyntaxError]
const LINE_END = Buffer.from('\r\n')

function connectionOf(socket: Socket): number {
  let connection = connections.get(socket)
  if (connection === undefined) connections.set(socket, (connection = ++lastConnection))
  return connection
}

/** The words with which the server refused a command; `undefined` if the error is anything else. */
function answerOf(error: unknown): readonly string[] | undefined {
  return error instanceof Error ? (error as Error & { cmdTokens?: string[] }).cmdTokens : undefined
}
