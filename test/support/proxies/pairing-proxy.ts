import { once } from 'node:events'
import { createServer, request, type ClientRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LASTING } from '../sites/http.ts'

/** Lets no form through to the site before two of them are being handled there at the same time. */
export interface PairingProxy {
  readonly url: string
  stop(): Promise<void>
}

export async function pairingProxy(target: string): Promise<PairingProxy> {
  let waiting: (() => void) | undefined
  const server = createServer(LASTING, (req, res) => {
    const isForm = req.method === 'POST'
    const headers = { ...req.headers, ...(isForm && { expect: '100-continue' }) }
    const onward = request(new URL(req.url ?? '/', target), { method: req.method, headers, agent: false }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    if (!isForm) return void req.pipe(onward)
    onward.flushHeaders()
    void paired(onward).then(() => req.pipe(onward))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }

  /** Resolves when the site handles this request and another one: each has its session, and waits for its form. */
  async function paired(onward: ClientRequest): Promise<void> {
    await once(onward, 'continue')
    if (waiting) {
      waiting()
      waiting = undefined
    } else {
      await new Promise<void>((resolve) => (waiting = resolve))
    }
  }
}
