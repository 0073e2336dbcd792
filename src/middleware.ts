import type Koa from 'koa'
import { Diagnostics } from './diagnostics.ts'
import { holderOf } from './http/context.ts'
import { SessionCookie } from './http/cookie.ts'
import { explained } from './http/debug.ts'
import { keyringOf, noKeys, type Keyring } from './http/keyring.ts'
import { runInContext } from './http/koa.ts'
import type { Services } from './http/lookup.ts'
import { SessionProperty, type Identity } from './http/property.ts'
import { RequestSession } from './http/request.ts'
import { storeStack } from './layers/stack.ts'
import { checkOptions, type SessionOptions } from './options.ts'
import { Lifecycle } from './session/lifecycle.ts'
import { subjectNames } from './session/subject-names.ts'
import type { SessionData } from './session/types.ts'
import { operationsOf, type Sessions } from './sessions.ts'

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
  const diagnostics = new Diagnostics(checked.cookie.name)
  const stack = storeStack(checked.store, checked, diagnostics)
  const cookie = new SessionCookie(checked.cookie, diagnostics, checked.cache?.max)
  const lifecycle = new Lifecycle(stack, checked, diagnostics)
  const { skip, onStoreError } = checked
  const identity: Identity = { owner: middleware, property: checked.property, cookie: checked.cookie }
  const property = new SessionProperty(identity, diagnostics)
  const services: Services = { identity, lifecycle, cookie, diagnostics, secure: checked.cookie.secure, onStoreError }

  function useKeys(keyring: Keyring): void {
    stack.vault?.use(keyring.derive('encryption'))
    lifecycle.subjects.notes.use(subjectNames(checked.cookie.name, keyring.isFixed ? keyring.derive('subjects') : []))
    cookie.useKeys(keyring)
  }
  if (checked.keyring) useKeys(checked.keyring)

  /** What happens to a request, first to last. */
  async function middleware(ctx: Koa.ParameterizedContext, next: Koa.Next): Promise<void> {
    if (holderOf(ctx, middleware)) return next() // used twice, of which once is enough
    if (skip?.(ctx)) {
      property.leaveOut(ctx)
      return next()
    }
    if (!cookie.hasKeys) useKeys(keyringOf(ctx.app.keys ?? noKeys()))

    const request = new RequestSession(services, ctx, holderOf(ctx))
    property.enter(ctx, request)
    // Nothing is awaited that is there already: neither a visitor without a cookie nor a cached session costs a promise.
    const loading = request.load()
    if (loading) await loading
    try {
      await runInContext(ctx, next)
      const finishing = request.finish()
      if (finishing) await finishing
    } catch (error) {
      await request.fail(error)
      throw error
    }
  }

  const parts = { options: checked, services, stack, diagnostics, useKeys }
  return Object.assign(explained(middleware, cookie), operationsOf<Data>(parts))
}
