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
  #page = ''

  constructor(site: string) {
    this.site = site
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

  /** The token in the form of the page last shown. */
  get token(): string {
    return /name="token" value="([\w-]+)"/.exec(this.#page)?.[1] ?? ''
  }

  async request(path: string, init: RequestInit = {}): Promise<Page> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(new URL(path, this.site), {
      ...init,
      headers: { ...(init.headers as Record<string, string>), ...(cookie && { cookie }) },
      redirect: 'manual',
    })
    for (const header of response.headers.getSetCookie()) this.#keep(header)
    return { status: response.status, headers: response.headers, html: await response.text() }
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
