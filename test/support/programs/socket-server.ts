/**
 * A site whose visitors have sockets, of ws at `/ws` and of socket.io: tells its port to its parent, and ends with it.
 * A message is `add` (counts, exactly), `set <theme>` or `read`; each is answered by JSON, or by `{ code }` of an error.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { Server } from 'socket.io'
import { WebSocketServer, type WebSocket } from 'ws'
import { runWithSession, session, type Session, type SessionError, type SessionOptions } from '../../../src/index.ts'
import { LASTING, currentSession, sessionOf } from '../sites/http.ts'

const sessions = session(JSON.parse(process.argv[2] as string) as SessionOptions)
const app = new Koa()
app.silent = true
app.use(sessions)
app.use(async (ctx) => {
  if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
  if (ctx.path === '/set') sessionOf(ctx)['theme'] = ctx.query['theme']
  if (ctx.path === '/login') await ctx.session.regenerate({ keep: true })
  if (ctx.path === '/out') await ctx.session.destroy()
  ctx.body = ctx.path === '/stats' ? sessions.stats() : { ...ctx.session }
})
const server = createServer(LASTING, app.callback())

/** Far from any socket, as the services of an application are. */
async function answer(message: string): Promise<object> {
  await new Promise((resolve) => setImmediate(resolve))
  const [what, theme] = message.split(' ')
  const own = currentSession()
  if (what === 'add') return { count: await own.update((fresh) => (fresh['count'] = Number(fresh['count'] ?? 0) + 1)) }
  await own.reload()
  if (what === 'set') {
    own['theme'] = theme
    await own.save()
  }
  return { ...own }
}

/** The answer to one message of a socket whose session this is. */
function answerTo(own: Session, message: string): Promise<string> {
  return runWithSession(own, () => answer(message)).then(
    (data) => JSON.stringify(data),
    (error: SessionError) => JSON.stringify({ code: error.code }),
  )
}

/** Runs `close` when the session ends, unless the socket was closed before. */
function endWith(
  own: Session,
  socket: { once(event: string, listener: () => void): unknown },
  event: string,
  close: () => void,
): void {
  if (own.signal.aborted) return close()
  own.signal.addEventListener('abort', close)
  socket.once(event, () => own.signal.removeEventListener('abort', close))
}

const webSockets = new WebSocketServer({ noServer: true })
webSockets.on('connection', (socket: WebSocket, _request: IncomingMessage, own: Session) => {
  endWith(own, socket, 'close', () => socket.close(4001, 'signed out'))
  socket.on('error', () => {}) // ws closes the socket by itself
  socket.on('message', (message) => void answerTo(own, String(message)).then((text) => socket.send(text)))
})
server.on('upgrade', (request, socket, head) => {
  if (request.url !== '/ws') return
  socket.on('error', () => socket.destroy())
  const refuse = (status: string): unknown =>
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy())
  sessions.open(request).then(
    (own) => {
      if (!own) return refuse('401 Unauthorized')
      webSockets.handleUpgrade(request, socket, head, (opened) => webSockets.emit('connection', opened, request, own))
    },
    () => refuse('503 Service Unavailable'),
  )
})

const io = new Server(server, { destroyUpgrade: false })
io.use((socket, next) => {
  sessions.open(socket.request).then((own) => {
    socket.data = { own }
    next(own ? undefined : new Error('Unauthorized'))
  }, next)
})
io.on('connection', (socket) => {
  const { own } = socket.data as { own: Session }
  endWith(own, socket, 'disconnect', () => socket.disconnect(true))
  socket.on('message', (message: string, reply: (text: string) => void) => void answerTo(own, message).then(reply))
})

server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
