/*
 * A process that serves requests, closes its server and forgets the sessions: `node forgetful-server.js <store>`. It
 * prints what the visitor has seen, and ends as soon as nothing is left that keeps it alive.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { session } from '../../../src/index.ts'
import { signIn } from '../../../src/tools/testing.ts'

const sessions = session({ keys: ['a key of a forgetful server'], store: process.argv[2] })
const app = new Koa()
app.use(sessions).use((ctx) => {
  const visitor = ctx.session as { views?: number; signal: AbortSignal }
  visitor.signal.addEventListener('abort', () => {})
  visitor.views = (visitor.views ?? 0) + 1
  ctx.body = String(visitor.views)
})
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
const visitor = await signIn(sessions)
for (let count = 0; count < 2; count++) {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
    headers: visitor.headers,
  })
  console.log(await response.text())
}
server.close()
server.closeAllConnections()
