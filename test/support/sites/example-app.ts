import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createApp, type AppOptions } from '../../../example/app.ts'
import { memoryStore } from '../../../src/index.ts'
import { LASTING } from './http.ts'

/** The example site in this process, over a store in memory. */
export interface ExampleApp extends Omit<ReturnType<typeof createApp>, 'app'> {
  readonly url: string
  stop(): Promise<void>
}

export const EXAMPLE_KEY = 'the key of the example in this process'

export async function startExampleApp(options: Partial<AppOptions> = {}): Promise<ExampleApp> {
  const { app, sessions, hood } = createApp({ keys: [EXAMPLE_KEY], store: memoryStore(), ...options })
  app.silent = true
  const server = createServer(LASTING, app.callback()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sessions,
    hood,
    async stop() {
      server.close()
      await hood.close()
      server.closeAllConnections()
      await sessions.close()
    },
  }
}
