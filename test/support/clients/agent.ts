import { once } from 'node:events'
import {
  Agent as Sockets,
  request,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { gunzipSync } from 'node:zlib'

/** One answer, read to its end. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Each Set-Cookie header. */
  readonly cookies: readonly string[]
  readonly text: string
  json<T = Record<string, unknown>>(): T
}

export interface Ask {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  /** Sent instead of the agent's cookies; they stay as they are. */
  readonly cookie?: string
  /** Sent with the content type that it has by itself, unless `headers` has another. */
  readonly body?: string | URLSearchParams | FormData
}

// Node's servers close a connection that was idle for five seconds, unless they are made otherwise. What is idle for one
// is not used again, so four are left in which a request may be late because the machine is busy.
const sockets = new Sockets({ keepAlive: true, timeout: 1000 })

/** A browser, as far as cookies go. Several sites may share one agent, as several processes share one host name. */
export class Agent {
  /** Where the site is; may be changed to another process of the same site. */
  site: string
  readonly cookies: Map<string, string>

  /** `site`: its address, or its port on this machine. */
  constructor(site: string | number, cookies: Map<string, string> = new Map()) {
    this.site = typeof site === 'number' ? `http://127.0.0.1:${site}` : site
    this.cookies = cookies
  }

  /** The same browser, at another process. */
  at(site: string | number): Agent {
    return new Agent(site, this.cookies)
  }

  get port(): number {
    return Number(new URL(this.site).port)
  }

  /** What it would send. */
  get cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Follows nothing. */
  async get(path: string, { body, ...ask }: Ask = {}): Promise<Reply> {
    const sent = body === undefined ? undefined : await encoded(body)
    const asked = this.asking(path, { ...ask, headers: { ...sent?.headers, ...ask.headers } })
    asked.end(sent?.bytes)
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    const pieces: Buffer[] = []
    for await (const piece of response) pieces.push(piece as Buffer)
    const bytes = Buffer.concat(pieces)
    const isCompressed = response.headers['content-encoding'] === 'gzip' && bytes.length > 0
    const text = String(isCompressed ? gunzipSync(bytes) : bytes)
    const cookies = response.headers['set-cookie'] ?? []
    for (const set of cookies) this.#take(set)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      cookies,
      text,
      json: () => JSON.parse(text) as never,
    }
  }

  /** A request whose body is still to be sent. The path goes out as it is given. */
  protected asking(path: string, { method = 'GET', headers, cookie = this.cookieHeader }: Ask): ClientRequest {
    const { hostname: host, port } = new URL(this.site)
    return request({ host, port, path, method, agent: sockets, headers: { ...headers, ...(cookie && { cookie }) } })
  }

  #take(set: string): void {
    const [pair = '', ...attributes] = set.split('; ')
    const at = pair.indexOf('=')
    if (attributes.includes('Max-Age=0')) this.cookies.delete(pair.slice(0, at))
    else this.cookies.set(pair.slice(0, at), pair.slice(at + 1))
  }
}

async function encoded(body: NonNullable<Ask['body']>): Promise<{ headers: OutgoingHttpHeaders; bytes: Buffer }> {
  const made = new Response(body)
  const headers = { 'content-type': String(made.headers.get('content-type')) }
  return { headers, bytes: Buffer.from(await made.arrayBuffer()) }
}
