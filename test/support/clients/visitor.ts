import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, type Ask, type Reply } from './agent.ts'

/** Somebody with a browser that has no scripts: follows redirects, and sends forms with the token of the page last shown. */
export class Visitor extends Agent {
  readonly #userAgent: string
  #page = ''

  constructor(site: string, userAgent = 'Somebody/1.0') {
    super(site)
    this.#userAgent = userAgent
  }

  /** Shows a page, wherever it leads to. */
  async visit(path: string): Promise<Reply> {
    return this.#follow(await this.get(path))
  }

  /** Sends a form from the page last shown, and shows where that leads to. */
  async submit(path: string, fields: Record<string, string> = {}): Promise<Reply> {
    return this.#follow(await this.post(path, { token: this.token, ...fields }))
  }

  /** Sends a form as it is given, and follows nothing. */
  post(path: string, fields: Record<string, string>): Promise<Reply> {
    return this.get(path, { method: 'POST', body: new URLSearchParams(fields) })
  }

  /**
   * Begins to send a form. Resolves once the site handles it, with the visitor's session at hand, and waits for the
   * fields; to a function that sends them, and resolves to the status of the answer.
   */
  async begin(path: string, fields: Record<string, string>): Promise<() => Promise<number>> {
    const body = new URLSearchParams(fields).toString()
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': body.length,
      expect: '100-continue',
    }
    const sending = this.asking(path, { method: 'POST', headers })
    sending.flushHeaders()
    await once(sending, 'continue')
    return async () => {
      sending.end(body)
      const [answer] = (await once(sending, 'response')) as [IncomingMessage]
      answer.resume()
      return answer.statusCode ?? 0
    }
  }

  /** The token in the form of the page last shown. */
  get token(): string {
    return /name="token" value="([\w-]+)"/.exec(this.#page)?.[1] ?? ''
  }

  protected override asking(path: string, ask: Ask): ClientRequest {
    return super.asking(path, { ...ask, headers: { 'user-agent': this.#userAgent, ...ask.headers } })
  }

  async #follow(reply: Reply): Promise<Reply> {
    const { location } = reply.headers
    if (location !== undefined) {
      const { pathname, search } = new URL(location, this.site)
      return this.#follow(await this.get(pathname + search))
    }
    this.#page = reply.text
    return reply
  }
}
