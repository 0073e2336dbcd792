import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import { storage, type Holder } from './context.ts'
import { lookUp, type Services } from './lookup.ts'
import { isUpgrade } from './upgrade.ts'
import type { SessionProperty } from './property.ts'
import { SocketHost } from './socket-host.ts'
import { Checks } from '../checks.ts'
import { SessionError } from '../errors.ts'
import { sessionOf } from '../session/object.ts'
import type { Session } from '../session/types.ts'
import type { Key } from '../units.ts'

const checks = new Checks('sessions.open')

/** Opens the session that a request names where there is no response: see `Sessions.open`. */
export async function openSession(services: Services, request: IncomingMessage): Promise<Session | undefined> {
  checkRequest(request)
  const { lifecycle, identity } = services
  const stopListening = absorbErrors(request)
  let visit
  try {
    visit = await lookUp(services, request.headers.cookie, isPrefixedFor(services, request))
  } finally {
    stopListening()
  }
  if (!visit || !('found' in visit) || isAbandoned(request)) return undefined
  const { cookie, found } = visit
  lifecycle.touch(cookie.key, found)
  return sessionOf(lifecycle.open(new SocketHost(lifecycle, services.diagnostics, identity.owner), cookie.key, found))
}

/** What has no cookie where Node puts it would be a stranger, whoever the visitor is. */
function checkRequest(request: IncomingMessage | Request | undefined): void {
  const headers: unknown = request?.headers
  if (typeof headers !== 'object' || headers === null)
    throw checks.refusal(
      "the request must be Node's: what a listener of 'upgrade' gets, or ctx.req, or the handshake of socket.io.",
    )
  if (typeof (headers as Headers).get === 'function')
    throw checks.refusal(
      'this is a Request of fetch. Pass { headers: Object.fromEntries(request.headers) }, or the request of Node that it was made of.',
    )
}

/** Whether the browser keeps the cookie with the prefix `__Host-` on this connection; `undefined` if nobody knows. */
function isPrefixedFor({ identity }: Services, request: IncomingMessage): boolean | undefined {
  const { app, cookie } = identity
  if (!cookie.fixed) return undefined
  if (cookie.fixed.secure !== 'auto') return cookie.fixed.secure
  // As Koa sees it, which knows whether a proxy is trusted. Before the first request, the application is not known, and a
  // handshake of socket.io, or headers alone, have no connection.
  if (!app || !(request as Partial<IncomingMessage>).socket) return undefined
  return (Object.assign(Object.create(app.request), { app, req: request }) as Koa.Request).secure
}

/**
 * Node takes its own listener off a socket before 'upgrade', and an 'error' that nobody listens to ends the process. While
 * the store is asked, no program can expect to have a WebSocket that listens: a visitor who resets then is only gone.
 */
function absorbErrors(request: IncomingMessage): () => void {
  if (!isUpgrade(request)) return ignore
  const { socket } = request
  socket.on('error', ignore)
  return () => {
    // The error of a socket that was destroyed a moment ago is still to come.
    if (!socket.destroyed) socket.off('error', ignore)
  }
}

/** Nobody is there to open a socket for. An ordinary request is another matter: its job may go on without the visitor. */
function isAbandoned(request: IncomingMessage): boolean {
  return isUpgrade(request) && request.socket.destroyed
}

function ignore(): void {}

/**
 * Runs the middlewares of a WebSocket as koa-websocket does, on a context that has a request and no response. Their
 * session is the one that `sessions.open` gives; without one, the context has none.
 */
export async function runOnSocket(
  services: Services,
  property: SessionProperty,
  ctx: Koa.ParameterizedContext,
  next: Koa.Next,
): Promise<void> {
  services.identity.app ??= ctx.app
  const session = await openSession(services, ctx.req)
  if (!session) return property.leaveOut(ctx, next)
  property.enter(ctx, new SocketHolder(services, session))
  return storage.run(ctx, next)
}

class SocketHolder implements Holder {
  readonly owner: object
  readonly property: string
  readonly session: Session

  constructor({ identity }: Services, session: Session) {
    this.owner = identity.owner
    this.property = identity.property
    this.session = session
  }

  get id(): Key {
    return this.session.id
  }

  /** `ctx.session = …` */
  replace(): never {
    throw new SessionError(
      'ERR_SESSION_OPTION',
      `ctx.${this.property} cannot be set on a WebSocket. Change it with update or save, and end it with destroy.`,
    )
  }
}
