import { connect, type Socket } from 'node:net'

/** One answer. The body is what stands between the braces of `{"value":…}`. */
export interface Answer {
  readonly status: number
  readonly value: unknown
  readonly cookies: readonly string[]
}

/** What a browser remembers. */
export class Jar {
  readonly #cookies = new Map<string, string>()

  /** Of `Set-Cookie` values; an empty value or a passed expiry removes. */
  take(cookies: readonly string[]): void {
    for (const cookie of cookies) {
      const [, name, value, attributes] = /^([^=]+)=([^;]*)(.*)$/s.exec(cookie) ?? []
      if (name === undefined || value === undefined) continue
      const expires = /expires=([^;]+)/i.exec(attributes ?? '')?.[1]
      if (value === '' || (expires !== undefined && Date.parse(expires) < Date.now())) this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
  }

  /** The header line, or nothing. */
  get header(): string {
    const pairs = [...this.#cookies].map(([name, value]) => `${name}=${value}`)
    return pairs.length > 0 ? `Cookie: ${pairs.join('; ')}\r\n` : ''
  }
}

export function requestText(path: string, cookieHeader: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${cookieHeader}\r\n`
}

/**
 * A keep-alive connection that asks one request after the other. As small as can be, so that the load generator is not
 * what is measured; answers without a Content-Length are errors.
 */
export class Connection {
  readonly #socket: Socket
  #rest = ''
  #answered: (head: string, body: string) => void = () => {}
  #failed: (error: Error) => void = () => {}

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => this.#read(text))
    this.#socket.on('error', (error) => this.#failed(error))
    this.#socket.on('close', () => this.#failed(new Error('the server closed the connection')))
  }

  /** Sends; the answer's head and body go to `answered`. */
  send(request: string, answered: (head: string, body: string) => void, failed: (error: Error) => void): void {
    this.#answered = answered
    this.#failed = failed
    this.#socket.write(request, 'latin1')
  }

  #read(text: string): void {
    const all = this.#rest === '' ? text : this.#rest + text
    const end = all.indexOf('\r\n\r\n')
    if (end === -1) {
      this.#rest = all
      return
    }
    const length = /content-length: (\d+)/i.exec(all)?.[1]
    const size = end + 4 + Number(length)
    if (all.length < size) {
      this.#rest = all
      return
    }
    this.#rest = ''
    if (all.length === size) this.#answered(all.slice(0, end), all.slice(end + 4))
    else
      this.#failed(
        new Error(length === undefined ? 'an answer without Content-Length' : 'more was answered than asked'),
      )
  }

  /** The same for single requests, with the cookies of `jar`. */
  get(path: string, jar: Jar): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.send(
        requestText(path, jar.header),
        (head, body) => {
          const cookies = cookiesOf(head)
          jar.take(cookies)
          resolve({ status: Number(head.slice(9, 12)), value: valueOf(body), cookies })
        },
        reject,
      )
    })
  }

  close(): void {
    this.#failed = () => {}
    this.#socket.destroy()
  }
}

/** One request on a connection of its own. */
export async function getOnce(port: number, path: string, jar: Jar): Promise<Answer> {
  const connection = new Connection(port)
  try {
    return await connection.get(path, jar)
  } finally {
    connection.close()
  }
}

export function cookiesOf(head: string): string[] {
  return [...head.matchAll(/^set-cookie: (.*)$/gim)].map((match) => (match[1] as string).trimEnd())
}

function valueOf(body: string): unknown {
  try {
    return (JSON.parse(body) as { value?: unknown }).value
  } catch {
    return undefined
  }
}
