import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { WebSocket } from 'ws'
import { bindSession, getSession, session, tryGetSession, type Sessions } from '../../src/index.ts'
import { readSession, signIn } from '../../src/tools/testing.ts'
import { KEY } from '../support/sites/http.ts'

type SocketContext = Koa.Context & { websocket: WebSocket }
/** koa-websocket brings no types. */
type WithSockets = Koa & { ws: { use(middleware: (ctx: SocketContext, next: Koa.Next) => unknown): unknown } }
const require = createRequire(import.meta.url)
const websockify = require('koa-websocket') as (app: Koa) => WithSockets

/** What a socket's handler does, and what a client with this cookie hears after it has said hello. */
async function heard(
  test: TestContext,
  sessions: Sessions,
  handler: (ctx: SocketContext) => void,
  cookie = '',
): Promise<string> {
  const app = websockify(new Koa())
  app.use(sessions).use((ctx) => void (ctx.body = 'page'))
  app.ws.use((ctx, next) => next().catch((error: Error) => ctx.websocket.send(`${error.name}: ${error.message}`)))
  app.ws.use(sessions)
  app.ws.use(handler)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, { headers: { cookie } })
  test.after(() => {
    socket.terminate()
    server.close()
    server.closeAllConnections()
  })
  const answered = once(socket, 'message') // it may come together with the opening
  await once(socket, 'open')
  socket.send('hello')
  const [text] = (await answered) as [Buffer]
  return String(text)
}

describe('koa-websocket', () => {
  it('gives the sockets their sessions, which change by update', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    const ada = await signIn(sessions, { userId: 'ada' })
    const answer = await heard(
      test,
      sessions,
      (ctx) => {
        assert.equal(ctx.session, getSession())
        const listener = bindSession(async (text: unknown) => {
          const said = await getSession().update((current) => (current.visits = (current.visits ?? 0) + 1))
          ctx.websocket.send(`${ctx.session.userId} said ${String(text)}, which makes ${said}`)
        })
        ctx.websocket.on('message', listener)
      },
      ada.cookie,
    )
    assert.equal(answer, 'ada said hello, which makes 1')
    assert.equal((await readSession(sessions, ada))?.visits, 1)
  })

  it('has no session above the session middleware, also once a page was served', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    const app = websockify(new Koa())
    app.use(sessions).use((ctx) => void (ctx.body = 'page'))
    app.ws.use(async (ctx, next) => next().catch((error: Error) => ctx.websocket.send(error.message)))
    app.ws.use((ctx) => ctx.websocket.send(String(ctx.session)))
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}/`
    assert.equal(await (await fetch(`http://${address}`)).text(), 'page')
    const socket = new WebSocket(`ws://${address}`)
    test.after(() => {
      socket.terminate()
      server.close()
      server.closeAllConnections()
    })
    const [text] = (await once(socket, 'message')) as [Buffer]
    assert.equal(String(text), 'undefined')
  })

  it('has no session for a stranger', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    const answer = await heard(test, sessions, (ctx) => {
      ctx.websocket.on('message', () => ctx.websocket.send(String(ctx.session ?? tryGetSession())))
    })
    assert.equal(answer, 'undefined')
  })

  it('says what to do instead where a socket sets its session', async (test) => {
    const sessions = session({ keys: [KEY], store: 'memory:' })
    const ada = await signIn(sessions)
    const answer = await heard(test, sessions, (ctx) => void (ctx.session = { views: 1 }), ada.cookie)
    assert.match(answer, /^SessionError: ctx\.session cannot be set on a WebSocket\. Change it with update/)
  })
})
