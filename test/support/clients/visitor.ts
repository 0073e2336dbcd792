import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'

/** One answer of a site. */
export interface Page {
  status: number
  headers: Headers
  html: string
}

/** Somebody with a browser that has no scripts: keeps cookies, and sends forms with the token of the page last shown. */
export class Visitor {
  /** As the browser would send them. */
  readonly cookies: Map<string, string> = new Map()
  /** Where the site is; may be changed to another process of the same site. */
  site: string
  readonly #userAgent: string
  #page = ''

  constructor(site: string, userAgent = 'Somebody/1.0') {
    this.site = site
    this.#userAgent = userAgent
  }

  /** Shows a page, wherever it leads to. */
  async visit(path: string): Promise<Page> {
    return this.#follow(await this.request(path))
  }

  /** Sends a form from the page last shown, and shows where that leads to. */
  async submit(path: string, fields: Record<string, string> = {}): Promise<Page> {
    return this.#follow(await this.post(path, { token: this.token, ...fields }))
  }

  /** Sends a form as it is given, and follows nothing. */
  post(path: string, fields: Record<string, string>): Promise<Page> {
    return this.request(path, { method: 'POST', body: new URLSearchParams(fields) })
  }

  /**
   * Begins to send a form. Resolves once the site handles it, with the visitor's session at hand, and waits for the
   * fields; to a function that sends them, and resolves to the status of the answer.
   */
  async begin(path: string, fields: Record<string, string>): Promise<() => Promise<number>> {
    const body = new URLSearchParams(fields).toString()
    const sending = request(new URL(path, this.site), {
      method: 'POST',
      agent: false,
      headers: {
        ...this.#cookieHeader(),
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': body.length,
        expect: '100-continue',
      },
    })
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

  async request(path: string, init: RequestInit = {}): Promise<Page> {
    const response = await fetch(new URL(path, this.site), {
      ...init,
      headers: {
        ...(init.headers as Record<string, string>),
        'user-agent': this.#userAgent,
        ...this.#cookieHeader(),
      },
      redirect: 'manual',
    })
    for (const header of response.headers.getSetCookie()) this.#keep(header)
    return { status: response.status, headers: response.headers, html: await response.text() }
  }

  #cookieHeader(): { cookie?: string } {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return cookie ? { cookie } : {}
  }

  #keep(header: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? []
    if (/; Max-Age=0\b/.test(header)) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }

  async #follow(page: Page): Promise<Page> {
    const location = page.headers.get('location')
    if (location !== null) return this.#follow(await this.request(location))
    this.#page = page.html
    return page
  }
}
