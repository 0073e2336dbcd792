import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import Koa from 'koa'
import { getSession, session, type Session, type SessionOptions, type Sessions } from '../../../src/index.ts'
import { Agent } from '../clients/agent.ts'

export { Agent, type Reply } from '../clients/agent.ts'

export const KEY: string = 'a signing key for tests, and long enough'
export const OLD_KEY: string = 'an older signing key for tests, and long'

/** A session whose data nobody described. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnySession = Session<Record<string, any>>

export function sessionOf(ctx: Koa.Context): AnySession {
  return ctx.session as AnySession
}

export function currentSession(): AnySession {
  return getSession() as AnySession
}

/** A Koa application that listens on a free loopback port until the test ends. */
export interface Site {
  readonly app: Koa
  readonly port: number
  readonly address: string
  readonly server: Server
  agent(): Agent
}

/**
 * How servers of tests are made: none closes a connection by itself. If a machine is so busy that a client says nothing
 * for five seconds, Node's default, a server would close the connection just when the client uses it again.
 */
export const LASTING = { keepAliveTimeout: 0 } as const

/** Listens on a free loopback port; closed when the test ends, however it ends. */
export async function serve(test: Pick<TestContext, 'after'>, app: Koa): Promise<Site> {
  app.silent = true
  const server = createServer(LASTING, app.callback()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { app, port, address: `http://127.0.0.1:${port}`, server, agent: () => new Agent(port) }
}

/** An application with one session middleware (on memory, if not said otherwise) and one handler behind it. */
export async function siteWith(
  test: TestContext,
  options: SessionOptions,
  handler: Koa.Middleware,
  prepare?: (app: Koa) => void,
): Promise<Site & { sessions: Sessions }> {
  const app = new Koa()
  prepare?.(app)
  const sessions = session({ keys: [KEY], store: 'memory:', ...options })
  test.after(() => sessions.close())
  app.use(sessions)
  app.use(handler)
  return { ...(await serve(test, app)), sessions }
}

/** Sends one GET after another over one socket, many at a time, each with its own cookie; rejects unless all get 200. */
export async function pipelined(port: number, path: string, cookies: readonly string[], batch = 200): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  try {
    for (let first = 0; first < cookies.length; first += batch) {
      const part = cookies.slice(first, first + batch)
      socket.write(part.map((cookie) => `GET ${path} HTTP/1.1\r\nHost: a\r\nCookie: ${cookie}\r\n\r\n`).join(''))
      let received = ''
      while (received.split('HTTP/1.1 ').length <= part.length || !received.endsWith(END)) {
        const [piece] = (await once(socket, 'data')) as [string]
        received += piece
      }
      const good = received.split('HTTP/1.1 200').length - 1
      if (good !== part.length) throw new Error(`${good} of ${part.length} answers are good`)
    }
  } finally {
    socket.destroy()
  }
}

/** How each answer to `pipelined` has to end. */
export const END: string = '<end>'
