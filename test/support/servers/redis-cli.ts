import { execFile } from 'node:child_process'
import { connect } from 'node:net'
import { promisify } from 'node:util'

const run = promisify(execFile)
const LONGEST = 120_000

/**
 * What `redis-cli` prints of the reply to one command, without a process for it: tests ask servers so often, while they
 * wait for something, that the processes would cost more than the servers. Arguments that begin with a hyphen go to the
 * real one. Rejects if the server cannot be reached, or says nothing.
 */
export async function redisCli(port: number, password: string | undefined, words: readonly string[]): Promise<string> {
  if (words[0]?.startsWith('-')) {
    const login = password === undefined ? [] : ['--no-auth-warning', '-a', password]
    const { stdout } = await run('redis-cli', ['-p', String(port), ...login, ...words], { timeout: LONGEST })
    return stdout.trimEnd()
  }
  const commands = password === undefined ? [words] : [['AUTH', password], words]
  const replies = await answersOf(port, commands)
  return printed(replies.at(-1)).trimEnd()
}

/** A text, which may be that of an error; nothing; or several replies. */
type Reply = string | undefined | Reply[]

function answersOf(port: number, commands: readonly (readonly string[])[]): Promise<Reply[]> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const socket = connect(port, '127.0.0.1', () => socket.write(commands.map(written).join('')))
    socket.setTimeout(LONGEST, () => socket.destroy(new Error(`no answer within ${LONGEST} ms`)))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server has closed the connection')))
    socket.on('data', (piece) => {
      received = Buffer.concat([received, piece])
      const replies = new Replies(received).atLeast(commands.length)
      if (replies === undefined) return
      resolve(replies)
      socket.destroy()
    })
  })
}

function written(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

/** As redis-cli prints into a pipe. */
function printed(reply: Reply): string {
  return Array.isArray(reply) ? reply.map(printed).join('\n') : (reply ?? '')
}

/** Reads replies in the protocol RESP2 from what has come so far. */
class Replies {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** So many replies; nothing as long as they are not there whole. */
  atLeast(count: number): Reply[] | undefined {
    const replies: Reply[] = []
    while (replies.length < count) {
      const next = this.#next()
      if (next === undefined) return undefined
      replies.push(next.reply)
    }
    return replies
  }

  #next(): { reply: Reply } | undefined {
    const end = this.#bytes.indexOf('\r\n', this.#at)
    if (end < 0) return undefined
    const type = String.fromCharCode(this.#bytes[this.#at] as number)
    const line = this.#bytes.toString('utf8', this.#at + 1, end)
    this.#at = end + 2
    if (type === '$') return this.#text(Number(line))
    if (type !== '*') return { reply: line }
    if (Number(line) < 0) return { reply: undefined }
    const parts = this.atLeast(Number(line))
    return parts && { reply: parts }
  }

  #text(length: number): { reply: Reply } | undefined {
    if (length < 0) return { reply: undefined }
    const from = this.#at
    this.#at += length + 2
    return this.#at > this.#bytes.length ? undefined : { reply: this.#bytes.toString('utf8', from, from + length) }
  }
}
