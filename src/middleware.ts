import type Koa from 'koa'
import { Diagnostics } from './diagnostics.ts'
import { holderOf } from './http/context.ts'
import { SessionCookie } from './http/cookie.ts'
import { isOutside } from './http/cookie-path.ts'
import { explained } from './http/debug.ts'
import { keyringOf, noKeys, type Keyring } from './http/keyring.ts'
import { runInContext } from './http/koa.ts'
import { Newcomers } from './http/newcomers.ts'
import { SessionProperty } from './http/property.ts'
import { RequestSession } from './http/request.ts'
import { runOnSocket } from './http/socket.ts'
import { noteRequest } from './http/unreached.ts'
import { RequestsUnderWay } from './http/under-way.ts'
import { storeStack } from './layers/stack.ts'
import { checkOptions, type SessionOptions } from './options.ts'
import { Lifecycle } from './session/lifecycle.ts'
import { subjectNames } from './session/subject-names.ts'
import type { SessionData } from './session/data.ts'
import { withMethods, type Sessions } from './sessions.ts'

/**
 * Sessions for a Koa application:
 *
 * ```ts
 * app.use(session({ keys: [process.env.SESSION_KEY] }))
 * ```
 *
 * Throws `ERR_SESSION_OPTION` if an option is wrong.
 */
export function session<Data extends object = SessionData>(options: SessionOptions = {}): Sessions<Data> {
  const checked = checkOptions(options)
  const { skip, passive, onStoreError } = checked
  const { name, isAuto, cookieFor } = checked.cookie

  // The parts, each with one job.
  const diagnostics = new Diagnostics(name)
  const stack = storeStack(checked.store, checked, diagnostics)
  const lifecycle = new Lifecycle(stack, checked, diagnostics)
  const cookie = new SessionCookie(name, diagnostics, isAuto)
  const identity = { owner: middleware, property: checked.property, cookie: checked.cookie }
  const property = new SessionProperty(identity, diagnostics)
  const underWay = new RequestsUnderWay()
  const newcomers = checked.movingFrom && new Newcomers(checked.movingFrom, lifecycle, diagnostics, middleware)
  const services = { identity, lifecycle, cookie, diagnostics, onStoreError, underWay, newcomers }

  function useKeys(keyring: Keyring): void {
    stack.vault?.use(keyring.derive('encryption'))
    lifecycle.subjects.notes.use(subjectNames(name, keyring.isFixed ? keyring.derive('subjects') : []))
    newcomers?.useKeys(keyring)
    cookie.useKeys(keyring)
  }
  if (checked.keyring) useKeys(checked.keyring)

  /** What happens to a request, first to last. */
  async function middleware(ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void> {
    // Some requests have no session here: this very middleware has made one above, or skip or cookie.path say so.
    if (holderOf(ctx, middleware)) return next()
    noteRequest()
    if (skip?.(ctx)) return property.leaveOut(ctx, next)
    const attributes = cookieFor(ctx)
    if (isOutside(attributes.path, ctx, cookie)) return property.leaveOutside(ctx, next)
    if (!cookie.hasKeys) useKeys(keyringOf(ctx.app.keys ?? noKeys()))
    if (!ctx.res) return runOnSocket(services, property, ctx, next) // a WebSocket of koa-websocket

    // From here on, ctx.session and getSession() find the session that the cookie names.
    const circumstances = { attributes, isPassive: passive?.(ctx) ?? false, outer: holderOf(ctx) }
    const request = new RequestSession(services, ctx, circumstances)
    property.enter(ctx, request)
    // Only a promise is awaited: a visitor without a cookie, or with a cached session, costs none.
    const loading = request.load()
    if (loading) await loading
    try {
      await runInContext(ctx, next)
      // What the handlers changed is stored before Koa sends the response.
      const finishing = request.finish()
      if (finishing) await finishing
    } catch (error) {
      await request.fail(error)
      throw error
    }
  }

  const parts = { options: checked, services, stack, diagnostics, useKeys }
  return withMethods<Data>(explained(middleware, cookie), parts)
}
