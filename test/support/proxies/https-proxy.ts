import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { LASTING } from '../sites/http.ts'
import { selfSigned } from './self-signed.ts'

/** What stands before a site in production: speaks https with the visitors, and http with the site. */
export interface HttpsProxy {
  readonly url: string
  stop(): Promise<void>
}

export async function httpsProxy(target: string): Promise<HttpsProxy> {
  const server = createServer({ ...LASTING, ...(await selfSigned('localhost')) }, (req, res) => {
    const headers = { ...req.headers, 'x-forwarded-proto': 'https', 'x-forwarded-host': req.headers.host }
    const onward = request(new URL(req.url ?? '/', target), { method: req.method, headers, agent: false }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
